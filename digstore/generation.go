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

// A Generation is one state of a store: resources with names. It is a read-only fs.FS and never
// changes. It may be used by several goroutines.
//
// A generation contains hashes of names, not names. Open and Resource work if the caller knows the
// name. A listing needs the names themselves: those of commits made here, those in the module
// (section 13 or the discovery resource), those of WithNames, and those that the store has learned
// from other generations or by KeepNames. If one is missing, ReadDir returns an *fs.PathError with
// errors.ErrUnsupported.
//
// As in any fs.FS, a name such as "a//b" cannot be opened by Open and is not listed; Resource opens
// it. If one resource is named "a" and another "a/b", "a" is listed as a directory.
type Generation struct {
	s    *Store
	info module.Generation
	mod  *module.Module
	own  []string  // names in the order of the key table; nil: not stored
	salt *urn.Salt // salt of the store when the generation was opened; nil: none

	recipe *module.Recipe // nil: written by the reference implementation
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
		salt: s.salts.current(), digest: g.Digest}, nil
}

// Info returns the line of the generation in the history.
func (g *Generation) Info() module.Generation { return g.info }

// ID returns the store and the root.
func (g *Generation) ID() module.ID { return module.ID{Store: g.s.set.id, Root: g.info.Root} }

// PublicKey returns the publisher key in the module, or zero if it has none.
func (g *Generation) PublicKey() auth.PublicKey { return g.mod.PublicKey() }

// Module returns the generation as a module.
func (g *Generation) Module() *module.Module { return g.mod }

// Message returns the message of the commit, "" if it has none.
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

// Resource opens the content of the resource with exactly that name. The error is fs.ErrNotExist if
// there is none. Reading returns urn.ErrSealed if the bytes are damaged, or if the store had the
// wrong salt when the generation was opened.
func (g *Generation) Resource(name string) (*module.Plain, error) {
	r, err := g.mod.Find(urn.RetrievalKey(g.s.set.id, name))
	if err != nil {
		return nil, fmt.Errorf("resource %.200q: %w", name, err)
	}
	p, err := r.Open(urn.NewKey(g.s.set.id, name, g.salt))
	if err != nil {
		return nil, fmt.Errorf("resource %.200q: %w", name, err)
	}
	return p, nil
}

// OpenURN opens the resource of a URN of this store, whatever root it has. Without a resource part,
// or with an empty one, that is index.html (urn/FORMAT.md 4).
func (g *Generation) OpenURN(u urn.URN) (*module.Plain, error) {
	if u.Store != g.s.set.id {
		return nil, fmt.Errorf("%s: expected store %s: %w", u, g.s.set.id, fs.ErrNotExist)
	}
	return g.Resource(u.Name())
}

// Prove returns the proof that the resource belongs to the root of the generation.
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

// Bytes returns the plaintext size of all resources together.
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
