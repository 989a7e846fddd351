package storedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/evidence"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/namedir"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/pending"
	"github.com/dig-network/digstore/digstore/internal/publishing"
	"github.com/dig-network/digstore/digstore/internal/recipedir"
	"github.com/dig-network/digstore/digstore/internal/sigdir"
	"github.com/dig-network/digstore/digstore/internal/tombdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// nextSerial returns a new serial number. It needs the lock of the store.
func (d *Dir) nextSerial() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last.Serial = max(d.last.Serial+1, uint64(d.Now().UnixNano()))
	return d.last.Serial
}

// Announce records, durably, that files of a root are about to be written or removed; nil: any
// files. It needs the lock of the store.
func (d *Dir) Announce(root *merkle.Hash) error { return d.announce(root, d.nextSerial()) }

func (d *Dir) announce(root *merkle.Hash, serial uint64) error {
	r := publishing.Record{Serial: serial}
	if root != nil {
		r.Known, r.Root = true, *root
	}
	if err := d.publishing.Write(r); err != nil {
		return err
	}
	d.mu.Lock()
	d.upTo = serial
	d.mu.Unlock()
	return nil
}

// forgetUnless drops the caches of packs and recipes, unless the last writer had that serial
// number. 0 is not a number.
func (d *Dir) forgetUnless(serial uint64) {
	d.mu.Lock()
	same := serial != 0 && d.upTo == serial
	d.upTo = serial
	d.mu.Unlock()
	if !same {
		d.Recipes.Forget()
		d.Packs.Reload()
	}
}

// sweep removes what a crashed writer has left: temporary files, and packs, recipes and signatures
// of a root that is not in the history. If the head is not held, sweep removes nothing, because the
// history may be damaged and name a wrong root. It needs the lock of the store.
func (d *Dir) sweep(ctx context.Context, h *history.History) error {
	switch err := d.CheckHead(h); {
	case errors.Is(err, module.ErrDamaged):
		d.forgetUnless(0)
		return nil
	case err != nil:
		return err
	}
	last, err := d.publishing.Read()
	if err != nil {
		return err
	}
	if err := d.sweepPending(h, last); err != nil { // first: it may move a pack
		return err
	}
	for _, sub := range []string{"", history.IndexDir, tombdir.SubDir, pending.SubDir,
		evidence.SubDir, namedir.SubDir} {
		if err := d.sweepDir(sub, func(name string) bool {
			return strings.HasSuffix(name, ".tmp")
		}); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.last = last
	d.mu.Unlock()
	if last.Known {
		err = d.sweepRoot(h, last)
	} else {
		err = d.sweepAll(h)
	}
	if err != nil {
		return err
	}
	d.forgetUnless(last.Serial)
	return d.sweepIncoming(ctx)
}

// sweepDir removes the files of a directory for which orphan is true.
func (d *Dir) sweepDir(sub string, orphan func(name string) bool) error {
	dir := filepath.Join(d.Path, sub)
	list, err := d.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	removed := false
	for _, e := range list {
		if e.IsDir() || !orphan(e.Name()) {
			continue
		}
		if err := d.sweepFile(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		removed = true
	}
	if sub == packsDir && removed {
		d.Packs.Reload()
	}
	return nil
}

func (d *Dir) sweepFile(name string) error {
	err := d.FS.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) || diskfs.InUse(err) {
		// on Windows, another process still reads a removed pack
		return nil
	}
	return fmt.Errorf("sweep: %w", err)
}

// sweepAll looks through packs, recipes and signatures.
func (d *Dir) sweepAll(h *history.History) error {
	lines, err := h.Every()
	if err != nil {
		return err
	}
	known := make(map[merkle.Hash]bool, len(lines))
	for _, g := range lines {
		known[g.Root] = true
	}
	for _, sub := range []string{packsDir, recipedir.SubDir, sigdir.SubDir} {
		err := d.sweepDir(sub, func(name string) bool {
			if strings.HasSuffix(name, ".tmp") {
				return true
			}
			root, err := merkle.ParseHash(strings.SplitN(name, ".", 2)[0])
			// an error means that the name is not that of a root
			return err == nil && !strings.HasSuffix(name, packdir.IndexExt) && !known[root]
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepRoot removes what the last writer may have left.
func (d *Dir) sweepRoot(h *history.History, last publishing.Record) error {
	root := last.Root
	_, there, err := h.Find(root)
	if err != nil {
		return err
	}
	names := []string{filepath.Join(d.Path, packsDir, commitPack),
		filepath.Join(d.Path, packsDir, packdir.IndexTemp)}
	for _, name := range []string{d.Recipes.Path(root), d.Signatures.Path(root, true),
		d.Signatures.Path(root, false)} {
		names = append(names, name+".tmp")
		if !there {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := d.sweepFile(name); err != nil {
			return err
		}
	}
	if there {
		return nil
	}
	for _, name := range d.packNames(last) {
		if err := d.sweepFile(name); err != nil {
			return err
		}
	}
	d.Packs.Reload()
	return nil
}

// sweepPending removes what a crash has left of pending generations. It moves the pack of an
// interrupted promotion back to the pending generation, so that no other generation depends on it.
func (d *Dir) sweepPending(h *history.History, last publishing.Record) error {
	done := func(root merkle.Hash) (bool, error) {
		_, ok, err := h.Find(root)
		return ok, err
	}
	return d.Pending.Sweep(done, func(root merkle.Hash) error {
		if !last.Known || last.Root != root {
			return nil
		}
		for _, name := range d.packNames(last) {
			found, err := d.Pending.TakeBack(root, name)
			if found {
				d.Packs.Reload()
				return err
			}
		}
		return nil
	})
}

// sweepIncoming removes the directories of interrupted pushes, and of interrupted transfers of held
// roots.
func (d *Dir) sweepIncoming(ctx context.Context) error {
	return incoming.Sweep(ctx, d.FS, d.Incoming(), func(name string) bool {
		root, err := merkle.ParseHash(strings.TrimSuffix(name, incoming.ChunksExt))
		if err != nil {
			return false
		}
		there, err := d.Recipes.Has(root)
		return err != nil || !there
	})
}
