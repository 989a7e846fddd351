package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/pending"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Push receives a module that was pushed. See digstore.Workspace.Receive.
func Push(ctx context.Context, d *storedir.Dir, p module.Push, r io.Reader,
	check func(*module.Module) error) error {
	if err := d.Sweep(ctx); err != nil {
		return err
	}
	in, err := d.Receive(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	recipe, err := in.Accept(ctx, module.ID{Store: d.Store, Root: p.Head.Root}, r, check)
	if err != nil {
		return err
	}
	return keepLocked(ctx, d, in, recipe, p)
}

// PushRecipe receives a generation that was pushed as a recipe and chunks. See
// digstore.Workspace.ReceiveRecipe.
func PushRecipe(ctx context.Context, d *storedir.Dir, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	if err := d.Sweep(ctx); err != nil {
		return err
	}
	parts := &incoming.Parts{Recipe: a.Recipe, Fetch: a.Fetch}
	var err error
	if !a.Base.IsZero() {
		if parts.Base, err = Recipe(d, a.Base); err != nil {
			return err
		}
		parts.More, err = packdir.OpenAlone(d.FS, d.Pending.Pack(a.Base), d.Packs)
		if err != nil {
			return err
		}
		defer parts.More.Close()
		if a.Base == p.Head.Root && !p.Pending {
			return promoteSame(ctx, d, p, parts, check)
		}
	}
	if parts.To, err = d.Receive(ctx); err != nil {
		return err
	}
	defer parts.To.Close()
	id := module.ID{Store: d.Store, Root: p.Head.Root}
	if err := parts.Accept(ctx, id, check); err != nil {
		return err
	}
	return keepLocked(ctx, d, parts.To, a.Recipe, p)
}

// keepLocked takes the lock of the store and calls Keep.
func keepLocked(ctx context.Context, d *storedir.Dir, in *incoming.Transfer,
	recipe *module.Recipe, p module.Push) error {
	l, h, err := d.LockHead(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return Keep(ctx, d, h, &Received{in, recipe, p})
}

// Received is a pushed generation that has arrived and was checked.
type Received struct {
	Transfer *incoming.Transfer
	Recipe   *module.Recipe
	Push     module.Push
}

// Keep makes a generation the head, or pending. It needs the lock of the store and a history read
// under it. It pins the key in the first module of a store.
func Keep(ctx context.Context, d *storedir.Dir, h *history.History, r *Received) error {
	root := r.Recipe.Root()
	if err := checkFollows(h, root, r.Push.Parent); err != nil {
		return err
	}
	if err := d.CheckPool(r.Recipe, r.Transfer.Has); err != nil {
		return err
	}
	pins, err := d.Pins.Read()
	if err == nil && pins.Publisher.IsZero() && !r.Recipe.PublicKey().IsZero() {
		err = d.Pins.Write(module.Pins{Publisher: r.Recipe.PublicKey()})
	}
	if err != nil {
		return err
	}
	head := r.Push.Head
	if r.Push.Pending {
		return d.Pending.Keep(r.Transfer, r.Recipe, pending.Info{Parent: r.Push.Parent,
			Time: d.Now().Unix(), PublicKey: head.PublicKey, Tagged: head.Tagged,
			Untagged: head.Untagged})
	}
	return d.PublishReceived(ctx, h, r.Transfer, &storedir.Publication{Recipe: r.Recipe,
		Head: head, Lines: []module.Generation{d.NextLine(h, root)}})
}

// checkFollows returns an error unless parent is the head and root is new. A zero parent means an
// empty history.
func checkFollows(h *history.History, root, parent merkle.Hash) error {
	if g, ok, err := h.Find(root); err != nil {
		return err
	} else if ok {
		return fmt.Errorf("root %s is generation %d: %w", root, g.Number, fs.ErrExist)
	}
	head, _ := h.Head()
	if head.Root != parent {
		return fmt.Errorf("parent %s, the head is %s: %w", parent, head.Root, module.ErrNotHead)
	}
	return nil
}

// promoteSame makes a pending generation the head because its recipe was pushed again.
func promoteSame(ctx context.Context, d *storedir.Dir, p module.Push, parts *incoming.Parts,
	check func(*module.Module) error) error {
	if err := checkSame(parts.Recipe, parts.Base); err != nil {
		return err
	}
	if err := parts.Fetch(parts.Put); err != nil { // only checks the chunks, which are here
		return err
	}
	id := module.ID{Store: d.Store, Root: p.Head.Root}
	recipe := parts.Base.WithVerified(parts.Base, nil)
	if err := incoming.CheckModule(recipe, parts.More, id, check); err != nil {
		return err
	}
	parts.More.Close() // Windows cannot rename an open file
	l, h, err := d.LockHead(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return promote(ctx, d, h, p)
}

func checkSame(a, b *module.Recipe) error {
	x, err := a.MarshalBinary()
	if err != nil {
		return err
	}
	y, err := b.MarshalBinary()
	if err != nil {
		return err
	}
	if string(x) != string(y) {
		return fmt.Errorf("recipe differs from that of the pending generation: %w",
			module.ErrVerify)
	}
	return nil
}

// Revert makes a held generation of the history the head again. See digstore.Workspace.Revert.
func Revert(ctx context.Context, d *storedir.Dir, p module.Push) error {
	l, h, err := d.LockHead(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if top, _ := h.Head(); top.Root != p.Parent {
		return fmt.Errorf("parent %s, the head is %s: %w", p.Parent, top.Root, module.ErrNotHead)
	}
	root := p.Head.Root
	if root == p.Parent {
		return fmt.Errorf("already the head: %w", fs.ErrExist)
	}
	if _, ok, err := h.Find(root); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("not in the history: %w", fs.ErrNotExist)
	}
	kept, err := d.Recipes.Read(root)
	if err != nil {
		return err
	}
	if err := d.CheckPool(kept.Recipe, func(merkle.Hash) bool { return false }); err != nil {
		return err
	}
	return d.Publish(ctx, h, &storedir.Publication{Recipe: kept.Recipe, Names: kept.Names,
		Head: p.Head, Lines: []module.Generation{d.NextLine(h, root)}})
}

// Confirmed returns the recipe of a generation of the history. The error is fs.ErrNotExist if the
// generation is not held, or has no recipe because the reference implementation wrote it.
func Confirmed(d *storedir.Dir, root merkle.Hash) (*module.Recipe, error) {
	h, err := d.Log.Current()
	if err != nil {
		return nil, err
	}
	if _, ok, err := h.Find(root); err != nil {
		return nil, fmt.Errorf("recipe of %s: %w", root, err)
	} else if !ok {
		return nil, fmt.Errorf("recipe of %s: store %s: %w", root, d.Name, fs.ErrNotExist)
	}
	kept, err := d.Recipes.Read(root)
	if err != nil {
		return nil, fmt.Errorf("recipe of %s: %w", root, err)
	}
	return kept.Recipe, nil
}

// Recipe is Confirmed for pending generations too.
func Recipe(d *storedir.Dir, root merkle.Hash) (*module.Recipe, error) {
	r, err := Confirmed(d, root)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	_, perr := d.Pending.Info(root)
	if perr == nil {
		r, perr = d.PendingRecipe(root)
	}
	if errors.Is(perr, fs.ErrNotExist) {
		return Confirmed(d, root) // it may have been promoted meanwhile
	}
	if perr != nil {
		return nil, fmt.Errorf("recipe of %s: %w", root, perr)
	}
	return r, nil
}
