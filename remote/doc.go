// Package remote speaks dig://, the protocol by which a store travels: clone, pull, push, revoke, and the
// server that answers them. Spec: remote-protocol.
//
// # Names
//
// A [URL] is a locator. dig://<id> names a store, dig://<host>/<id> a store at a host; it is a name on our
// side only, and what travels is HTTP under /stores/<id> at the [URL.Endpoint]. A [Client] speaks for one
// store at one origin. It signs every request with an identity, which may be made for the purpose, follows
// no redirect, reads no more than its limits, and repeats what may be repeated.
//
// # Believing
//
// An origin is a stranger. What a module's root covers (every chunk, every leaf) checks itself; that this
// root is the store's newest one, and that this key is its publisher's, does not follow from the bytes: the
// key lies outside the root, and a store's id is in general not bound to its key. [Trust] says why they are
// believed: the chain ([Anchor]), a root or a key known by other means, the id itself where it is the hash
// of the key, or the first use, which is then held. The zero Trust believes nothing.
//
//	report, err := remote.Clone(ctx, store, client, remote.Trust{Anchor: chain})
//
// [Clone] fills an empty store, [Pull] brings it up to date, [Push] publishes what the origin lacks. Each
// check they make has a name ([Check]); a refusal is a [*VerificationError] with that name, and leaves
// nothing visible. What was checked, and what it rests on, is in the [Report]. [Sync] and [Pusher] are the
// same with settings.
//
// An origin that goes back, or shows a history that does not contain what is held, is refused, and what speaks against
// it, both heads with their signatures, is kept as [Evidence] where the Local is a [Witness]. The way on is an anchor
// whose lineage has both, or to name the head: Trust.AcceptHead. A tombstone that was seen once holds for ever, whoever
// hides it later; the report names who does, and how old the head is, since an origin that is frozen shows nothing else.
//
// Several origins of one store are joined by [NewOrigins] and passed as one. Each has to pass the checks by itself;
// bytes come from all that do; the report says of each what became of it.
//
// # The two sides of a store
//
// A [Local] is a store on our side; *digstore.Store is one. A [Backend] is what a [Server] serves;
// *digstore.Workspace is one. Both are small, and what they can do besides (take pushes, keep tombstones,
// keep pins, go on with a broken download) are interfaces of one or two methods that are found by type
// assertion: [Receiver], [Promoter], [Revoker], [Lister], [Resumer], [Pinner], [Signatures], [Lines], [Witness]. So a program
// that clones into memory links no workspace, and one that serves an archive of its own writes three
// methods. Package remotetest has both in memory, and origins that lie.
//
// A [Server] is an [net/http.Handler]; listening, TLS and logs are the program's business.
//
// Package net/http writes to the standard logger of package log when a host sends something on an idle connection, and
// quotes it. It cannot be told otherwise: a program whose standard error is a terminal, or is read by another program,
// calls log.SetOutput.
//
// # Single resources
//
// Who wants one file and no clone asks for its retrieval key: [Client.Content], held against a root that the caller
// knows. A [Server] answers it for every generation that it holds, from a [Contents]; for a key that is not there it
// answers with a decoy of the same shape that costs the same work ([DecoyKeyed]), so that only who checks the proof
// learns of it. [Client.Delta] fetches the chunks that a generation has and another has not; they are a cache and no
// generation. Package rpc serves and reads the same, anonymously, over JSON-RPC, and modules that are too large for a
// GET: [Large].
//
// # What changed, and no more
//
// Two generations of a store have most of their chunks in common. Where both sides can, a generation travels as its
// recipe, packed against that of a generation which both hold, and as the chunks that the other side lacks: [Pull]
// takes them as ranges of the module, [Push] sends them behind the recipe, and what comes of it is the module, bit for
// bit, held to the same checks ([Assembler], [RecipeOrigin], [RecipeBackend], [RecipeReceiver]). Where one side cannot,
// or it costs more, the module goes whole. What was pushed as pending is promoted by its recipe alone
// ([Pusher.Promote]). RECIPES.md, beside the code, says what travels, byte by byte.
//
// # Among strangers
//
// A [Server] checks what costs least first: the route, a limit by address, the headers of the signature, their age and
// nonce, the signature (many at once in batches), limits by identity and store, [ServerOptions].Authorize; a body is
// not read before all that its headers say has passed. Whoever brings a body or takes an answer by less than 4 KiB a
// second is cut off, every table it remembers strangers in has an end, and a refusal repeats nothing of the request.
// [NewHTTPServer] puts limits on connections around it, [Paced] the same patience around other handlers. Whose
// signature counts for a push is the key that the store is held under, or what an [Authority] says. Modules need not
// pass through the server: an [ObjectStore] can take them.
//
// # Time, memory, goroutines
//
// Constructors start nothing. Bodies are streamed: what is held grows with the number of generations and of
// chunks, not with their size. Signed requests carry the time and a nonce; a server refuses those from more
// than five minutes away and those it has seen. A client whose clock is that far off gets [ErrClockSkew].
package remote
