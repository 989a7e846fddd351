package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// Room returns nil if size more bytes can be put into the storage without using its reserve, and
// ErrNoSpace otherwise. Unsolicited content should leave twice the reserve free: see Low.
func (t *Tiers) Room(ctx context.Context, size int64) error {
	free, reserve, err := t.watermark(ctx)
	if err != nil || free < 0 {
		return err
	}
	if size > free-reserve {
		return fmt.Errorf("%w: %d bytes, found room for %d", ErrNoSpace, size, max(0, free-reserve))
	}
	return nil
}

// Low reports whether less than twice the reserve of the storage is free. Offers of peers are
// declined then.
func (t *Tiers) Low(ctx context.Context) (bool, error) {
	free, reserve, err := t.watermark(ctx)
	return err == nil && free >= 0 && free < 2*reserve, err
}

// watermark returns the free bytes of the storage and how many of them are its reserve. Free is
// negative when it is not known.
func (t *Tiers) watermark(ctx context.Context) (free, reserve int64, err error) {
	u, err := t.c.Storage.Usage(ctx)
	if err != nil {
		return 0, 0, err
	}
	if u.Free < 0 {
		return -1, 0, nil
	}
	return u.Free, int64(policy.Reserve(uint64(u.Bytes + u.Free))), nil
}

// Put adds content to the storage, as Storage.Put does. The content is kept for at least
// Settings.Grace, and is served by its hash only after Commit. Put replaces quarantined content.
func (t *Tiers) Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error {
	t.discarding.RLock()
	t.mu.Lock()
	t.staged[d.Hash] = t.c.Now()
	t.mu.Unlock()
	t.discarding.RUnlock()
	if err := t.c.Storage.Put(ctx, d, r); err != nil {
		return err
	}
	return t.mended(d.Hash, storagePlace)
}

// Commit makes a generation visible, as Storage.Commit does, in the index too. If the generation
// was revoked, the error is auth.ErrRevoked. Capsules that only plots have are copied into the
// storage first.
func (t *Tiers) Commit(ctx context.Context, g *storage.Generation) error {
	if g.Manifest == nil {
		return t.c.Storage.Commit(ctx, g) // which returns the error
	}
	k := index.Key{Store: g.Manifest.Store, Root: g.Manifest.Root}
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.state.IsRevoked(k) {
		return fmt.Errorf("commit root %v of store %v: %w", k.Root, k.Store, auth.ErrRevoked)
	}
	err := t.c.Storage.Commit(ctx, g)
	if errors.Is(err, fs.ErrNotExist) {
		if err = t.copyFromPlots(ctx, g.Manifest); err == nil {
			err = t.c.Storage.Commit(ctx, g)
		}
	}
	if err != nil {
		return err
	}
	if t.state.IsRemoved(k) {
		if err := t.state.Change(func(s *state.Data) { delete(s.Removed, k) }); err != nil {
			return err
		}
		if err := t.reindexPlots(ctx, k); err != nil {
			return err
		}
	}
	t.mu.Lock()
	for _, d := range g.Manifest.Capsules {
		delete(t.staged, d.Hash)
	}
	t.mu.Unlock()
	return t.indexCommitted(g)
}

