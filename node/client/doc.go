// Package client is a client of the HTTP API of a node. It reads and verifies capsules, pushes
// datastores, and challenges nodes for a validator. It imports no package of the node. The wire
// format is in node/PROTOCOL.md.
//
// # Content
//
// A [Client] is a [capsule.Source]. Every answer of the node is verified:
//
//	descriptor   Stat, Capsule   its X-Merkle-Proof leads to the root, by the path of its index
//	content      Capsule, Open   its length, its hash, and its chunk root
//	manifest     Manifest        all pages belong together, and the capsules fold to the root
//	root         all of them     Options.Trust, or a root statement that Options.Writers accepts
//	proofs       Challenge       capsule.Bundle.Verify
//
// Without a root argument the node chooses its head. Trust checks that it is a generation of the
// datastore, not that it is the newest one.
//
//	c, err := client.New("https://node.example", &client.Options{Writers: client.Keys(publisher)})
//	m, err := c.Manifest(ctx, store, merkle.Hash{})
//	for _, d := range m.Capsules {
//		body, err := c.Open(ctx, d)
//		…
//	}
//
// The content from Open and Capsule is verified while it is read: the last bytes are returned only
// if all bytes are right. Until then write content to a place where it can be discarded. Package
// capsule/cache can cache a Client like any other source.
//
// # Exchanges
//
// Redirects are not followed, encoded bodies are refused, and every body has a limit. A transfer is
// aborted if no byte arrives for a minute, or if it is slower than Options.MinRate. Temporary
// failures (no connection, statuses 429, 502, 503, 504) are retried after the time in Retry-After,
// at most a minute. An interrupted capsule is resumed at its offset. Challenges are not retried.
// The client dials only public addresses and literal loopback, unless the options allow others. It
// sends credentials only over TLS or loopback.
//
// A refusal is a [*StatusError] with the code of the problem. It matches the corresponding error:
// errors.Is(err, fs.ErrNotExist) for a capsule that the node does not have.
package client
