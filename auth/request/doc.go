// Package request signs and checks the requests of the dig:// protocol: four headers that say who
// asks, for what, of which store and when (remote/PROTOCOL.md 3).
//
//	X-Dig-Identity   the caller's public key, 96 hex digits
//	X-Dig-Timestamp  unix seconds, canonical decimal: no sign, no leading zero
//	X-Dig-Nonce      32 random bytes, 64 hex digits, new for every attempt
//	X-Dig-Auth       the caller's BLS signature over the request message, 192 hex digits
//
// The message is
//
//	SHA-256("digstore:req:v1" || u32 len(op) || op || store id (32) || u64 timestamp || nonce (32))
//
// with big-endian integers. It covers neither host, nor query, nor body: what a request carries has
// to be signed for itself, and a signed request must never be sent twice.
//
// A client calls [Sign] on each attempt. A server finds the operation with [OpOf], calls
// [Guard.Check], and lets no handler run when that fails:
//
//	guard := &request.Guard{Start: time.Now()}
//	…
//	op, ok := request.OpOf(r.Method, tail) // tail is what follows /stores/{id}
//	if !ok { … 404 or 405 … }
//	who, err := guard.Check(r, op, store)
//
// # Replays
//
// A captured request is fresh for as long as its timestamp is. So the guard remembers each nonce
// it accepted, per identity, until its timestamp has run out, in a [NonceStore]. [Nonces] is the
// one in memory. It is bounded, and when it is full, requests that change something are refused
// rather than accepted unremembered. After a restart it is empty; therefore requests that change
// something are also refused when they were signed more than five seconds before the server's
// start. Those with a timestamp in the future pass once more then: package noncefile keeps the
// nonces of requests that change something on disk, and refuses them. Both stay safe on a clock
// that steps back: a timestamp not newer than one whose nonce was forgotten is refused.
//
// # Many at once
//
// Verifying a signature takes about a millisecond, everything else a few microseconds. So what can
// be refused without is refused first: headers that are not well-formed, stale ones, replays. When
// requests come faster than the cores verify, signatures that wait are verified together, as one
// random combination, which about doubles the rate. It happens on the goroutines of
// the callers: each Check either finds a core free and goes on at once, or queues and is answered by
// another, or takes over from one that is done. Each request gets its own exact answer, no answer is
// kept, and a flood of bad signatures costs at most a tenth more than verifying them one by one.
package request
