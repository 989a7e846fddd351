package capsule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// ModuleRoots is a RootTrust for datastores that are the modules of a store. It computes the
// capsule root of each generation from the module's bytes, which are cut into capsules of
// DefaultSize. The fields must not be changed after the first call.
type ModuleRoots struct {
	// Generations returns the generation roots of a store that are confirmed, as by the chain,
	// newest first. An unknown store is fs.ErrNotExist.
	Generations func(ctx context.Context, store auth.StoreID) ([]merkle.Hash, error)
	// Module opens the module of a generation, verified against that generation root. One that
	// cannot be had is fs.ErrNotExist and passed over.
	Module func(ctx context.Context, store auth.StoreID, generation merkle.Hash) (io.ReadCloser,
		error)
	// MaxGenerations is how many generations, from the newest, are computed in one call of
	// Trusted; not positive means 4. Those that are known already do not count.
	MaxGenerations int

	mu    sync.Mutex
	known map[generationKey]*generationRoot
}

type generationKey struct {
	store      auth.StoreID
	generation merkle.Hash
}

// generationRoot is what a module folds to. Ready is closed when it is known.
type generationRoot struct {
	ready    chan struct{}
	root     merkle.Hash
	capsules uint32
	err      error
}

// maxKnownRoots bounds what is remembered; beyond it everything is forgotten.
const maxKnownRoots = 1 << 14

// Trusted implements RootTrust. It reads modules that have not been read before, whole.
func (t *ModuleRoots) Trusted(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (uint32, error) {
	generations, err := t.Generations(ctx, store)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, untrusted(store, root, "store is not known")
	}
	if err != nil {
		return 0, fmt.Errorf("find generations of store %v: %w", store, err)
	}
	left := t.MaxGenerations
	if left <= 0 {
		left = 4
	}
	var missing error
	for _, g := range generations {
		r, isNew := t.lookup(generationKey{store, g}, left > 0)
		if r == nil {
			break
		}
		if isNew {
			left--
			t.compute(ctx, generationKey{store, g}, r)
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		switch {
		case errors.Is(r.err, fs.ErrNotExist):
			missing = r.err
		case r.err != nil:
			return 0, r.err
		case r.root == root:
			return r.capsules, nil
		}
	}
	if missing != nil {
		return 0, fmt.Errorf("%w: root %v of store %v: %w", ErrUntrusted, root, store, missing)
	}
	return 0, untrusted(store, root, "no confirmed generation has it")
}

// lookup returns what is known about a generation, and begins it when it is new and that is
// allowed.
func (t *ModuleRoots) lookup(k generationKey, begin bool) (r *generationRoot, isNew bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r = t.known[k]; r != nil || !begin {
		return r, false
	}
	if t.known == nil || len(t.known) >= maxKnownRoots {
		t.known = make(map[generationKey]*generationRoot)
	}
	r = &generationRoot{ready: make(chan struct{})}
	t.known[k] = r
	return r, true
}

// compute reads the module. What failed is forgotten, so that the next call tries again.
func (t *ModuleRoots) compute(ctx context.Context, k generationKey, r *generationRoot) {
	defer close(r.ready)
	r.root, r.capsules, r.err = t.read(ctx, k)
	if r.err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.known[k] == r {
			delete(t.known, k)
		}
	}
}

func (t *ModuleRoots) read(ctx context.Context, k generationKey) (merkle.Hash, uint32, error) {
	rc, err := t.Module(ctx, k.store, k.generation)
	if err != nil {
		return merkle.Hash{}, 0, fmt.Errorf("open module of generation %v: %w", k.generation, err)
	}
	defer rc.Close()
	m, err := Split(ctx, k.store, rc, nil, nil)
	if err != nil {
		return merkle.Hash{}, 0, err
	}
	return m.Root, uint32(len(m.Capsules)), nil
}