// copyFromPlots puts the capsules of a manifest that the storage does not have into it, from plots.
func (t *Tiers) copyFromPlots(ctx context.Context, m *capsule.Manifest) error {
	for _, d := range m.Capsules {
		rc, err := t.c.Storage.Open(ctx, d, 0, 0)
		if err == nil {
			rc.Close()
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if rc, err = t.openPlots(ctx, d); err != nil {
			return err
		}
		err = t.c.Storage.Put(ctx, d, rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			return err
		}
	}
	return nil
}

// indexCommitted puts a generation that was committed into the index.
func (t *Tiers) indexCommitted(g *storage.Generation) error {
	m := g.Manifest
	k := index.Key{Store: m.Store, Root: m.Root}
	if g.Head {
		for _, old := range t.index.Generations(m.Store) {
			if old.Head && old.Key != k {
				t.index.SetHead(storagePlace, old.Key, false)
			}
		}
	}
	it := index.Item{Key: k, Size: -1, Head: g.Head}
	if !g.Head {
		now, err := t.index.Generation(m.Store, m.Root)
		it.Head = err == nil && now.Head // a head stays the head if committed again without Head
	}
	err := t.index.Set(storagePlace, it, index.Holding{Key: k, Created: m.Created,
		Count: uint32(len(m.Capsules)), Capsules: m.Capsules})
	t.cache.Forget(m.Store)
	return err
}

// Remove removes a generation, or with a zero root every generation of the datastore. After it
// returns, nothing of the generation is served, even if plots still have it. If there is none, the
// error is fs.ErrNotExist.
func (t *Tiers) Remove(ctx context.Context, store auth.StoreID, root merkle.Hash) error {
	return t.remove(ctx, store, root, false)
}

// Revoke removes a generation that a valid tombstone revokes, and refuses it in the future; with a
// zero root the whole datastore. A generation that is not held can be revoked.
func (t *Tiers) Revoke(ctx context.Context, store auth.StoreID, root merkle.Hash) error {
	return t.remove(ctx, store, root, true)
}

func (t *Tiers) remove(
	ctx context.Context, store auth.StoreID, root merkle.Hash, revoke bool,
) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	var gone []index.Generation
	for _, g := range t.index.Generations(store) {
		if root.IsZero() || g.Root == root {
			gone = append(gone, g)
		}
	}
	if len(gone) == 0 && !revoke {
		return t.absent(fmt.Errorf("remove root %v of store %v: %w", root, store, fs.ErrNotExist))
	}
	err := t.state.Change(func(s *state.Data) {
		now := t.c.Now()
		for _, g := range gone {
			s.Removed[g.Key] = state.Removal{Store: g.Store, Root: g.Root, At: now, Revoked: revoke}
		}
		if revoke {
			r := state.Removal{Store: store, Root: root, At: now, Revoked: true}
			s.Removed[r.Key()] = r
		}
		if root.IsZero() {
			delete(s.Accessed, store)
			delete(s.Refused, store)
		}
	})
	if err != nil {
		return err
	}
	for _, g := range gone {
		err = errors.Join(err, t.removeOne(ctx, g))
	}
	t.cache.Remove(store)
	return err
}

// removeOne takes a generation, which the state has as removed, out of the index and the storage.
func (t *Tiers) removeOne(ctx context.Context, g index.Generation) error {
	t.index.Drop(storagePlace, index.Item{Key: g.Key})
	err := t.reindexPlots(ctx, g.Key)
	gone := t.c.Storage.Remove(ctx, g.Store, g.Root)
	if gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		return errors.Join(err, gone)
	}
	t.notify(Event{Kind: GenerationRemoved, Store: g.Store, Root: g.Root, Bytes: int64(g.Bytes)})
	return err
}

// reindexPlots reads the plots that hold a datastore into the index again, after a generation of it
// was removed or has come back. Volumes that are away follow when they return.
func (t *Tiers) reindexPlots(ctx context.Context, k index.Key) error {
	t.indexing.Lock()
	defer t.indexing.Unlock()
	var errs []error
	for _, v := range t.volumes {
		if v.inPlace() != nil {
			v.setStale(true)
			continue
		}
		for _, p := range v.held() {
			has := slices.ContainsFunc(p.Datastores, func(d plot.Datastore) bool {
				return d.Store == k.Store && d.Root == k.Root
			})
			if has {
				errs = append(errs, t.reindexPlot(ctx, v, p.Path))
			}
		}
	}
	return errors.Join(errs...)
}

// reindexPlot reads a plot into the index again. The caller holds indexing.
func (t *Tiers) reindexPlot(ctx context.Context, v *volume, path string) error {
	info, err := v.fs.Lstat(path)
	if err != nil {
		return v.explain(err)
	}
	it := index.Item{Name: path, Size: info.Size(), Modified: info.ModTime()}
	holdings, err := collect(guarded{v, t.state}.Read(ctx, it))
	if err != nil {
		return v.explain(err)
	}
	return t.index.Set(v.source.Name(), it, holdings...)
}

// explain turns the absence of a file into ErrUnavailable when the volume is away.
func (v *volume) explain(err error) error {
	if away := v.inPlace(); away != nil {
		return &unavailableError{what: "volume " + v.Path, cause: away}
	}
	return err
}

// finishRemovals removes from the storage what the state has as removed, as after a crash, and
// forgets removals of what is nowhere any more. The caller holds changing.
func (t *Tiers) finishRemovals(ctx context.Context) error {
	var list []state.Removal
	t.state.Read(func(d *state.Data) {
		for _, r := range d.Removed {
			list = append(list, r)
		}
	})
	for _, r := range list {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.Root.IsZero() {
			continue
		}
		err := t.c.Storage.Remove(ctx, r.Store, r.Root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.failed("", err)
			continue
		}
		if !r.Revoked && t.complete() && !t.inPlots(r.Key()) {
			t.state.Note(func(s *state.Data) { delete(s.Removed, r.Key()) })
		}
	}
	return nil
}

// inPlots reports whether a plot names the generation.
func (t *Tiers) inPlots(k index.Key) bool {
	for _, p := range t.Plots() {
		for _, d := range p.Datastores {
			if d.Store == k.Store && d.Root == k.Root {
				return true
			}
		}
	}
	return false
}
