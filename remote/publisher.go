package remote

import (
	"context"
	"io"
)

// A PublishRequest is a generation on its way to a [Publisher], self-checked and signed.
type PublishRequest struct {
	PutRequest
	// Module is the module's bytes, PutRequest.Size of them. It may be read more than once, and is not to
	// be kept after Publish has returned.
	Module io.ReadSeeker
}

// A Publisher makes a generation the head of its store somewhere. [PutPublisher] is the protocol's own; a
// hub where each generation is a spend of a wallet is the embedder's to write (remote/PROTOCOL.md 9.8). This
// library never logs in anywhere and holds no wallet's keys.
type Publisher interface {
	// Publish returns how it ended. The parent no longer being the head is [ErrNonFastForward].
	Publish(ctx context.Context, r PublishRequest) (Outcome, error)
}

// PutPublisher publishes over the routes of the dig:// remote: [Client.Put].
type PutPublisher struct{ Client *Client }

// Publish implements [Publisher].
func (p PutPublisher) Publish(ctx context.Context, r PublishRequest) (Outcome, error) {
	return p.Client.Put(ctx, r.PutRequest, r.Module)
}
