package digstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// arrival is a generation on its way to being visible.
type arrival struct {
	recipe *module.Recipe
	names  []string            // of own commits
	pack   *packdir.Writer     // what it brings, to be finished; nil or empty when it brings no chunk
	packed string              // or the name of a pack that is finished and synced
	chunks []pack.Entry        // of packed
	head   auth.SignedRoot     // signatures, those that are known
	lines  []module.Generation // for roots.log; none when the line is there already

	learned []string // names to be kept for all generations
}

// publish makes a generation visible (LAYOUT.md 12.2): pack, recipe and signatures are written
// under temporary names and synced, renamed, their directories synced; then one synced line in
// roots.log is the commit point. Files whose syncs do not depend on each other are synced together.
// A generation whose line is there already becomes visible with the rename of its recipe, so then
// the pack's name is made durable first.
//
// The caller holds the store's lock and has swept. When it fails, nothing is visible, but for a
// failure of the very last step, after which the generation may be there: nothing that it needs is
// removed then.
func (s *Store) publish(ctx context.Context, h *history.History, a *arrival) error {
	p := &publication{s: s, h: h, arrival: a, root: a.recipe.Root()}
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
		s.packs.Added(filepath.Base(p.newPack), a.chunks)
	}
	s.packs.Tidy()
	s.mu.Lock()
	s.cache.put(p.root, p.kept)
	s.mu.Unlock()
	return nil
}

// publication is an arrival that is being published.
type publication struct {
	*arrival
	s       *Store
	h       *history.History
	root    merkle.Hash
	number  uint64 // of the generation, for the base of its recipe; 0: none
	there   bool   // the line is in the history already
	kept    *held
	newPack string      // the path that the pack gets; "" without one
	renames [][2]string // of all files but the recipe
}

