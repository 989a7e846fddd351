package storedir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/publishing"
	"github.com/dig-network/digstore/digstore/internal/recipedir"
	"github.com/dig-network/digstore/digstore/internal/sigdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A Publication is a generation that is to be published.
type Publication struct {
	Recipe *module.Recipe
	Names  []string            // of the resources of a commit; nil: unknown
	Pack   *packdir.Writer     // its new chunks, not yet finished; nil or empty if it has none
	Packed string              // or the path of a pack that is finished and synced
	Chunks []pack.Entry        // of Packed
	Head   auth.SignedRoot     // the known signatures
	Lines  []module.Generation // for roots.log; none if the line exists already

	Learned []string // names to be kept for all generations
}

// SyncDirs syncs subdirectories of the store at the same time.
func (d *Dir) SyncDirs(names ...string) error {
	var g errgroup.Group
	for _, n := range names {
		g.Go(func() error { return d.FS.SyncDir(filepath.Join(d.Path, n)) })
	}
	return g.Wait()
}

// SyncPacks syncs the directory of the packs.
func (d *Dir) SyncPacks() error { return d.SyncDirs(packsDir) }

// packName returns the path of the pack of the writer with that serial number.
func (d *Dir) packName(root merkle.Hash, serial uint64) string {
	return filepath.Join(d.Path, packsDir, fmt.Sprintf("%s.%016x%s", root, serial, packdir.Ext))
}

// packNames returns the paths that the pack of a writer may have. Earlier versions named packs by
// the root alone.
func (d *Dir) packNames(last publishing.Record) []string {
	return []string{d.packName(last.Root, last.Serial),
		filepath.Join(d.Path, packsDir, last.Root.String()+packdir.Ext)}
}

// PublishReceived publishes a generation whose chunks a transfer has received.
func (d *Dir) PublishReceived(ctx context.Context, h *history.History, in *incoming.Transfer,
	p *Publication) error {
	if err := d.CheckPool(p.Recipe, in.Has); err != nil {
		return err
	}
	name, err := in.Packed()
	if err != nil {
		return err
	}
	p.Packed, p.Chunks = name, in.Entries()
	return d.Publish(ctx, h, p)
}

// Publish makes a generation visible (LAYOUT.md 12.2): pack, recipe and signatures are written
// under temporary names and synced, renamed, and their directories synced. Then one synced line in
// roots.log is the commit point. Independent syncs run at the same time. If the line exists
// already, the generation becomes visible with the rename of its recipe, so the name of the pack is
// made durable first.
//
// It needs the lock of the store, taken by LockSwept or LockHead. After an error the generation is
// not visible, unless the last step failed: then it may be, and its files are not removed.
func (d *Dir) Publish(ctx context.Context, h *history.History, a *Publication) error {
	p := &publisher{Publication: a, d: d, h: h, root: a.Recipe.Root()}
	err := p.prepare()
	if err == nil {
		err = p.write(ctx)
	}
	if err == nil {
		err = p.rename()
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", p.root, err)
	}
	if p.newPack != "" {
		d.Packs.Added(filepath.Base(p.newPack), a.Chunks)
	}
	d.Packs.Tidy()
	d.Recipes.Remember(p.root, p.kept)
	return nil
}

// publisher publishes one generation.
type publisher struct {
	*Publication
	d       *Dir
	h       *history.History
	root    merkle.Hash
	number  uint64 // of the generation, for the base of its recipe; 0: it has no base
	there   bool   // the line is already in the history
	kept    *recipedir.Recipe
	newPack string      // final path of the pack; "" if there is none
	renames [][2]string // of all files except the recipe
}

// prepare determines the number of the generation and makes the directories.
func (p *publisher) prepare() error {
	line, there, err := p.h.Find(p.root)
	if err != nil {
		return err
	}
	p.there, p.number = there, p.h.Len()
	if n := len(p.Lines); n > 0 {
		p.number = p.Lines[n-1].Number
	} else if there {
		p.number = line.Number
	}
	// The recipe of a root with several lines has no base, because recipes between these lines may
	// be built on it.
	repeated, err := p.h.Repeated(p.root, p.Lines)
	if err != nil {
		return err
	}
	if repeated {
		p.number = 0
	}
	// Store the recipe as unverified, so that a later verification reads the disk.
	if p.kept, err = recipedir.NewRecipe(p.Recipe.WithVerified(nil, nil), p.Names); err != nil {
		return err
	}
	// A workspace of the reference implementation lacks some of the directories.
	for _, dir := range []string{packsDir, recipedir.SubDir, sigdir.SubDir} {
		if err := diskfs.MkdirAll(p.d.FS, filepath.Join(p.d.Path, dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// write writes and syncs all files under temporary names, and the proofs of the lines.
func (p *publisher) write(ctx context.Context) error {
	d := p.d
	var g errgroup.Group
	serial := d.nextSerial()
	if p.Pack != nil && len(p.Pack.Entries()) > 0 {
		p.newPack = d.packName(p.root, serial)
		p.renames = append(p.renames, [2]string{p.Pack.Path(), p.newPack})
		p.Chunks = p.Pack.Entries()
		g.Go(func() error {
			if err := p.Pack.Finish(); err != nil {
				return err
			}
			return p.Pack.Sync()
		})
	} else if p.Packed != "" {
		p.newPack = d.packName(p.root, serial)
		p.renames = append(p.renames, [2]string{p.Packed, p.newPack})
	}
	g.Go(func() error { return d.announce(&p.root, serial) })
	g.Go(p.writeRecipe)
	if len(p.Learned) > 0 {
		g.Go(func() error {
			_, err := d.Learn(p.Learned)
			return err
		})
	}
	signatures := d.Signatures.Files(p.Head)
	g.Go(func() error { return d.Log.Prove(p.h, p.Lines, len(signatures) > 0) })
	for _, sig := range signatures {
		p.renames = append(p.renames, [2]string{sig.Path + ".tmp", sig.Path})
		g.Go(func() error { return diskfs.WriteNew(d.FS, sig.Path+".tmp", sig.Bytes, 0o644, true) })
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// writeRecipe writes the recipe, as the difference from an earlier one if it has a base.
func (p *publisher) writeRecipe() error {
	base := p.d.Recipes.Base(func(n uint64) (merkle.Hash, bool) {
		if n >= p.h.Len() {
			return merkle.Hash{}, false
		}
		g, err := p.h.Line(n)
		return g.Root, err == nil
	}, p.number)
	b, err := p.kept.Encode(base)
	if err != nil {
		return err
	}
	return diskfs.WriteNew(p.d.FS, p.d.Recipes.Path(p.root)+".tmp", b, 0o644, true)
}

// rename gives the files their names and appends the lines.
func (p *publisher) rename() error {
	d := p.d
	if p.Pack != nil {
		if err := p.Pack.Close(); err != nil {
			return err
		}
	}
	for _, r := range p.renames {
		if err := d.FS.Rename(r[0], r[1]); err != nil {
			return err
		}
	}
	if p.there {
		if err := d.SyncDirs(packsDir, sigdir.SubDir); err != nil {
			return err
		}
	}
	name := d.Recipes.Path(p.root)
	if err := d.FS.Rename(name+".tmp", name); err != nil {
		return err
	}
	if len(p.Lines) == 0 {
		return d.SyncDirs(recipedir.SubDir)
	}
	if err := d.SyncDirs(packsDir, sigdir.SubDir, recipedir.SubDir); err != nil {
		return err
	}
	return d.Log.ExtendProven(p.h, p.Lines)
}
