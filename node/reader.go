package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// reader serves reads of the API from the tiers. It is an api.Capsules and an api.Datastores.
type reader struct {
	tiers *tier.Tiers
	trees *lru.Cache[index.Key, *merkle.Tree]
}

// Limits of the cache of Merkle trees: at most 64 MiB.
const (
	keptTrees  = 128
	keptLeaves = 1 << 13
)

func newReader(t *tier.Tiers) (*reader, error) {
	trees, err := lru.New[index.Key, *merkle.Tree](keptTrees)
	return &reader{t, trees}, err
}

// Find implements api.Capsules.
func (r *reader) Find(ctx context.Context, ref capsule.Ref) (*api.Found, error) {
	ref, d, err := r.tiers.Resolve(ref)
	if err != nil {
		return nil, err
	}
	return r.found(ctx, ref, d)
}

// FindHash implements api.Capsules.
func (r *reader) FindHash(ctx context.Context, hash merkle.Hash) (*api.Found, error) {
	ref, d, err := r.tiers.Index().Find(hash)
	if err != nil {
		if held, unknown := r.tiers.Held(ctx, hash); unknown != nil || held {
			return nil, errors.Join(unknown, err)
		}
		return nil, err
	}
	if _, _, err := r.tiers.Resolve(ref); err != nil {
		return nil, err
	}
	return r.found(ctx, ref, d)
}

func (r *reader) found(
	ctx context.Context, ref capsule.Ref, d capsule.Descriptor,
) (*api.Found, error) {
	places, err := r.tiers.Index().Where(ref)
	if err != nil {
		return nil, err
	}
	if len(places) == 0 { // absent or quarantined: the tiers return the error
		c, err := r.tiers.Get(ctx, ref, "")
		if err != nil {
			return nil, readError(err)
		}
		c.Close()
	}
	f := &api.Found{Ref: ref, Descriptor: d}
	g, err := r.tiers.Index().Generation(ref.Store, ref.Root)
	if err != nil {
		return nil, err
	}
	if g.Created > 0 {
		f.Modified = time.Unix(int64(g.Created), 0)
	}
	if plotID, _, err := r.tiers.Locate(ctx, ref); err == nil {
		f.Plot = plotID
	}
	if g.Described == g.Count && !d.ChunkRoot.IsZero() {
		f.Prove = func(context.Context) (merkle.Proof, error) { return r.prove(g, ref.Index) }
	}
	return f, nil
}

// prove returns the proof of a capsule in its generation.
func (r *reader) prove(g index.Generation, i uint32) (merkle.Proof, error) {
	tree, ok := r.trees.Get(g.Key)
	if !ok {
		leaves := make([]merkle.Hash, 0, g.Count)
		for d := range r.tiers.Index().Capsules(g.Key) {
			leaves = append(leaves, d.Leaf())
		}
		tree = merkle.NewTree(leaves)
		if tree.Root() != g.Root {
			return merkle.Proof{}, fmt.Errorf("root %v of store %v: %w: capsules fold to %v",
				g.Root, g.Store, capsule.ErrManifest, tree.Root())
		}
		if len(leaves) <= keptLeaves {
			r.trees.Add(g.Key, tree)
		}
	}
	return tree.Prove(int(i))
}

// Open implements api.Capsules.
func (r *reader) Open(
	ctx context.Context, f *api.Found, off, n int64, client string,
) (api.Body, error) {
	c, err := r.tiers.Get(ctx, f.Ref, client)
	if err != nil {
		return api.Body{}, readError(err)
	}
	if off > 0 {
		if _, err := c.Seek(off, io.SeekStart); err != nil {
			c.Close()
			return api.Body{}, readError(err)
		}
	}
	return api.Body{ReadCloser: c, Cache: c.Hit.String()}, nil
}

// readError converts the error of a read for the API.
func readError(err error) error {
	if errors.Is(err, tier.ErrCorrupt) {
		return &api.Error{Code: api.CorruptCapsule, Err: err}
	}
	return err
}

// Datastore implements api.Datastores.
func (r *reader) Datastore(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*api.Datastore, error) {
	g, err := r.tiers.Generation(ctx, store, root)
	if err != nil {
		return nil, err
	}
	m, err := withStatement(g)
	if err != nil {
		return nil, err
	}
	ds := &api.Datastore{Manifest: m}
	key := index.Key{Store: store, Root: m.Root}
	known, err := r.tiers.Index().Generation(store, m.Root)
	if err == nil && known.Held < known.Count {
		held := make(map[uint32]bool, known.Held)
		for d, have := range r.tiers.Index().Capsules(key) {
			if have {
				held[d.Index] = true
			}
		}
		ds.Held = func(i uint32) bool { return held[i] }
	}
	return ds, nil
}

// withStatement returns the manifest of a generation with its stored root statement.
func withStatement(g *storage.Generation) (*capsule.Manifest, error) {
	m := *g.Manifest
	if len(g.Meta) == 0 {
		return &m, nil
	}
	meta, err := storage.DecodeMeta(g.Meta)
	if err != nil {
		return nil, fmt.Errorf("root %v of store %v: %w", m.Root, m.Store, err)
	}
	m.Generation = meta.Generation
	m.Signature, m.Writer = meta.Signature, meta.Writer
	return &m, nil
}
