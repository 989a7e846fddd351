package node

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/tier"
)

// Capsule returns the capsule at ref, of the head when ref.Root is zero. Its content is verified.
// client identifies the caller for readahead; it may be empty. The caller closes the result.
func (n *Node) Capsule(
	ctx context.Context, ref capsule.Ref, client string,
) (*tier.Content, error) {
	return n.tiers.Get(ctx, ref, client)
}

// Manifest returns the manifest of a generation with its root statement; a zero root means the
// head.
func (n *Node) Manifest(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*capsule.Manifest, error) {
	g, err := n.tiers.Generation(ctx, store, root)
	if err != nil {
		return nil, err
	}
	return withStatement(g)
}

// ResolveHandle returns the datastore of a name in lower case, without ".dig".
func (n *Node) ResolveHandle(ctx context.Context, name string) (*api.Handle, error) {
	if n.c.Handles == nil {
		return nil, fmt.Errorf("handle %q: %w", name, fs.ErrNotExist)
	}
	return n.c.Handles.Resolve(ctx, name)
}

// Peers returns the peers that may be published, the best first.
func (n *Node) Peers(ctx context.Context) ([]api.Peer, error) {
	if n.c.Peers == nil {
		return nil, nil
	}
	return n.c.Peers.Peers(ctx)
}
