// Package staging keeps the resources of the next commit, in the staging file of a store (LAYOUT.md
// 9.1).
package staging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"unicode/utf8"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/filestamp"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// A Record is a staged resource: a frame of the file.
type Record struct {
	Name string
	Off  int64 // of the content
	Size int64 // of the content in bytes
}

// MaxKey is the length of the longest name of a resource, in bytes.
const MaxKey = 64 << 10

// bufferSize is how many bytes of content are copied at once.
const bufferSize = 256 << 10

// A File is the staging file of a store. Append, Remove and Clear need the lock of the store.
type File struct {
	fs   diskfs.FS
	path string
}

// New returns the staging file at a path. It need not exist.
func New(fsys diskfs.FS, path string) *File { return &File{fsys, path} }

// Open opens the file and reads its frames. The caller holds the lock of the store and closes the
// file. The file is nil if it does not exist.
func (f *File) Open() (diskfs.File, []Record, error) {
	file, recs, _, err := f.open(os.O_RDONLY)
	return file, recs, err
}

// open is Open with flags of os.OpenFile. Unless the file is opened for reading only, damage is no
// error: whole is the length of the undamaged part.
func (f *File) open(flag int) (file diskfs.File, recs []Record, whole int64, err error) {
	file, err = f.fs.OpenFile(f.path, flag, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, fmt.Errorf("open staging: %w", err)
	}
	info, err := file.Stat()
	if err == nil {
		recs, whole, err = parse(f.path, file, info.Size())
	}
	if err != nil && (flag == os.O_RDONLY || !errors.Is(err, module.ErrDamaged)) {
		_ = file.Close()
		return nil, nil, 0, err
	}
	return file, recs, whole, nil
}

// ErrDamaged says that the file is damaged. Errors that match it also match module.ErrDamaged.
var ErrDamaged = errors.New("damaged staging file")

// damageError adds ErrDamaged to an error and keeps its text.
type damageError struct{ error }

// Unwrap returns the errors that e matches.
func (e damageError) Unwrap() []error { return []error{e.error, ErrDamaged} }

func damaged(name, format string, a ...any) error {
	return damageError{damage.In(name, "staging: "+format, a...)}
}

// errUnfinished says that a frame is not finished: its writer is running, or has crashed.
var errUnfinished = errors.New("a frame that was not finished")

// Read reads the finished frames. It needs no lock: a writer may add frames, or remove all, at the
// same time.
func (f *File) Read() ([]Record, error) {
	var before filestamp.Stamp
	for {
		info, err := f.fs.Stat(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read staging: %w", err)
		}
		file, err := f.fs.OpenFile(f.path, os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("open staging: %w", err)
		}
		recs, _, err := parse(f.path, file, info.Size())
		_ = file.Close()
		if errors.Is(err, errUnfinished) {
			return recs, nil
		}
		if !errors.Is(err, module.ErrDamaged) || filestamp.Of(info) == before {
			return recs, err
		}
		before = filestamp.Of(info)
	}
}

// parse reads the frames of a file. name is for errors. If several frames have the same name, the
// last one replaces the first. whole is the length of the part that parses. Bytes after it are
// damage.
func parse(name string, r io.ReaderAt, size int64) (recs []Record, whole int64, err error) {
	at := map[string]int{}
	var b [4 + MaxKey + 8]byte
	for off := int64(0); off < size; {
		n, err := r.ReadAt(b[:min(int64(len(b)), size-off)], off)
		if err != nil && err != io.EOF {
			return nil, whole, fmt.Errorf("read staging: %w", err)
		}
		short := func() error { return damaged(name, "frame at byte %d: incomplete", off) }
		if n < 4 {
			return recs, whole, short()
		}
		k := int64(binary.BigEndian.Uint32(b[:]))
		if k == math.MaxUint32 {
			return recs, whole, fmt.Errorf("%w: %w",
				damaged(name, "frame at byte %d: unfinished",
					off), errUnfinished)
		}
		if k > MaxKey {
			return recs, whole, damaged(name,
				"frame at byte %d: name of %d bytes", off, k)
		}
		if k == 0 {
			return recs, whole, damaged(name,
				"frame at byte %d: empty name", off)
		}
		if int64(n) < 4+k+8 {
			return recs, whole, short()
		}
		if !utf8.Valid(b[4 : 4+k]) {
			return recs, whole, damaged(name,
				"frame at byte %d: name is not UTF-8", off)
		}
		rec := Record{Name: string(b[4 : 4+k]), Off: off + 4 + k + 8,
			Size: int64(binary.BigEndian.Uint64(b[4+k:]))}
		if rec.Size < 0 || rec.Size > size-rec.Off {
			return recs, whole, short()
		}
		if i, ok := at[rec.Name]; ok {
			recs[i] = rec
		} else {
			at[rec.Name] = len(recs)
			recs = append(recs, rec)
		}
		off = rec.Off + rec.Size
		whole = off
	}
	return recs, whole, nil
}
