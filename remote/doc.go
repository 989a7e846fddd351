// Package remote is the client of dig://: it clones, pulls, pushes and revokes stores. Package
// server is the server. PROTOCOL.md and RECIPES.md, beside the code, specify the protocol.
//
//	u, err := remote.ParseURL("dig://example.org/" + id)
//	client, err := remote.NewClient(u, nil)
//	report, err := remote.Clone(ctx, store, client, remote.Trust{Anchor: chain})
//
// # Overview
//
// A [URL] names a store at a host. A [Client] is one store at one origin, over HTTP; it signs every
// request, follows no redirect, reads no more than its limits, and repeats requests that failed
// temporarily. An [Origin] is what is read from, such as a Client, or [Origins], which are several
// of one store. A [Local] is a local store, such as *digstore.Store or remotetest.Memory.
//
// [Clone] fills an empty Local, [Pull] brings it up to date, and [Push] publishes what the origin
// does not have. [Sync] and [Pusher] are the same with settings.
//
// # Trust
//
// Origins are not trusted. The root of a generation covers all of its content, so a module verifies
// itself. It does not follow from the bytes that a root is the newest one of the store, or that a
// key is its publisher's. [Trust] says what these rest on: the chain ([Anchor]), a root or a key
// that the caller knows, the store's id if it is the hash of the key, or the first use of a key.
// The zero Trust refuses every origin.
//
// Each check has a name, a [Check]. A failed check is a [*VerificationError], and then nothing has
// become visible in the Local. A [Report] lists the checks that passed. An origin that serves an
// older head than before, or a history without the local head, is refused; both signed heads are
// kept as [Evidence]. Trust.AcceptHead and an anchor with a [Lineage] are the ways to go on. A
// valid tombstone counts from the first time it was seen.
//
// # Optional interfaces
//
// A Local may implement [TrustStore] (pins, tombstones, evidence), [History] (single lines),
// [Resumer] (broken downloads) and [Assembler] (recipes). An Origin may implement [RangeOrigin] and
// [RecipeOrigin], its modules [Sized], and an Anchor [Lineage]. They are found by type assertion.
//
// If both sides support recipes, a generation is sent as its recipe and the chunks that the other
// side lacks. The result is the same module, verified by the same checks.
//
// # Resources without a clone
//
// [Client.Content] and [Client.Fetch] read one resource, verified against a root that the caller
// knows; [Trust.ResolveHead] finds that root. For an unknown key a server answers with a decoy of
// the same shape, which fails verification. [Client.Delta] fetches the chunks that one generation
// has and another has not. Package rpc reads over JSON-RPC, without signatures.
//
// # Memory and time
//
// Constructors start nothing. Bodies are streamed: memory grows with the number of generations and
// of chunks. A clock that differs from the server's by more than five minutes is [ErrClockSkew].
package remote
