// Package server serves stores over dig://: a [Server] is an [net/http.Handler] over a [Backend].
// The program listens, terminates TLS and writes logs. remote/PROTOCOL.md specifies the protocol;
// package remote is the client.
//
//	srv := server.New(workspace, &server.Options{Policy: server.AllowList{id: key}})
//	http.ListenAndServe(addr, srv)
//
// # The backend
//
// A [Backend] holds the stores that a Server serves; *digstore.Workspace and remotetest.Stores
// implement it. Three methods are enough for a read-only origin. [New] finds five optional
// interfaces by type assertion: [Receiver] takes pushes, [Promoter] keeps pending ones,
// [RecipeBackend] sends and takes recipes, [Catalog] lists the stores, [Revoker] keeps tombstones.
//
// # Resources
//
// A Server answers requests for resources from a [ResourceIndex]. For a key that the generation
// does not have, the answer is a decoy ([DecoyKeyed]): it has the same shape and costs the same
// work, and only the client, which checks the proof, can tell it from a resource.
//
// # Limits
//
// A Server makes the cheapest checks first: the route, the rate of the address, the headers of the
// signature, their age and nonce, the signature (of many requests in one batch), the rates of the
// identity and the store, [Options].Authorize. It reads a body only if all headers pass. It closes
// connections that send or read less than 4 KiB a second. Every table of clients is bounded. An
// error answer contains nothing from the request. [NewHTTPServer] limits connections, and
// [CloseSlow] closes slow ones for other handlers.
//
// # Pushes
//
// A push must be signed by the key that the server holds for the store, or as an [Authority]
// decides. A [Policy] decides about unknown stores, a [Quota] limits space. With an [ObjectStore]
// clients upload modules to other storage.
//
// # Inside a program
//
// [Options].Credential checks the credential of a request, [Options].Received is called for every
// change and [Options].Access for every request. [Server.Receive] takes modules that did not arrive
// by HTTP. Under a path prefix, wrap a Server in [net/http.StripPrefix].
package server
