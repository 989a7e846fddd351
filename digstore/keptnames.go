package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/names"
	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// The names that a store has learned lie in its directory names, for all of its generations
// (LAYOUT.md 7.4). A retrieval key is a hash of the store id and the name, so it is the same in
// every generation and is not written down.
const (
	namesDir = "names"
	namesExt = ".names"
	// maxKeptNames bounds all files of names together, in bytes.
	maxKeptNames = 128 << 20
	// mergeNames is how much longer than the new file an older file may be that is merged into it.
	mergeNames = 8
)

// nameFile is one file of names.
type nameFile struct {
	path   string
	number uint64
	list   []string
	size   int64
	damage error // nil: the list is complete
}

// nameFiles lists the files of names, oldest first. It does not read them.
func (s *Store) nameFiles() ([]nameFile, error) {
	dir := filepath.Join(s.dir, namesDir)
	list, err := s.w.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list files of names: %w", err)
	}
	var files []nameFile
	for _, e := range list {
		digits, ok := strings.CutSuffix(e.Name(), namesExt)
		number, err := strconv.ParseUint(digits, 16, 64)
		if ok && err == nil && len(digits) == 16 && number < math.MaxUint64 {
			files = append(files, nameFile{path: filepath.Join(dir, e.Name()), number: number})
		}
	}
	return files, nil // ReadDir sorts
}

// readNameFiles reads the files of names. A file that cannot be read has its damage noted, and the
// names that could be read. A file that has vanished is fs.ErrNotExist: a writer has merged it with
// others.
func (s *Store) readNameFiles() ([]nameFile, error) {
	files, err := s.nameFiles()
	if err != nil {
		return nil, err
	}
	left := int64(maxKeptNames)
	for i := range files {
		f := &files[i]
		b, err := diskfs.ReadFile(s.w.fs, f.path, left)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrRemoved):
			return nil, fmt.Errorf("read names: %w", err)
		case err != nil:
			f.damage = fmt.Errorf("read names: %w", err)
			continue
		}
		f.size = int64(len(b))
		left -= f.size
		if f.list, err = names.Decode(b); err != nil {
			f.damage = corrupt(f.path, "%v", err)
		}
	}
	return files, nil
}

