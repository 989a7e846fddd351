// Package client is the HTTP API of a node from the outside: it consumes capsules as they are
// published, verified; pushes datastores; and challenges nodes for a validator. It imports
// nothing of the node. node/PROTOCOL.md says what travels.
//
// # Content
//
// A [Client] is a [capsule.Source]. Nothing that the node says is believed:
//
//	descriptor   Stat, Capsule   its X-Merkle-Proof leads to the root, by the path of its index
//	content      Capsule, Open   its length, its hash, and its chunk root
//	manifest     Manifest        all pages belong together, and the capsules fold to the root
//	root         all of them     Options.Trust, or a root statement that Options.Writers accepts
//	proofs       Challenge       capsule.Bundle.Verify
//
// A root without an argument is what the node says is its head. Trust shows that it is a
// generation of the datastore, and not that it is the newest one.
//
//	c, err := client.New("https://node.example", &client.Options{Writers: client.Keys(publisher)})
//	m, err := c.Manifest(ctx, store, merkle.Hash{})
//	for _, d := range m.Capsules {
//		body, err := c.Open(ctx, d)
//		…
//	}
//
// What Open and Capsule return is checked while it is read: the last bytes come when all of them
// are right. Write content to a place where it can be dropped until then. Package capsule/cache
// stands in front of a Client as of any source.
//
// # Exchanges
//
// Redirects are not followed, encoded bodies are refused, and every body has a limit. A transfer
// in which nothing moves for a minute, or less than Options.MinRate, ends. Requests that failed
// in a way that passes (no connection, statuses 429, 502, 503, 504) are repeated, after the time
// that the node asks for in Retry-After, at most a minute; a capsule that breaks off is continued
// at its offset. Challenges are sent once. Only public addresses and literal loopback are
// dialled, unless the options allow others. Credentials go over TLS or loopback only.
//
// A refusal is a [*StatusError] with the code of the problem, and matches the error that the code
// stands for: errors.Is(err, fs.ErrNotExist) for a capsule that the node does not have.
package client
