// Package conform holds an origin against the dig:// protocol, over HTTP, from outside: one's own
// server, or a stranger's. It believes nothing that it has not measured, and says for every check
// which section of the specification it follows, what was wanted and what was found. It checks what
// remote/PROTOCOL.md and remote/RECIPES.md say of a server, as far as one can see that from
// outside.
//
//	report, err := conform.Run(ctx, url, nil)
//	if err != nil {
//		… the URL cannot be meant, or nothing answers there
//	}
//	report.WriteTable(os.Stdout)
//	err = report.Err() // not nil when a requirement is not met
//
// # Levels and verdicts
//
// A check has a [Level]. What a client or another server relies on is [Must]; not meeting it is
// [Fail]. What the specification recommends is [Should], and what it adds over the reference is
// [Extension]; both only [Warn]. A check that cannot be made (the store has one generation only,
// the origin has no JSON-RPC tier) is [Skip], with the reason. Where an origin differs in a way
// that the reference implementation is known to differ in, the finding says so in [Result.Known]:
// that is not a riddle, and clients cope with it.
//
// # Reading and writing
//
// By default nothing at the origin changes. Requests that would change something go out only where
// they cannot succeed: without a signature, or signed by a key that is not the store's. With
// [Options.Write] a store that was made for the purpose is pushed to: it grows by about a dozen
// generations of a few hundred bytes, some of them revoked.
//
// # What it costs the origin
//
// Some 300 small requests, one after the other but for the few that have to race, and one download
// of the head's module, which is kept in a temporary file. An answer of 429 or 503 is waited out as
// the origin asks. Each request names this package as its User-Agent.
//
// Nothing secret is in a report: no token, no key but public ones. What the origin said is clipped
// and freed of control characters.
package conform
