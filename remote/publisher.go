package remote

import (
	"context"
	"io"
)

// A Publisher makes a generation the head of its store somewhere. [Client.Put] is the protocol's
// own; a hub where each generation is a spend of a wallet is the embedder's to write
// (remote/PROTOCOL.md 9.8). This library never logs in anywhere and holds no wallet's keys.
type Publisher interface {
	// Publish publishes a generation that was verified and is signed. It returns when the generation
	// is the head, or, with pending, is kept to be the head later. mod has the p.Size bytes of the
	// module; Publish may read it more than once and may not keep it. A parent that is no longer the
	// head is [ErrNonFastForward].
	Publish(ctx context.Context, p PutRequest, mod io.ReadSeeker) (pending bool, err error)
}
