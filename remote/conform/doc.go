// Package conform checks from outside, over HTTP, whether a server follows the dig:// protocol. The
// checks cover what remote/PROTOCOL.md and remote/RECIPES.md require of a server, as far as a
// client can see it. Each result names the section, what was wanted and what was found.
//
//	report, err := conform.Run(ctx, url, nil)
//	if err != nil {
//		// the URL or the options are wrong, or the server does not answer
//	}
//	report.WriteTable(os.Stdout)
//	err = report.Err() // not nil if a requirement is not met
//
// # Levels and verdicts
//
// A check has a [Level]. [Must] is what clients and other servers depend on; a violation is [Fail].
// [Should] is what the specification recommends, and [Extension] what it adds to the reference's
// protocol; a violation of these is [Warn]. A check that cannot be made is [Skip], with the reason:
// for example if the store has one generation only, or the server has no JSON-RPC tier. If the
// reference implementation is known to differ in the same way, [Result.Known] says so.
//
// # Reading and writing
//
// By default nothing on the server changes. Requests that would change something are sent only in a
// form that cannot succeed: without a signature, or signed by a key that is not the store's. With
// [Options.Write] the checks push to a store that was made for them. It grows by about a dozen
// generations of a few hundred bytes, and some of them are revoked.
//
// # Cost for the server
//
// A run sends about 300 small requests, one after the other except for those that must race, and
// downloads the head's module once, to a temporary file. It waits as a 429 or 503 asks. The
// User-Agent of each request names this package.
//
// A report has no secrets: no token, and only public keys. Texts of the server are shortened to one
// line without control characters.
package conform
