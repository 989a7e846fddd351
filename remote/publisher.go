package remote

import (
	"context"
	"io"
)

// A Publisher publishes generations. Without one, [Pusher] uses [Client.Put]. A hub where each
// generation is a wallet's spend needs a Publisher from the embedding program (remote/PROTOCOL.md
// 9.8): this library does not log in and holds no wallet keys.
type Publisher interface {
	// Publish publishes a verified, signed generation. It returns when the generation is the head,
	// or, with pending, is stored to become the head later. mod has the p.Size bytes of the module;
	// Publish may read it more than once and must not keep it. The error is [ErrNonFastForward] when
	// the parent is not the head.
	Publish(ctx context.Context, p PutRequest, mod io.ReadSeeker) (pending bool, err error)
}
