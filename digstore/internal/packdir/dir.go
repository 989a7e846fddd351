package packdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Ext ends the names of packs.
const Ext = ".pack"

// Options are settings of a Dir. nil and the zero value mean the defaults.
type Options struct {
	// Fallback returns a chunk that no pack has. Its frame begins at offset 0. It is called by one
	// goroutine at a time. Default: none.
	Fallback func(c module.Chunk) (r io.ReaderAt, ok bool)
	// Reloaded is called when the index is dropped, so that Fallback can drop its own cache.
	// Default: none.
	Reloaded func()
	// Now is the clock for the age of checks. Default: time.Now.
	Now func() time.Time
}

// A Dir finds chunks in the packs of a directory. It is a module.ChunkSource and may be used by
// several goroutines.
type Dir struct {
	fs   diskfs.FS
	path string
	o    Options

	mu      sync.Mutex
	loaded  bool
	indexes []*index
	stale   []string // index files that are damaged or out of date
	files   map[string]*File
	open    []*File
	tick    atomic.Int64
	checked map[check]time.Time // when chunks were hashed
}

// New returns the packs in the directory path, which need not exist.
func New(fsys diskfs.FS, path string, o *Options) *Dir {
	d := &Dir{fs: fsys, path: path, files: map[string]*File{}}
	if o != nil {
		d.o = *o
	}
	if d.o.Now == nil {
		d.o.Now = time.Now
	}
	return d
}

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// Missing returns the error for a chunk that does not exist.
func Missing(c module.Chunk) error {
	return fmt.Errorf("chunk %s (%d bytes): %w", c.ID, c.Len, fs.ErrNotExist)
}

// Reload drops the index. The next call that needs the index reads it again.
func (d *Dir) Reload() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loaded, d.indexes = false, nil
	d.files = map[string]*File{} // open files are closed later, when maxOpen is exceeded
	d.checked = nil
	if d.o.Reloaded != nil {
		d.o.Reloaded()
	}
}

// Close closes all files. The Dir can still be used and opens them again.
func (d *Dir) Close() {
	d.mu.Lock()
	open := d.open
	d.open, d.files, d.loaded, d.indexes = nil, map[string]*File{}, false, nil
	d.mu.Unlock()
	for _, f := range open {
		f.shut()
	}
}

// Names returns the names of the packs in the directory, without the path.
func (d *Dir) Names() ([]string, error) {
	list, err := d.fs.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list packs: %w", err)
	}
	var names []string
	for _, e := range list {
		if strings.HasSuffix(e.Name(), Ext) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ReadIndex reads the index of the pack at a path. A missing pack is fs.ErrNotExist.
func ReadIndex(fsys diskfs.FS, path string) (*pack.Index, error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	x, err := pack.ReadIndex(filepath.Base(path), f, info.Size())
	if errors.Is(err, module.ErrDamaged) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	return x, nil
}

// ReadIndex reads the index of one pack.
func (d *Dir) ReadIndex(name string) (*pack.Index, error) {
	return ReadIndex(d.fs, filepath.Join(d.path, name))
}

// lookup returns the place of a chunk and the name of its pack. The caller holds mu.
func (d *Dir) lookup(id merkle.Hash) (pack.Entry, string, bool) {
	for _, x := range d.indexes {
		if e, name, ok := x.Find(id); ok {
			return e, name, true
		}
	}
	return pack.Entry{}, "", false
}

// Has reports whether a pack has a chunk. It does not see packs that another process has just
// written.
func (d *Dir) Has(id merkle.Hash) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.load(); err != nil {
		return false, err
	}
	_, _, ok := d.lookup(id)
	return ok, nil
}

// Holds is Has for a chunk whose length is known. If the packs have it with another length, the
// error is module.ErrVerify.
func (d *Dir) Holds(c module.Chunk) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.load(); err != nil {
		return false, err
	}
	e, _, ok := d.lookup(c.ID)
	if ok && e.Len != c.Len {
		return false, fmt.Errorf("chunk %s has %d bytes, not %d: %w",
			c.ID, e.Len, c.Len, module.ErrVerify)
	}
	return ok, nil
}

// Chunk implements module.ChunkSource. It does not hash the chunk. A missing chunk is both
// fs.ErrNotExist and module.ErrDamaged, because something in the store refers to it.
func (d *Dir) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	r, off, err := d.chunk(c)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", module.ErrDamaged, err)
	}
	return r, off, err
}

func (d *Dir) chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	for range 2 {
		r, off, fresh, err := d.locate(c)
		if f, ok := r.(*File); ok {
			// A gc of another process may have moved the chunk. An open file remains readable.
			if err = f.openFile(); err == nil {
				return r, off, nil
			}
		}
		if r != nil && err == nil || fresh || !errors.Is(err, fs.ErrNotExist) {
			return r, off, err
		}
		d.Reload() // another process may have written it since
	}
	return nil, 0, Missing(c)
}

// locate finds a chunk. fresh says that this call read the index.
func (d *Dir) locate(c module.Chunk) (r io.ReaderAt, off int64, fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh = !d.loaded
	if err := d.load(); err != nil {
		return nil, 0, fresh, err
	}
	if e, name, ok := d.lookup(c.ID); ok {
		if e.Len != c.Len || e.Offset < int64(len(pack.Magic)) {
			return nil, 0, fresh, damage.In(filepath.Join(d.path, name),
				"chunk %s has %d bytes at offset %d, want %d bytes", c.ID, e.Len, e.Offset, c.Len)
		}
		return d.file(name), e.Offset, fresh, nil
	}
	if d.o.Fallback != nil {
		if r, ok := d.o.Fallback(c); ok {
			return r, 0, fresh, nil
		}
	}
	return nil, 0, fresh, Missing(c)
}

// Added registers a new pack of the directory and its chunks.
func (d *Dir) Added(name string, entries []pack.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loaded {
		d.indexes = append(d.indexes, &index{Index: pack.NewIndex(name, entries)})
		delete(d.files, name)
	}
}

// Remove deletes a pack that nothing needs. It first renames the pack to the name of a temporary
// file: on Windows a deleted file stays in its directory while another process has it open. A pack
// that is open and cannot be renamed is not deleted.
func (d *Dir) Remove(name string) error {
	name = filepath.Join(d.path, name)
	gone := name + ".tmp"
	err := d.fs.Rename(name, gone)
	if diskfs.InUse(err) {
		d.shut(name)
		err = d.fs.Rename(name, gone)
	}
	if err == nil {
		err = d.fs.Remove(gone)
	}
	if diskfs.InUse(err) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// shut closes the open files of a pack. The next read opens them again.
func (d *Dir) shut(path string) {
	d.mu.Lock()
	var closing []*File
	d.open = slices.DeleteFunc(d.open, func(f *File) bool {
		if f.path == path {
			closing = append(closing, f)
		}
		return f.path == path
	})
	d.mu.Unlock()
	for _, f := range closing {
		f.shut()
	}
}
