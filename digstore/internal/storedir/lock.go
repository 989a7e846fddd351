package storedir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Lock waits for the lock of the store. The caller closes it.
func (d *Dir) Lock(ctx context.Context) (io.Closer, error) {
	err := d.CheckAccess(d.Path)
	var l io.Closer
	if err == nil {
		l, err = d.Options.Lock(ctx, filepath.Join(d.Path, lockFile))
	}
	if errors.Is(err, module.ErrRemoved) {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", d.Name, err)
	}
	return l, nil
}

// LockSwept is Lock for writers of generations. It also reads the history, and removes what a
// crashed writer has left.
func (d *Dir) LockSwept(ctx context.Context) (io.Closer, *history.History, error) {
	l, err := d.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = d.checkNotRemoved()
	var h *history.History
	if err == nil {
		h, err = d.Log.Read()
	}
	if err == nil {
		err = d.sweep(ctx, h)
	}
	if err == nil && h.NeedsIndex() { // another version wrote the lines, or writing an index failed
		d.Log.Index(h)
		h, err = d.Log.Read()
	}
	if err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return l, h, nil
}

// LockHead is LockSwept for writers that build on the head. If the head is not held, the error is
// module.ErrDamaged.
func (d *Dir) LockHead(ctx context.Context) (io.Closer, *history.History, error) {
	l, h, err := d.LockSwept(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := d.CheckHead(h); err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return l, h, nil
}

// checkNotRemoved returns an error for a store that is being removed. It needs the lock of the
// store.
func (d *Dir) checkNotRemoved() error {
	_, err := d.FS.Stat(filepath.Join(d.Path, RemovedMark))
	if err == nil {
		return fmt.Errorf("store %s was removed: %w", d.Name, fs.ErrNotExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// CheckHead returns module.ErrDamaged if the head is not held, or was signed and its signature is
// missing. In both cases the line is damaged or files are lost.
func (d *Dir) CheckHead(h *history.History) error {
	head, ok := h.Head()
	if !ok {
		return nil
	}
	there, err := d.Has(head.Root)
	if err != nil {
		return err
	}
	if there {
		return d.CheckSigned(head)
	}
	return damage.In(d.Log.Path(), "generation %d, the head, root %s: not held",
		head.Number, head.Root)
}

// Has reports whether a generation is held, in this layout or in that of the reference
// implementation.
func (d *Dir) Has(root merkle.Hash) (bool, error) {
	for _, name := range append([]string{d.Recipes.Path(root)}, d.Legacy.Paths(root)...) {
		_, err := d.FS.Stat(name)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("look for generation %s: %w", root, err)
		}
	}
	return false, nil
}

// CheckSigned returns module.ErrDamaged if the generation was signed and its signatures are
// missing.
func (d *Dir) CheckSigned(line module.Generation) error {
	signed, err := d.Log.Signed(line.Number)
	if err != nil || !signed {
		return err
	}
	r, err := d.Signatures.Read(line.Root)
	if err == nil && r.Tagged.IsZero() && r.Untagged.IsZero() {
		err = damage.In(d.Signatures.Path(line.Root, true),
			"missing: generation %d was signed", line.Number)
	}
	return err
}

// Sweep removes what a crashed writer has left. Call it before a transfer, which must not rely on
// chunks that a crashed writer has left or another process has removed. It does not wait: if
// another writer holds the lock, that writer has swept.
func (d *Dir) Sweep(ctx context.Context) error {
	if err := d.CheckAccess(d.Path); err != nil {
		return fmt.Errorf("store %s: %w", d.Name, err)
	}
	l, err := d.FS.TryLock(filepath.Join(d.Path, lockFile))
	if errors.Is(err, diskfs.ErrLocked) {
		d.forgetUnless(0)
		return nil
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", d.Name, err)
	}
	defer l.Close()
	h, err := d.Log.Read()
	if err != nil {
		return err
	}
	return d.sweep(ctx, h)
}
