// Package remote is the client of dig://, the protocol by which a store travels: clone, pull, push
// and revoke. Package server answers it. PROTOCOL.md, beside the code, says what travels.
//
// # Names
//
// A [URL] is a locator. dig://<id> names a store, dig://<host>/<id> a store at a host; it is a name
// on our side only, and what travels is HTTP under /stores/<id> at the [URL.Endpoint]. A [Client]
// speaks for one store at one origin. It signs every request with an identity, which may be made
// for the purpose, follows no redirect, reads no more than its limits, and repeats what may be
// repeated.
//
// # Believing
//
// An origin is a stranger. What a module's root covers (every chunk, every leaf) checks itself;
// that this root is the store's newest one, and that this key is its publisher's, does not follow
// from the bytes: the key lies outside the root, and a store's id is in general not bound to its
// key. [Trust] says why they are believed: the chain ([Anchor]), a root or a key known by other
// means, the id itself where it is the hash of the key, or the first use, which is then held. The
// zero Trust believes nothing.
//
//	report, err := remote.Clone(ctx, store, client, remote.Trust{Anchor: chain})
//
// [Clone] fills an empty store, [Pull] brings it up to date, [Push] publishes what the origin
// lacks. Each check they make has a name ([Check]); a refusal is a [*VerificationError] with that
// name, and leaves nothing visible. What was checked, and what it rests on, is in the [Report].
// [Sync] and [Pusher] are the same with settings.
//
// An origin that goes back, or shows a history that does not contain what is held, is refused, and
// what speaks against it, both heads with their signatures, is kept as [Evidence] where the Local
// is a [TrustStore]. The way on is an anchor whose lineage has both, or to name the head:
// Trust.AcceptHead. A tombstone that was seen once holds for ever, whoever hides it later; the
// report names who does, and how old the head is, since an origin that is frozen shows nothing
// else.
//
// Several origins of one store are joined by [NewOrigins] and passed as one. Each has to pass the
// checks by itself; bytes come from all that do; the report says of each what became of it.
//
// # The store on this side
//
// A [Local] is a store on our side; *digstore.Store is one, remotetest.Memory another. It is small,
// and what it can do besides (keep tombstones, keep pins, go on with a broken download) are
// interfaces of one or two methods that are found by type assertion: [TrustStore], [Resumer],
// [TrustStore], [History], [History], [TrustStore]. So a program that clones into memory links no
// workspace. Package remotetest has origins that lie.
//
// # Single resources
//
// Who wants one file and no clone asks for its retrieval key: [Client.Content], held against a root
// that the caller knows. For a key that is not there a server answers with a decoy of the same
// shape, so that only who checks the proof learns of it. [Client.Delta] fetches the chunks that a
// generation has and another has not; they are a cache and no generation. Package rpc reads the
// same, anonymously, over JSON-RPC, and modules that are too large for a GET: [WindowFetcher].
//
// # What changed, and no more
//
// Two generations of a store have most of their chunks in common. Where both sides can, a
// generation travels as its recipe, packed against that of a generation which both hold, and as the
// chunks that the other side lacks: [Pull] takes them as ranges of the module, [Push] sends them
// behind the recipe, and what comes of it is the module, bit for bit, held to the same checks
// ([Assembler], [RecipeOrigin]). Where one side cannot, or it costs more, the module goes whole.
// What was pushed as pending is promoted by its recipe alone ([Pusher.Promote]). RECIPES.md, beside
// the code, says what travels, byte by byte.
//
// # Time, memory, goroutines
//
// Constructors start nothing. Bodies are streamed: what is held grows with the number of
// generations and of chunks, not with their size. Signed requests carry the time and a nonce; a
// server refuses those from more than five minutes away and those it has seen. A client whose clock
// is that far off gets [ErrClockSkew].
package remote
