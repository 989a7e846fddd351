// Package recipedir keeps recipes in the directory recipes of a store, and caches the most recent
// ones. The format is in package recipefile, the choice of bases in LAYOUT.md 7.2.
package recipedir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// SubDir is the directory of the recipes, below that of the store.
const SubDir = "recipes"

// A Dir is the directory of the recipes. It may be used by several goroutines.
type Dir struct {
	fs   diskfs.FS
	path string

	mu      sync.Mutex
	cache   cache
	reading singleflight.Group
}

// New returns the recipes of the store in the directory dir.
func New(fsys diskfs.FS, dir string) *Dir {
	return &Dir{fs: fsys, path: filepath.Join(dir, SubDir)}
}

// A Recipe is a recipe with the data of its file.
type Recipe struct {
	*recipefile.Body        // nil until it is parsed; Read and NewRecipe set it
	bytes            []byte // encoded body
	depth            int
	base             merkle.Hash
	header           [recipefile.HeaderSize]byte // header of the file
}

// NewRecipe returns a recipe to be written. names are the names of its resources, or nil if they
// are unknown.
func NewRecipe(r *module.Recipe, names []string) (*Recipe, error) {
	body, err := recipefile.NewBody(r, names)
	if err != nil {
		return nil, err
	}
	return &Recipe{Body: body, bytes: body.Bytes}, nil
}

// Depth returns the length of the chain of recipes on which this one is built.
func (r *Recipe) Depth() int { return r.depth }

// Base returns the root of the recipe on which this one is built. It is undefined at depth 0.
func (r *Recipe) Base() merkle.Hash { return r.base }

// Encode returns the content of the file. It stores the difference from base, or the body if base
// is nil.
func (r *Recipe) Encode(base *recipefile.Base) ([]byte, error) {
	b, err := recipefile.Encode(r.bytes, base)
	if err != nil {
		return nil, err
	}
	r.depth, r.base = 0, merkle.Hash{}
	if base != nil {
		r.depth, r.base = base.Depth+1, base.Root
	}
	r.header = [recipefile.HeaderSize]byte(b)
	return b, nil
}

// cache has the most recently used recipes.
type cache struct {
	roots []merkle.Hash // oldest first
	held  map[merkle.Hash]*Recipe
}

const cachedRecipes = 4

func (c *cache) put(root merkle.Hash, r *Recipe) {
	if c.held == nil {
		c.held = map[merkle.Hash]*Recipe{}
	}
	if _, ok := c.held[root]; !ok {
		c.roots = append(c.roots, root)
	}
	c.held[root] = r
	if len(c.roots) > cachedRecipes {
		delete(c.held, c.roots[0])
		c.roots = append(c.roots[:0], c.roots[1:]...)
	}
}

// Remember caches a recipe that was written.
func (d *Dir) Remember(root merkle.Hash, r *Recipe) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cache.put(root, r)
}

// Forget empties the cache.
func (d *Dir) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cache = cache{}
}

// Path returns the path of the file of a root.
func (d *Dir) Path(root merkle.Hash) string {
	return filepath.Join(d.path, root.String()+recipefile.Ext)
}

// Has reports whether there is a recipe of the root, and so whether the generation is held.
func (d *Dir) Has(root merkle.Hash) (bool, error) {
	_, err := d.fs.Stat(d.Path(root))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the recipe of %s: %w", root, err)
	}
	return true, nil
}

// cached returns the cached recipe of a root if its file is unchanged, and nil otherwise. Another
// process may have removed the file, or rewritten it on another base.
func (d *Dir) cached(root merkle.Hash) (*Recipe, error) {
	d.mu.Lock()
	r := d.cache.held[root]
	d.mu.Unlock()
	if r == nil {
		return nil, nil
	}
	f, err := d.fs.OpenFile(d.Path(root), os.O_RDONLY, 0)
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
	if header != r.header {
		return nil, nil
	}
	return r, nil
}