// prepare finds out which number the generation has, and makes the directories.
func (p *publication) prepare() error {
	line, there, err := p.h.Find(p.root)
	if err != nil {
		return err
	}
	p.there, p.number = there, p.h.Len()
	if n := len(p.lines); n > 0 {
		p.number = p.lines[n-1].Number
	} else if there {
		p.number = line.Number
	}
	// The recipe of a root with several lines has no base: recipes between these lines may be built
	// on it.
	repeated, err := p.h.Repeated(p.root, p.lines)
	if err != nil {
		return err
	}
	if repeated {
		p.number = 0
	}
	// A later verification is to read the disk.
	if p.kept, err = newHeld(p.recipe.WithVerified(nil, nil), p.names); err != nil {
		return err
	}
	for _, dir := range []string{"packs", "recipes", "sigs"} { // a reference's workspace has none yet
		if err := diskfs.MkdirAll(p.s.w.fs, filepath.Join(p.s.dir, dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// write writes and syncs all files under temporary names, and the proofs of the lines.
func (p *publication) write(ctx context.Context) error {
	s := p.s
	var g errgroup.Group
	serial := s.nextSerial()
	if p.pack != nil && len(p.pack.Entries()) > 0 {
		p.newPack = s.packName(p.root, serial)
		p.renames = append(p.renames, [2]string{p.pack.Path(), p.newPack})
		p.chunks = p.pack.Entries()
		g.Go(func() error {
			if err := p.pack.Finish(); err != nil {
				return err
			}
			return p.pack.Sync()
		})
	} else if p.packed != "" {
		p.newPack = s.packName(p.root, serial)
		p.renames = append(p.renames, [2]string{p.packed, p.newPack})
	}
	g.Go(func() error { return s.intend(&p.root, serial) })
	g.Go(p.writeRecipe)
	if len(p.learned) > 0 {
		g.Go(func() error {
			_, err := s.learn(p.learned)
			return err
		})
	}
	signatures := s.sigFiles(p.head)
	g.Go(func() error { return s.log.Prove(p.h, p.lines, len(signatures) > 0) })
	for _, sig := range signatures {
		p.renames = append(p.renames, [2]string{sig.name + ".tmp", sig.name})
		g.Go(func() error { return diskfs.WriteNew(s.w.fs, sig.name+".tmp", sig.bytes, 0o644, true) })
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// writeRecipe writes the recipe, as a difference from an earlier one where there is one.
func (p *publication) writeRecipe() error {
	base := p.s.baseOf(func(n uint64) (merkle.Hash, bool) {
		if n >= p.h.Len() {
			return merkle.Hash{}, false
		}
		g, err := p.h.Line(n)
		return g.Root, err == nil
	}, p.number)
	b, err := p.kept.encode(base)
	if err != nil {
		return err
	}
	return diskfs.WriteNew(p.s.w.fs, p.s.recipeName(p.root)+".tmp", b, 0o644, true)
}

// rename gives the files their names and appends the lines.
func (p *publication) rename() error {
	fsys := p.s.w.fs
	if p.pack != nil {
		if err := p.pack.Close(); err != nil {
			return err
		}
	}
	for _, r := range p.renames {
		if err := fsys.Rename(r[0], r[1]); err != nil {
			return err
		}
	}
	if p.there {
		if err := p.s.syncDirs("packs", "sigs"); err != nil {
			return err
		}
	}
	name := p.s.recipeName(p.root)
	if err := fsys.Rename(name+".tmp", name); err != nil {
		return err
	}
	if len(p.lines) == 0 {
		return p.s.syncDirs("recipes")
	}
	if err := p.s.syncDirs("packs", "sigs", "recipes"); err != nil {
		return err
	}
	return p.s.log.ExtendProven(p.h, p.lines)
}

// syncDirs syncs directories of the store, together.
func (s *Store) syncDirs(names ...string) error {
	var g errgroup.Group
	for _, n := range names {
		g.Go(func() error { return s.w.fs.SyncDir(filepath.Join(s.dir, n)) })
	}
	return g.Wait()
}

// packName returns the name of the pack that the writer of that serial number makes.
func (s *Store) packName(root merkle.Hash, serial uint64) string {
	return filepath.Join(s.dir, "packs", fmt.Sprintf("%s.%016x%s", root, serial, packdir.Ext))
}

// packNames returns the names that the pack of a writer may have. Earlier versions named packs by
// the root alone.
func (s *Store) packNames(last intent) []string {
	return []string{s.packName(last.root, last.serial),
		filepath.Join(s.dir, "packs", last.root.String()+packdir.Ext)}
}

// sigFile is a signature sidecar: sigs/<root>.sig or .untagged.sig. See LAYOUT.md 8.1.
type sigFile struct {
	name  string
	bytes []byte
}

func (s *Store) sigName(root merkle.Hash, tagged bool) string {
	ext := ".untagged.sig"
	if tagged {
		ext = ".sig"
	}
	return filepath.Join(s.dir, "sigs", root.String()+ext)
}

// sigFiles are the sidecars of those signatures that are known.
func (s *Store) sigFiles(r auth.SignedRoot) []sigFile {
	var list []sigFile
	if !r.Tagged.IsZero() {
		list = append(list, sigFile{s.sigName(r.Root, true), r.Tagged[:]})
	}
	if !r.Untagged.IsZero() {
		list = append(list, sigFile{s.sigName(r.Root, false), r.Untagged[:]})
	}
	return list
}

// writeSigs keeps signatures, durably. The caller holds the lock.
func (s *Store) writeSigs(r auth.SignedRoot) error {
	if err := diskfs.MkdirAll(s.w.fs, filepath.Join(s.dir, "sigs"), 0o755); err != nil {
		return fmt.Errorf("keep signatures: %w", err)
	}
	for _, f := range s.sigFiles(r) {
		if err := diskfs.WriteFile(s.w.fs, f.name, f.bytes, 0o644); err != nil {
			return fmt.Errorf("keep signatures: %w", err)
		}
	}
	return nil
}

// readSigs reads the signatures that are kept for a root.
func (s *Store) readSigs(root merkle.Hash) (r auth.SignedRoot, err error) {
	r = auth.SignedRoot{Store: s.set.id, Root: root}
	for _, f := range []struct {
		tagged bool
		to     *auth.Signature
	}{{true, &r.Tagged}, {false, &r.Untagged}} {
		name := s.sigName(root, f.tagged)
		b, err := diskfs.ReadFile(s.w.fs, name, maxConfig)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("read signature: %w", err)
		}
		if len(b) != len(f.to) {
			return r, corrupt(name, "%d bytes, want %d", len(b), len(f.to))
		}
		copy(f.to[:], b)
	}
	return r, nil
}

// checkSigned is ErrCorrupt when signatures of a generation were known and are not kept.
func (s *Store) checkSigned(line module.Generation) error {
	signed, err := s.log.Signed(line.Number)
	if err != nil || !signed {
		return err
	}
	r, err := s.readSigs(line.Root)
	if err == nil && r.Tagged.IsZero() && r.Untagged.IsZero() {
		err = corrupt(s.sigName(line.Root, true), "it is missing: generation %d was signed", line.Number)
	}
	return err
}
