package receive

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Pending lists the pending generations, oldest first. See digstore.Workspace.Pending.
func Pending(d *storedir.Dir) ([]module.Generation, error) {
	h, err := d.Log.Current()
	if err != nil {
		return nil, err
	}
	roots, err := d.Pending.Roots()
	if err != nil {
		return nil, err
	}
	var out []module.Generation
	for _, root := range roots {
		if _, ok, err := h.Find(root); err != nil {
			return nil, err
		} else if ok { // otherwise it was promoted meanwhile
			continue
		}
		p, err := d.Pending.Info(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out,
			module.Generation{Number: h.Len(), Root: root, Time: time.Unix(p.Time, 0).UTC()})
	}
	slices.SortStableFunc(out, func(a, b module.Generation) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// Promote makes a pending generation the head. See digstore.Workspace.Promote.
func Promote(ctx context.Context, d *storedir.Dir, root merkle.Hash) error {
	l, h, err := d.LockHead(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	p, err := d.Pending.Info(root)
	if err != nil {
		return err
	}
	head := auth.SignedRoot{Store: d.Store, Root: root, PublicKey: p.PublicKey, Tagged: p.Tagged,
		Untagged: p.Untagged}
	return promote(ctx, d, h, module.Push{Head: head, Parent: p.Parent})
}

// promote makes a pending generation the head. It needs the lock of the store and a history read
// under it.
func promote(ctx context.Context, d *storedir.Dir, h *history.History, p module.Push) error {
	root := p.Head.Root
	if err := checkFollows(h, root, p.Parent); err != nil {
		return err
	}
	recipe, err := d.PendingRecipe(root)
	if err != nil {
		return err
	}
	a := &storedir.Publication{Recipe: recipe, Head: p.Head,
		Lines: []module.Generation{d.NextLine(h, root)}}
	received := map[merkle.Hash]bool{}
	index, err := packdir.ReadIndex(d.FS, d.Pending.Pack(root))
	switch {
	case err == nil && index.Len() > 0:
		a.Packed = d.Pending.Pack(root)
		for e := range index.Entries() {
			a.Chunks = append(a.Chunks, e)
			received[e.ID] = true
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist): // without a pack it has no new chunk
		return err
	}
	if err := d.CheckPool(recipe, func(id merkle.Hash) bool { return received[id] }); err != nil {
		return err
	}
	if err := d.Publish(ctx, h, a); err != nil {
		return err
	}
	return d.Pending.Drop(root)
}

// Drop removes a pending generation. It is no error if the generation is not pending.
func Drop(ctx context.Context, d *storedir.Dir, root merkle.Hash) error {
	l, _, err := d.LockHead(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return d.Pending.Drop(root)
}
