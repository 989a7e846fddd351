package digstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A recipe file, recipes/<root hex>.recipe, is a module without its chunks and, for commits made here, the names
// of its resources:
//
//	"DIGRCPE1" || u8 depth || base root(32), zero for none || u64 length of the body || u32 CRC-32C of the body || zstd frame
//
// The frame holds the body or, where there is a base, the delta that makes it of the base's body (delta.go), so
// that a generation costs what it changed. The body is
//
//	bytes recipe (module.Recipe) || Option<Vec<String>> names, one for each row of the key table
//
// The base of generation n is n with its lowest set bit cleared, where that is held; generations whose number is a
// multiple of 64 stand alone. So at most 6 files are read to open one.
const (
	recipeMagic  = "DIGRCPE1"
	recipeHeader = len(recipeMagic) + 1 + 32 + 8 + 4
	recipeExt    = ".recipe"
	maxDepth     = 6
	wholeEvery   = 64
	// maxBody bounds a body: a recipe keeps what is not chunks, some 70 bytes for each resource.
	maxBody = 1 << 30
)

// held is a recipe as it is kept.
type held struct {
	recipe *module.Recipe
	names  []string // one for each row of the key table, nil when not known
	body   []byte   // for the recipes that are built on it
	depth  int
	base   merkle.Hash
	header [recipeHeader]byte // of its file
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
	return filepath.Join(s.dir, "recipes", root.String()+recipeExt)
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

// cached returns the recipe of a root if it is in memory and its file is the one that was read; else nil. Another
// process may have removed the file, or have written it anew on another base.
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
	var header [recipeHeader]byte
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
	v, err, _ := s.reading.Do(string(root[:]), func() (any, error) { // many may ask for it at once
		h, err := s.readBody(root, 0)
		if err != nil {
			return nil, err
		}
		if h.recipe != nil { // by now it is kept, and others have it
			return h, nil
		}
		if err := h.parse(); err != nil {
			return nil, corrupt(s.recipeName(root), "%v", err)
		}
		if got := h.recipe.Root(); got != root {
			return nil, corrupt(s.recipeName(root), "is of root %s", got)
		}
		s.mu.Lock()
		s.cache.put(root, h)
		s.mu.Unlock()
		return h, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*held), nil
}

// errNoBase says that a recipe is built on one that is missing.
var errNoBase = errors.New("its base is missing")

// readBody reads a recipe file and those that it is built on. A gc of another process may write the file anew on
// another base, and remove the old base, between the two: then the file is read again.
func (s *Store) readBody(root merkle.Hash, level int) (*held, error) {
	h, err := s.cached(root)
	if h != nil || err != nil {
		return h, err
	}
	name := s.recipeName(root)
	var last []byte
	for {
		b, err := diskfs.ReadFile(s.w.fs, name, maxBody)
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

// decodeHeld reads a recipe file's header and body.
func (s *Store) decodeHeld(name string, b []byte, level int) (*held, error) {
	if len(b) < recipeHeader || string(b[:len(recipeMagic)]) != recipeMagic {
		return nil, corrupt(name, "not a recipe")
	}
	header := [recipeHeader]byte(b)
	b = b[len(recipeMagic):]
	h := &held{header: header, depth: int(b[0]), base: merkle.Hash(b[1:33])}
	size, sum := binary.BigEndian.Uint64(b[33:]), binary.BigEndian.Uint32(b[41:])
	if size > maxBody || h.depth > maxDepth || level > maxDepth || (h.depth == 0) != h.base.IsZero() {
		return nil, corrupt(name, "bad header")
	}
	var from []byte
	if h.depth > 0 {
		base, err := s.readBody(h.base, level+1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w: %s", corrupt(name, "it is built on another recipe"), errNoBase, h.base)
		}
		if err != nil {
			return nil, err
		}
		from = base.body
	}
	var err error
	if h.body, err = inflate(b[45:], from, int(size)); err != nil {
		return nil, corrupt(name, "%v", err)
	}
	if uint64(len(h.body)) != size || crc32.Checksum(h.body, castagnoli) != sum {
		return nil, corrupt(name, "the body does not have the length and checksum of its header")
	}
	return h, nil
}

// parse decodes the body.
func (h *held) parse() error {
	r := codec.NewReader(h.body)
	raw := r.Bytes()
	if r.Option() {
		n := r.Count(4)
		h.names = make([]string, 0, n)
		for range n {
			h.names = append(h.names, r.String())
		}
	}
	if err := r.Done(); err != nil {
		return err
	}
	var err error
	if h.recipe, err = module.ParseRecipe(raw); err != nil {
		return err
	}
	if h.names != nil && len(h.names) != h.recipe.Len() {
		return fmt.Errorf("%d names for %d resources", len(h.names), h.recipe.Len())
	}
	return nil
}

// newHeld makes a recipe ready to be written.
func newHeld(r *module.Recipe, names []string) (*held, error) {
	raw, err := r.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("write recipe: %w", err)
	}
	size := 4 + len(raw) + 1 + 4
	for _, n := range names {
		size += 4 + len(n)
	}
	w := codec.NewWriter(make([]byte, 0, size))
	w.Bytes(raw)
	w.Option(names != nil)
	if names != nil {
		w.Count(len(names))
		for _, n := range names {
			w.String(n)
		}
	}
	body, err := w.Done()
	if err != nil {
		return nil, fmt.Errorf("write recipe: %w", err)
	}
	return &held{recipe: r, names: names, body: body}, nil
}

// baseOf returns the generation that the recipe of number n is built on, nil when it stands alone. rootOf says which
// root a number below n has, if that may be built on.
func (s *Store) baseOf(rootOf func(n uint64) (merkle.Hash, bool), n uint64) (*held, merkle.Hash) {
	for n%wholeEvery != 0 {
		n &= n - 1
		root, ok := rootOf(n)
		if !ok {
			continue
		}
		if h, err := s.readBody(root, 0); err == nil && h.depth < maxDepth {
			return h, root
		}
	}
	return nil, merkle.Hash{}
}

// encode returns the recipe file, as a difference from base unless that is nil.
func (h *held) encode(base *held, baseRoot merkle.Hash) ([]byte, error) {
	var from []byte
	h.depth, h.base = 0, merkle.Hash{}
	if base != nil {
		from, h.depth, h.base = base.body, base.depth+1, baseRoot
	}
	b := append(make([]byte, 0, recipeHeader+len(h.body)/2), recipeMagic...)
	b = append(b, byte(h.depth))
	b = append(b, h.base[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(h.body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(h.body, castagnoli))
	h.header = [recipeHeader]byte(b)
	return deflate(b, h.body, from)
}

// deflate appends the body, or the delta that makes it of base, as one zstd frame.
func deflate(dst, body, base []byte) ([]byte, error) {
	if base != nil {
		body = appendDelta(nil, base, body)
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(windowFor(len(body))))
	if err != nil {
		return nil, fmt.Errorf("compress recipe: %w", err)
	}
	defer w.Close()
	return w.EncodeAll(body, dst), nil
}

// inflate gives back a body of that size.
func inflate(frame, base []byte, size int) ([]byte, error) {
	most := size
	if base != nil {
		most = 3*size + 64 // a delta is hardly ever longer than what it makes, and never three times as long
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(max(most, 1))),
		zstd.WithDecoderMaxWindow(maxBody))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := r.DecodeAll(frame, make([]byte, 0, min(size, 16<<20)))
	if err != nil || base == nil {
		return body, err
	}
	return applyDelta(base, body, size)
}

// windowFor returns the power of two, at least 1 KiB, that covers n bytes.
func windowFor(n int) int {
	w := zstd.MinWindowSize
	for w < n && w < zstd.MaxWindowSize {
		w *= 2
	}
	return w
}
