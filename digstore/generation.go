package digstore

import (
	"fmt"
	"io/fs"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// A Generation is one state of a store: resources under names. It is an fs.FS, read-only, and never
// changes; several goroutines may use it.
//
// A generation holds hashes of names, not names. Open and Resource work for a caller that knows a
// name. Listing needs the names themselves: those of own commits, those that the module shows
// (section 13, or the discovery resource), those that WithNames brings, or those that the store has
// learned from other generations and by KeepNames. Where one is missing, ReadDir is an
// *fs.PathError with errors.ErrUnsupported.
//
// As in any fs.FS, a name such as "a//b" cannot be opened by Open, nor listed; Resource opens it.
// Where one resource is called "a" and another "a/b", "a" is listed as a directory.
type Generation struct {
	s    *Store
	info module.Generation
	mod  *module.Module
	own  []string // names in the order of the key table, nil when they are not kept

	recipe *module.Recipe // nil: it lies in the form of the reference
	digest func() (merkle.Hash, error)

	more Names // by WithNames

	named sync.Once
	table *nameTable
	err   error
}

// open opens the generation of a history line.
func (s *Store) open(line module.Generation) (*Generation, error) {
	g, err := s.dir.Open(line)
	if err != nil {
		return nil, err
	}
	return &Generation{s: s, info: line, mod: g.Module, own: g.Names, recipe: g.Recipe,
		digest: g.Digest}, nil
}

// Info returns the generation's line in the history.
func (g *Generation) Info() module.Generation { return g.info }

// ID returns the store and the root.
func (g *Generation) ID() module.ID { return module.ID{Store: g.s.set.id, Root: g.info.Root} }

// PublicKey returns the publisher's key that the module states; zero when it states none.
func (g *Generation) PublicKey() auth.PublicKey { return g.mod.PublicKey() }

// Module returns the generation as a module.
func (g *Generation) Module() *module.Module { return g.mod }

// Message returns the message of the commit, "" when there is none.
func (g *Generation) Message() string {
	m, err := g.mod.Metadata()
	if err != nil {
		return ""
	}
	text, _ := m.Message()
	return text
}

// URN returns the address of a resource in this generation.
func (g *Generation) URN(name string) urn.URN {
	return urn.URN{Store: g.s.set.id, Root: g.info.Root, Resource: name}
}

// Resource opens the content of a resource named exactly so; fs.ErrNotExist when there is none.
// Bytes that are damaged, or a salt that is not the store's, are urn.ErrSealed when they are read.
func (g *Generation) Resource(name string) (*module.Plain, error) {
	r, err := g.mod.Find(urn.RetrievalKey(g.s.set.id, name))
	if err != nil {
		return nil, fmt.Errorf("resource %.200q: %w", name, err)
	}
	p, err := r.Open(urn.NewKey(g.s.set.id, name, g.s.salts.current()))
	if err != nil {
		return nil, fmt.Errorf("resource %.200q: %w", name, err)
	}
	return p, nil
}

// OpenURN opens the resource that an address of this store leads to, whatever root it names: with
// no resource part, or an empty one, index.html (urn/FORMAT.md 4).
func (g *Generation) OpenURN(u urn.URN) (*module.Plain, error) {
	if u.Store != g.s.set.id {
		return nil, fmt.Errorf("%s: expected store %s: %w", u, g.s.set.id, fs.ErrNotExist)
	}
	return g.Resource(u.Name())
}

// Prove returns the proof that a resource belongs to the generation's root.
func (g *Generation) Prove(name string) (merkle.Proof, error) {
	r, err := g.mod.Find(urn.RetrievalKey(g.s.set.id, name))
	if err != nil {
		return merkle.Proof{}, fmt.Errorf("prove %.200q: %w", name, err)
	}
	return r.Proof()
}

// Len returns the number of resources.
func (g *Generation) Len() (int, error) { return g.mod.Len() }

// ModuleSize returns the length of the module in bytes.
func (g *Generation) ModuleSize() int64 { return g.mod.Size() }

// Bytes returns the plaintext of all resources together, in bytes.
func (g *Generation) Bytes() (int64, error) {
	var n int64
	for r, err := range g.mod.Resources() {
		if err != nil {
			return 0, fmt.Errorf("generation %s: %w", g.info.Root, err)
		}
		n += r.Size()
	}
	return n, nil
}
