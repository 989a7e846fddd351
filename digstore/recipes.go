package digstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// held is a recipe as it is kept, in recipes/<root>.recipe.
type held struct {
	*recipefile.Body        // nil until it is parsed
	bytes            []byte // of the body
	depth            int
	base             merkle.Hash
	header           [recipefile.HeaderSize]byte // of its file
}

// recipeCache keeps the recipes that were used last.
type recipeCache struct {
	roots []merkle.Hash // oldest first
	held  map[merkle.Hash]*held
}

const cachedRecipes = 4

func (c *recipeCache) put(root merkle.Hash, h *held) {
	if c.held == nil {
		c.held = map[merkle.Hash]*held{}
	}
	if _, ok := c.held[root]; !ok {
		c.roots = append(c.roots, root)
	}
	c.held[root] = h
	if len(c.roots) > cachedRecipes {
		delete(c.held, c.roots[0])
		c.roots = append(c.roots[:0], c.roots[1:]...)
	}
}

func (s *Store) recipeName(root merkle.Hash) string {
	return filepath.Join(s.dir, "recipes", root.String()+recipefile.Ext)
}

// holds reports whether there is a recipe of that root.
func (s *Store) holds(root merkle.Hash) (bool, error) {
	_, err := s.w.fs.Stat(s.recipeName(root))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the recipe of %s: %w", root, err)
	}
	return true, nil
}

// cached returns the recipe of a root if it is in memory and its file is the one that was read;
// else nil. Another process may have removed the file, or have written it anew on another base.
func (s *Store) cached(root merkle.Hash) (*held, error) {
	s.mu.Lock()
	h := s.cache.held[root]
	s.mu.Unlock()
	if h == nil {
		return nil, nil
	}
	f, err := s.w.fs.OpenFile(s.recipeName(root), openRead, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	defer f.Close()
	var header [recipefile.HeaderSize]byte
	if _, err := f.ReadAt(header[:], 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	if header != h.header {
		return nil, nil
	}
	return h, nil
}

// recipe reads the recipe of a root; fs.ErrNotExist when it is not held.
func (s *Store) recipe(root merkle.Hash) (*held, error) {
	h, err := s.cached(root)
	if h != nil || err != nil {
		return h, err
	}
	read := func() (any, error) {
		h, err := s.readBody(root, 0)
		if err != nil {
			return nil, err
		}
		if h.Body != nil { // by now it is kept, and others have it
			return h, nil
		}
		if h.Body, err = recipefile.ParseBody(h.bytes); err != nil {
			return nil, fmt.Errorf("%s: %w", s.recipeName(root), err)
		}
		if got := h.Recipe.Root(); got != root {
			return nil, corrupt(s.recipeName(root), "is of root %s", got)
		}
		s.mu.Lock()
		s.cache.put(root, h)
		s.mu.Unlock()
		return h, nil
	}
	v, err, _ := s.reading.Do(string(root[:]), read) // many may ask for it at once
	if err != nil {
		return nil, err
	}
	return v.(*held), nil
}

// errNoBase says that a recipe is built on one that is missing.
var errNoBase = errors.New("its base is missing")

// readBody reads a recipe file and those that it is built on. A gc of another process may write the
// file anew on another base, and remove the old base, between the two: then it is read again.
func (s *Store) readBody(root merkle.Hash, level int) (*held, error) {
	h, err := s.cached(root)
	if h != nil || err != nil {
		return h, err
	}
	name := s.recipeName(root)
	var last []byte
	for {
		b, err := diskfs.ReadFile(s.w.fs, name, recipefile.MaxBody)
		if err != nil {
			return nil, fmt.Errorf("read recipe: %w", err)
		}
		h, err := s.decodeHeld(name, b, level)
		if !errors.Is(err, errNoBase) || bytes.Equal(b, last) {
			return h, err
		}
		last = b
	}
}

// decodeHeld reads the header and the body of a recipe file.
func (s *Store) decodeHeld(name string, b []byte, level int) (*held, error) {
	header, err := recipefile.ParseHeader(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if level > recipefile.MaxDepth {
		return nil, corrupt(name, "it is built on more than %d other recipes", recipefile.MaxDepth)
	}
	h := &held{header: [recipefile.HeaderSize]byte(b), depth: header.Depth, base: header.Base}
	var from []byte
	if h.depth > 0 {
		base, err := s.readBody(h.base, level+1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w: %s",
				corrupt(name, "it is built on another recipe"), errNoBase, h.base)
		}
		if err != nil {
			return nil, err
		}
		from = base.bytes
	}
	if h.bytes, err = recipefile.Decode(b, from); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return h, nil
}

// newHeld makes a recipe ready to be written.
func newHeld(r *module.Recipe, names []string) (*held, error) {
	body, err := recipefile.NewBody(r, names)
	if err != nil {
		return nil, err
	}
	return &held{Body: body, bytes: body.Bytes}, nil
}

// baseOf returns the recipe that that of number n is built on, nil when it has no base. rootOf says
// which root a number below n has, if that may be built on.
func (s *Store) baseOf(rootOf func(n uint64) (merkle.Hash, bool), n uint64) *recipefile.Base {
	for base := range recipefile.Bases(n) {
		root, ok := rootOf(base)
		if !ok {
			continue
		}
		if h, err := s.readBody(root, 0); err == nil && h.depth < recipefile.MaxDepth {
			return &recipefile.Base{Root: root, Depth: h.depth, Body: h.bytes}
		}
	}
	return nil
}

// encode returns the recipe file, as a difference from base unless that is nil.
func (h *held) encode(base *recipefile.Base) ([]byte, error) {
	b, err := recipefile.Encode(h.bytes, base)
	if err != nil {
		return nil, err
	}
	h.depth, h.base = 0, merkle.Hash{}
	if base != nil {
		h.depth, h.base = base.Depth+1, base.Root
	}
	h.header = [recipefile.HeaderSize]byte(b)
	return b, nil
}
