package storedir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/legacy"
	"github.com/dig-network/digstore/digstore/internal/namedir"
	"github.com/dig-network/digstore/digstore/internal/recipedir"
	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// A Generation is an open generation.
type Generation struct {
	Module *module.Module
	// Names are the names of the resources, in the order of the key table; nil if the recipe has
	// none.
	Names []string
	// Recipe is nil if the reference implementation wrote the generation.
	Recipe *module.Recipe
	// Digest identifies the bytes of the module. It is zero while they might change unnoticed.
	Digest func() (merkle.Hash, error)
}

// Open opens the generation of a line. If the generation is not held, the error is that of NotHeld.
func (d *Dir) Open(line module.Generation) (*Generation, error) {
	r, err := d.Recipes.Read(line.Root)
	if errors.Is(err, fs.ErrNotExist) {
		g, err := d.Legacy.Open(line.Root, d.Packs)
		if err != nil {
			return nil, err
		}
		if g == nil {
			return nil, d.NotHeld(line)
		}
		return &Generation{Module: g.Module, Names: g.Names, Digest: g.Digest}, nil
	}
	if err != nil {
		return nil, err
	}
	mod, err := r.Recipe.Module(d.Packs)
	if err != nil {
		return nil, fmt.Errorf("store %s: generation %s: %w", d.Name, line.Root, err)
	}
	return &Generation{Module: mod, Names: r.Names, Recipe: r.Recipe, Digest: r.Recipe.Digest}, nil
}

// NotHeld returns the error for a generation that is not held: fs.ErrNotExist if it was dropped,
// and module.ErrDamaged otherwise.
func (d *Dir) NotHeld(line module.Generation) error {
	proven, err := d.Log.HasProofs()
	if err != nil {
		return err
	}
	if proven {
		dropped, err := d.Log.Dropped()
		if err != nil {
			return err
		}
		if !dropped.Has(line.Number) {
			return damage.In(d.Recipes.Path(line.Root),
				"missing: generation %d was not dropped", line.Number)
		}
	}
	return fmt.Errorf("store %s: generation %s is not held: %w", d.Name, line.Root,
		fs.ErrNotExist)
}

// PendingRecipe returns the recipe of a pending generation.
func (d *Dir) PendingRecipe(root merkle.Hash) (*module.Recipe, error) {
	return d.Pending.Recipe(root, d.Recipes.Parse)
}

// Listed returns the names in section 13 of a module for which the module has a resource. A damaged
// section has none.
func (d *Dir) Listed(mod *module.Module) ([]string, error) {
	m, err := mod.PublicManifest()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrFormat) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("generation %s: %w", mod.ID().Root, err)
	}
	var list []string
	for _, e := range m.Entries {
		if _, err := mod.Find(urn.RetrievalKey(d.Store, e.Path)); err == nil {
			list = append(list, e.Path)
		}
	}
	return list, nil
}

// Learn adds names to those of the store, durably, and returns how many are new. The first call
// also adds the names of all held generations, because earlier versions kept them in recipes only.
// It needs the lock of the store.
func (d *Dir) Learn(list []string) (int, error) {
	return d.Names.Add(list, func() (namedir.Set, bool, error) {
		roots, err := d.heldRoots()
		if err != nil {
			return nil, false, err
		}
		set := namedir.Set{}
		return set, len(roots) > 0, d.AddNames(set, roots)
	})
}

// LearnListed adds the names that a generation being received lists. It needs the lock of the
// store.
func (d *Dir) LearnListed(in *incoming.Transfer, recipe *module.Recipe) error {
	mod, err := recipe.Module(in)
	if err != nil {
		return err
	}
	list, err := d.Listed(mod)
	if err != nil {
		return err
	}
	_, err = d.Learn(list)
	return err
}

// heldRoots returns the roots of the generations that may have names in their recipes.
func (d *Dir) heldRoots() ([]merkle.Hash, error) {
	var roots []merkle.Hash
	for _, sub := range []string{recipedir.SubDir, legacy.SubDir} {
		list, err := d.FS.ReadDir(filepath.Join(d.Path, sub))
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

// AddNames adds the names in the recipes of generations to set. It skips generations that are not
// held or damaged.
func (d *Dir) AddNames(set namedir.Set, roots []merkle.Hash) error {
	for _, root := range roots {
		g, err := d.Open(module.Generation{Root: root})
		if errors.Is(err, module.ErrRemoved) || err != nil && !errors.Is(err, fs.ErrNotExist) &&
			!errors.Is(err, module.ErrDamaged) {
			return err
		}
		if err != nil {
			continue
		}
		listed, err := d.Listed(g.Module)
		if err != nil {
			return err
		}
		set.Add(g.Names)
		set.Add(listed)
	}
	return nil
}
