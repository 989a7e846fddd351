// Package server serves stores over dig://: a [Server] is an [net/http.Handler] over a [Backend].
// Listening, TLS and logs are the program's business. remote/PROTOCOL.md says what travels; package
// remote is the client.
//
// # The backend
//
// A [Backend] has the stores that a Server serves; *digstore.Workspace and remotetest.Stores
// implement it. Three methods are enough for a read-only origin. What else a backend can do is one
// of five interfaces, which [New] finds by type assertion: [Receiver] takes pushes, [Promoter]
// keeps pending ones, [RecipeBackend] sends and takes recipes, [Catalog] lists the stores,
// [Revoker] keeps tombstones.
//
// # Single resources
//
// A Server answers for every resource of every generation that it holds from a [ResourceIndex]; for
// a key that is not there it answers with a decoy of the same shape that costs the same work
// ([DecoyKeyed]), so that only who checks the proof learns of it.
//
// # Among strangers
//
// A [Server] checks what costs least first: the route, a limit by address, the headers of the
// signature, their age and nonce, the signature (many at once in batches), limits by identity and
// store, [Options].Authorize; a body is not read before all that its headers say has passed.
// Whoever brings a body or takes an answer by less than 4 KiB a second is cut off, every table it
// remembers strangers in has an end, and a refusal repeats nothing of the request. [NewHTTPServer]
// puts limits on connections around it, [CloseSlow] the same patience around other handlers. Whose
// signature counts for a push is the key that the store is held under, or what an [Authority] says.
// Modules need not pass through the server: an [ObjectStore] can take them.
//
// # Inside a program
//
// A program that has a Server in it names the credentials of requests ([Options].Credential,
// [Credentials]), is told what was received ([Options].Received) and of every request
// ([Options].Access), and gives it modules that came by another way than HTTP ([Server.Receive]).
// Under a path prefix a Server stands behind [net/http.StripPrefix].
package server