// keptNames returns the names that the store has learned, newest first. damage says which of its
// files cannot be read completely. It takes no lock.
func (s *Store) keptNames() (list []string, damage, err error) {
	const attempts = 20 // each time a writer has merged files meanwhile
	var files []nameFile
	for range attempts {
		if files, err = s.readNameFiles(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrRemoved) {
			break
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var damages []error
	for _, f := range slices.Backward(files) {
		list = append(list, f.list...)
		damages = append(damages, f.damage)
	}
	return list, errors.Join(damages...), nil
}

// CheckNames returns an error if a file with names that the store has learned is damaged
// (ErrCorrupt) or cannot be read. Content does not depend on these files. Names of commits that
// were made here and are held are in their recipes too, and the next commit adds those that are
// missing.
func (s *Store) CheckNames() error {
	_, damage, err := s.keptNames()
	return errors.Join(err, damage)
}

// KeepNames keeps the names that are known of this generation, those of WithNames included, for all
// generations of the store. It returns how many are new.
func (g *Generation) KeepNames(ctx context.Context) (int, error) {
	t, err := g.names()
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	kept, _, err := g.s.keptNames()
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	fresh := nameSet{}
	fresh.add(t.names)
	fresh.remove(kept)
	if len(fresh) == 0 {
		return 0, nil
	}
	l, _, err := g.s.lockSwept(ctx)
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	defer l.Close()
	n, err := g.s.learn(t.names)
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	return n, nil
}

// nameSet is a set of names.
type nameSet map[string]struct{}

// add adds the valid names of list.
func (s nameSet) add(list []string) {
	for _, name := range list {
		if names.Valid(name) {
			s[name] = struct{}{}
		}
	}
}

// remove removes the names of list.
func (s nameSet) remove(list []string) {
	for _, name := range list {
		delete(s, name)
	}
}

// learn adds names to those that the store has learned, durably, and returns how many are new. The
// first time it adds those of all generations that are held: earlier versions had them in recipes
// only. Names over maxKeptNames are left out. The caller holds the store's lock.
func (s *Store) learn(list []string) (int, error) {
	files, err := s.readNameFiles()
	if err != nil {
		return 0, err
	}
	fresh := make(nameSet, len(list))
	fresh.add(list)
	first := len(files) == 0
	if first {
		roots, err := s.heldRoots()
		if err != nil {
			return 0, err
		}
		if len(roots)+len(list) == 0 {
			return 0, nil
		}
		if err := s.addNamesOf(fresh, roots); err != nil {
			return 0, err
		}
	}
	left := maxKeptNames - names.Size(nil)
	for _, f := range files {
		fresh.remove(f.list)
		left -= f.size
	}
	var added []string
	for name := range fresh {
		if left -= names.Cost(name); left < 0 {
			break
		}
		added = append(added, name)
	}
	if len(added) == 0 && !first {
		return 0, nil
	}
	return len(added), s.writeNames(files, added)
}

// writeNames writes a new file of names. It takes in the newest files that are not much longer, so
// that there are few files and a name is written again seldom. Files that are damaged stay as they
// are.
func (s *Store) writeNames(files []nameFile, list []string) error {
	merged := len(files)
	for merged > 0 {
		f := files[merged-1]
		if f.damage != nil || f.size > mergeNames*names.Size(list) {
			break
		}
		list = append(list, f.list...)
		merged--
	}
	number := uint64(1)
	if n := len(files); n > 0 {
		number = files[n-1].number + 1
	}
	slices.Sort(list)
	list = slices.Compact(list)
	dir := filepath.Join(s.dir, namesDir)
	if err := diskfs.MkdirAll(s.w.fs, dir, 0o700); err != nil {
		return fmt.Errorf("write names: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%016x%s", number, namesExt))
	if err := diskfs.WriteFile(s.w.fs, path, names.Encode(list), 0o600); err != nil {
		return fmt.Errorf("write names: %w", err)
	}
	for _, f := range files[merged:] {
		_ = s.w.fs.Remove(f.path) // a file that stays has nothing that the new one lacks
	}
	return nil
}

// heldRoots returns the roots of the generations that may have names of their own.
func (s *Store) heldRoots() ([]merkle.Hash, error) {
	var roots []merkle.Hash
	for _, sub := range []string{"recipes", "generations"} {
		list, err := s.w.fs.ReadDir(filepath.Join(s.dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list generations: %w", err)
		}
		for _, e := range list {
			if root, err := merkle.ParseHash(strings.TrimSuffix(e.Name(), recipefile.Ext)); err == nil {
				roots = append(roots, root)
			}
		}
	}
	return roots, nil
}

// addNamesOf adds the names that generations have themselves. Those that are not held, or are
// damaged, have none.
func (s *Store) addNamesOf(set nameSet, roots []merkle.Hash) error {
	for _, root := range roots {
		g, err := s.open(module.Generation{Root: root})
		if errors.Is(err, ErrRemoved) || err != nil && !errors.Is(err, fs.ErrNotExist) &&
			!errors.Is(err, ErrCorrupt) {
			return err
		}
		if err != nil {
			continue
		}
		listed, err := g.listed()
		if err != nil {
			return err
		}
		set.add(g.own)
		set.add(listed)
	}
	return nil
}

// listed returns the names of section 13 that resources of the generation have. A damaged section
// has none.
func (g *Generation) listed() ([]string, error) {
	m, err := g.mod.PublicManifest()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrFormat) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("generation %s: %w", g.info.Root, err)
	}
	var list []string
	for _, e := range m.Entries {
		if _, err := g.mod.Find(urn.RetrievalKey(g.s.set.id, e.Path)); err == nil {
			list = append(list, e.Path)
		}
	}
	return list, nil
}

// learnListed learns the names that a generation which is being received lists. The caller holds
// the store's lock.
func (s *Store) learnListed(in *incoming.Transfer, recipe *module.Recipe) error {
	mod, err := recipe.Module(in)
	if err != nil {
		return err
	}
	g := &Generation{s: s, info: module.Generation{Root: recipe.Root()}, mod: mod}
	list, err := g.listed()
	if err != nil {
		return err
	}
	_, err = s.learn(list)
	return err
}
