package remote

import (
	"context"
	"io"
)

// A PublishRequest is a generation on its way to a [Publisher], self-checked and signed.
type PublishRequest struct {
	PutRequest
	// Module is the module's bytes, PutRequest.Size of them. It may be read more than once, and is not
	// to be kept after Publish has returned.
	Module io.ReadSeeker
}

// A Publisher makes a generation the head of its store somewhere. [Client.Put] is the protocol's
// own; a hub where each generation is a spend of a wallet is the embedder's to write
// (remote/PROTOCOL.md 9.8). This library never logs in anywhere and holds no wallet's keys.
type Publisher interface {
	// Publish returns when the generation is the head, or, with pending, is kept to be the head later.
	// The parent no longer being the head is [ErrNonFastForward].
	Publish(ctx context.Context, r PublishRequest) (pending bool, err error)
}

// putPublisher publishes over the routes of the dig:// remote.
type putPublisher struct{ client *Client }

// Publish implements [Publisher].
func (p putPublisher) Publish(ctx context.Context, r PublishRequest) (pending bool, err error) {
	return p.client.Put(ctx, r.PutRequest, r.Module)
}
