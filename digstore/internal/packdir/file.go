package packdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/internal/diskfs"
)

// maxOpen is the number of files that a Dir keeps open.
const maxOpen = 64

// A File is an io.ReaderAt that opens its file when it is read. If too many files are open, the Dir
// closes the least recently used one. It may be used by several goroutines.
type File struct {
	dir  *Dir
	path string
	used atomic.Int64

	mu sync.RWMutex
	f  diskfs.File // nil: closed
}

// File returns the file at path, which need not be below the directory. It counts as an open file
// of the Dir.
func (d *Dir) File(path string) *File { return &File{dir: d, path: path} }

// file returns the pack of a name. The caller holds mu.
func (d *Dir) file(name string) *File {
	f := d.files[name]
	if f == nil {
		f = d.File(filepath.Join(d.path, name))
		d.files[name] = f
	}
	return f
}

// Path returns the path of the file.
func (f *File) Path() string { return f.path }

// ReadAt implements io.ReaderAt. A read beyond the end is damage: every offset comes from an index
// or a recipe.
func (f *File) ReadAt(b []byte, off int64) (int, error) {
	for {
		f.mu.RLock()
		if f.f != nil {
			f.used.Store(f.dir.tick.Add(1))
			n, err := f.f.ReadAt(b, off)
			f.mu.RUnlock()
			if err == io.EOF && n < len(b) {
				err = damage.In(f.path, "it ends at byte %d, before byte %d",
					off+int64(n), off+int64(len(b)))
			}
			return n, err
		}
		f.mu.RUnlock()
		if err := f.openFile(); err != nil {
			return 0, err
		}
	}
}

// Stat describes the open file.
func (f *File) Stat() (fs.FileInfo, error) {
	for {
		if err := f.openFile(); err != nil {
			return nil, err
		}
		f.mu.RLock()
		if f.f != nil {
			defer f.mu.RUnlock()
			return f.f.Stat()
		}
		f.mu.RUnlock() // another goroutine closed it
	}
}

// openFile opens the file if it is closed.
func (f *File) openFile() error {
	f.mu.RLock()
	open := f.f != nil
	f.mu.RUnlock()
	if open {
		return nil
	}
	f.mu.Lock()
	if f.f != nil {
		f.mu.Unlock()
		return nil
	}
	file, err := f.dir.fs.OpenFile(f.path, os.O_RDONLY, 0)
	if err != nil {
		f.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) {
			f.dir.Reload() // a gc of another process has moved its chunks
		}
		return fmt.Errorf("open pack: %w", err)
	}
	f.f = file
	f.used.Store(f.dir.tick.Add(1))
	f.mu.Unlock()
	f.dir.opened(f)
	return nil
}

// opened records an open file, and closes the least recently used one if too many are open.
func (d *Dir) opened(f *File) {
	d.mu.Lock()
	d.open = append(d.open, f)
	var oldest *File
	if len(d.open) > maxOpen {
		oldest = slices.MinFunc(d.open, func(a, b *File) int {
			return int(a.used.Load() - b.used.Load())
		})
		d.open = slices.DeleteFunc(d.open, func(o *File) bool { return o == oldest })
	}
	d.mu.Unlock()
	if oldest != nil {
		oldest.shut()
	}
}

func (f *File) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}

// A Handle is a pack that is opened for one reader. It has its own file offset, so that the
// operating system can copy from it. The zero value is ready for use.
type Handle struct {
	of   *File
	file *os.File
}

// Open opens the file of r and returns it. It returns nil if the operating system cannot copy from
// r: r is not a pack, is not on the disk, or was replaced by another file. It does not open the
// same pack twice in a row.
func (h *Handle) Open(r io.ReaderAt) *os.File {
	p, ok := r.(*File)
	if !ok {
		return nil
	}
	if h.of == p {
		return h.file
	}
	h.Close()
	h.of = p
	f, err := p.dir.fs.OpenFile(p.path, os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	file, ok := f.(*os.File)
	if !ok || !p.is(file) {
		_ = f.Close()
		return nil
	}
	h.file = file
	return file
}

// Path returns the path of the pack that was opened last.
func (h *Handle) Path() string { return h.of.path }

// Close closes the pack. The handle can be used again.
func (h *Handle) Close() {
	if h.file != nil {
		_ = h.file.Close()
	}
	h.of, h.file = nil, nil
}

// is reports whether an open file is that of f.
func (f *File) is(file *os.File) bool {
	if f.openFile() != nil {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.f == nil {
		return false
	}
	mine, err := f.f.Stat()
	if err != nil {
		return false
	}
	other, err := file.Stat()
	return err == nil && os.SameFile(mine, other)
}
