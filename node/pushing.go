package node

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// tiered is the storage with writes through the tiers.
type tiered struct {
	storage.Storage
	tiers *tier.Tiers
}

// Put implements storage.Storage.
func (t tiered) Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error {
	return t.tiers.Put(ctx, d, r)
}

// Commit implements storage.Storage.
func (t tiered) Commit(ctx context.Context, g *storage.Generation) error {
	return t.tiers.Commit(ctx, g)
}

// Generation implements storage.Storage.
func (t tiered) Generation(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*storage.Generation, error) {
	return t.tiers.Generation(ctx, store, root)
}

// Orphans implements storage.OrphanLister.
func (t tiered) Orphans(ctx context.Context) iter.Seq2[storage.Orphan, error] {
	if lister, ok := t.Storage.(storage.OrphanLister); ok {
		return lister.Orphans(ctx)
	}
	return func(func(storage.Orphan, error) bool) {}
}

func (n *Node) newPushes() (*push.Manager, error) {
	return push.New(push.Options{
		Storage: tiered{n.storage, n.tiers},
		Find:    n.held,
		Access:  n.c.Access, Tracked: n.follow.isTracked, Decide: n.decide,
		Committed: n.committed, Refuses: n.refuses, Used: n.usedBy,
		MaxSessions: n.c.Limits.MaxSessions, MaxStagedBytes: n.c.Limits.MaxStagedBytes,
		Now: n.c.Now,
	})
}

// held returns the descriptor of content that the node holds and that is not quarantined.
func (n *Node) held(hash merkle.Hash) (capsule.Descriptor, error) {
	ref, d, err := n.tiers.Index().Find(hash)
	if err != nil {
		return d, err
	}
	places, err := n.tiers.Index().Where(ref)
	if err == nil && len(places) == 0 {
		err = fmt.Errorf("content %v: %w", hash, fs.ErrNotExist)
	}
	return d, err
}

// usedBy returns the bytes of the heads that a credential has pushed.
func (n *Node) usedBy(credential string) int64 {
	var total int64
	for _, store := range n.tiers.Index().Stores() {
		g, err := n.c.Storage.Generation(context.Background(), store, merkle.Hash{})
		if err != nil {
			continue // no head, or unreadable now
		}
		meta, err := storage.DecodeMeta(g.Meta)
		if err == nil && meta.Credential == credential {
			total += int64(g.Manifest.Size())
		}
	}
	return total
}

// state returns the state of the node and of a datastore for the policy.
func (n *Node) state(ctx context.Context, f tier.Facts) (policy.State, error) {
	usage, err := n.c.Storage.Usage(ctx)
	if err != nil {
		return policy.State{}, err
	}
	s := policy.State{Pinned: f.Pinned, Tracked: f.Tracked, MaxPlots: -1,
		Accepted: uint64(usage.Bytes)}
	s.Capacity, s.Free = 1<<62, 1<<62 // unknown: no limit
	if usage.Free >= 0 {
		s.Free = uint64(usage.Free)
		s.Capacity = s.Free + uint64(usage.Bytes)
	}
	return s, nil
}

// decide asks the policy about a push.
func (n *Node) decide(ctx context.Context, c push.Candidate) policy.Decision {
	f, err := n.facts(ctx, auth.StoreID(c.Store))
	var state policy.State
	if err == nil {
		state, err = n.state(ctx, f)
	}
	if err != nil {
		return policy.Decision{Code: policy.CodeNoSpace, Reason: err.Error()}
	}
	state.Tracked = state.Tracked || c.Tracked
	candidate := policy.Candidate{Store: economy.ID(c.Store), Root: economy.ID(c.Root),
		Handle: f.Handle, Tier: f.Tier, Capsules: uint64(c.Capsules), Size: uint64(c.Adds),
		Origin: policy.Push, Reward: f.Reward, Bribe: f.Bribe, Providers: f.Providers,
		Requests24h: f.Requests24h}
	if c.Owner {
		candidate.Origin = policy.Local
	}
	d := n.c.Policy.Decide(ctx, candidate, state)
	for _, w := range d.Warnings {
		n.hub.send(slog.LevelWarn, "policy", w, map[string]any{
			"datastore_id": "0x" + c.Store.String()})
	}
	return d
}

// committed sends an event about a push. There are no peers to notify yet.
func (n *Node) committed(_ context.Context, g *storage.Generation) []auth.NodeID {
	m := g.Manifest
	details := map[string]any{"datastore_id": "0x" + m.Store.String(),
		"merkle_root": "0x" + m.Root.String(), "capsule_count": len(m.Capsules),
		"size_bytes": m.Size()}
	n.hub.send(slog.LevelInfo, "storage", "head_advanced", details)
	return nil
}

// Push offers a generation to the node, as POST /datastore/push does. If the policy declines it,
// the error is ErrDeclined and the result has the code.
func (n *Node) Push(ctx context.Context, p *push.Push) (*push.Result, error) {
	res, err := n.pushes.Push(ctx, p)
	if err == nil && !res.Accepted {
		err = fmt.Errorf("push of store %v: %w: %s", p.Manifest.Store, ErrDeclined, res.Code)
	}
	return res, err
}