// Read returns the recipe of a root. The error is fs.ErrNotExist if it is not held.
func (d *Dir) Read(root merkle.Hash) (*Recipe, error) {
	r, err := d.cached(root)
	if r != nil || err != nil {
		return r, err
	}
	read := func() (any, error) {
		r, err := d.ReadBody(root)
		if err != nil {
			return nil, err
		}
		if r.Body != nil { // it is cached, and other goroutines use it
			return r, nil
		}
		if r.Body, err = recipefile.ParseBody(r.bytes); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Path(root), err)
		}
		if got := r.Recipe.Root(); got != root {
			return nil, damage.In(d.Path(root), "expected root %s, found %s", root, got)
		}
		d.Remember(root, r)
		return r, nil
	}
	v, err, _ := d.reading.Do(string(root[:]), read) // many goroutines may need it at once
	if err != nil {
		return nil, err
	}
	return v.(*Recipe), nil
}

// errNoBase says that the base of a recipe is missing.
var errNoBase = errors.New("its base is missing")

// ReadBody is Read, but may leave Body nil.
func (d *Dir) ReadBody(root merkle.Hash) (*Recipe, error) { return d.readBody(root, 0) }

// readBody reads a file and its bases. A gc of another process may rewrite the file on another base
// and remove the old base in between; then readBody reads the file again. level is the number of
// files in the chain that are built on this one.
func (d *Dir) readBody(root merkle.Hash, level int) (*Recipe, error) {
	r, err := d.cached(root)
	if r != nil || err != nil {
		return r, err
	}
	name := d.Path(root)
	var last []byte
	for {
		b, err := diskfs.ReadFile(d.fs, name, recipefile.MaxBody)
		if err != nil {
			return nil, fmt.Errorf("read recipe: %w", err)
		}
		r, err := d.decode(name, b, level)
		if !errors.Is(err, errNoBase) || bytes.Equal(b, last) {
			return r, err
		}
		last = b
	}
}

// decode reads the header and the body of a file.
func (d *Dir) decode(name string, b []byte, level int) (*Recipe, error) {
	header, err := recipefile.ParseHeader(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if level > recipefile.MaxDepth {
		return nil, damage.In(name, "built on more than %d other recipes", recipefile.MaxDepth)
	}
	r := &Recipe{header: [recipefile.HeaderSize]byte(b), depth: header.Depth, base: header.Base}
	var from []byte
	if r.depth > 0 {
		base, err := d.readBody(r.base, level+1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w: %s",
				damage.In(name, "built on another recipe"), errNoBase, r.base)
		}
		if err != nil {
			return nil, err
		}
		from = base.bytes
	}
	if r.bytes, err = recipefile.Decode(b, from); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Parse decodes a recipe file from another directory. name is for errors. Any error matches
// module.ErrDamaged.
func (d *Dir) Parse(name string, b []byte) (*module.Recipe, error) {
	r, err := d.decode(name, b, 0)
	var body *recipefile.Body
	if err == nil {
		body, err = recipefile.ParseBody(r.bytes)
	}
	if err != nil {
		return nil, damage.In(name, "%v", err)
	}
	return body.Recipe, nil
}

// Base returns the base for the recipe of generation n, or nil if it has none. rootOf returns the
// root of a generation before n, and false for one that must not be a base.
func (d *Dir) Base(rootOf func(n uint64) (merkle.Hash, bool), n uint64) *recipefile.Base {
	for base := range recipefile.Bases(n) {
		root, ok := rootOf(base)
		if !ok {
			continue
		}
		if r, err := d.ReadBody(root); err == nil && r.depth < recipefile.MaxDepth {
			return &recipefile.Base{Root: root, Depth: r.depth, Body: r.bytes}
		}
	}
	return nil
}

// EncodeOn returns the content of the file of r on another base, or on none if base is nil. It does
// not change r.
func EncodeOn(r *Recipe, base *recipefile.Base) ([]byte, error) {
	return recipefile.Encode(r.bytes, base)
}
