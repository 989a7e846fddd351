// Package request signs and authenticates the requests of the dig:// protocol with four headers
// (remote/PROTOCOL.md 3).
//
//	X-Dig-Identity   the caller's public key, 96 hex digits
//	X-Dig-Timestamp  unix seconds, canonical decimal: no sign, no leading zero
//	X-Dig-Nonce      32 random bytes, 64 hex digits, new for every attempt
//	X-Dig-Auth       the caller's BLS signature of the request message, 192 hex digits
//
// The message is
//
//	SHA-256("digstore:req:v1" || u32 len(op) || op || store id (32) || u64 timestamp || nonce (32))
//
// with big-endian integers. It does not cover the host, the query and the body. A body that needs a
// signature has its own, and a signed request must not be sent twice.
//
// A client calls [Sign] for each attempt. A server finds the operation with [OpOf], calls
// [Authenticator.Check], and runs no handler if that fails:
//
//	authenticator := &request.Authenticator{Start: time.Now()}
//	…
//	op, ok := request.OpOf(r.Method, tail) // tail is the path after /stores/{id}
//	if !ok { … 404 or 405 … }
//	identity, err := authenticator.Check(r, op, store)
//
// # Replays
//
// A captured request could be sent again while its timestamp is in the window. An Authenticator
// therefore keeps each accepted nonce, with its identity, in a [NonceStore] until the timestamp is
// stale. [Nonces] is a NonceStore in memory. It is bounded: when it is full, requests that change
// something are refused. After a restart it is empty, so requests that change something are also
// refused if they were signed more than five seconds before the start of the server. A request that
// was accepted with a timestamp in the future could then be replayed once; package noncefile
// prevents that with a file of nonces. If the clock steps back, a timestamp that is not newer than
// that of a forgotten nonce is refused.
//
// # Load
//
// Verifying a signature takes about a millisecond, everything else a few microseconds.
// Malformed headers, stale timestamps and replays are therefore refused first. If requests
// arrive faster than the cores verify, waiting signatures are verified together as one random
// combination, which about doubles the rate. This happens on the goroutines of the callers:
// each Check verifies at once if a core is free, or waits until another Check has verified its
// signature or hands over its core. Each request gets its own exact result, and no result is
// cached. Bad signatures cost at most a tenth more than verifying each alone.
package request
