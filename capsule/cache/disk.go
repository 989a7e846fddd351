package cache

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
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// offAfterError is how long nothing is written after a write has failed.
const offAfterError = time.Minute

// disk has the files of L2, one for each capsule: <dir>/<first two digits>/<64 digits of the
// hash>. They are not synced: what a crash leaves is verified like everything else. Names that
// are not of this form are left alone.
type disk struct {
	fs   diskfs.FS
	dir  string
	lock io.Closer
	temp atomic.Uint64

	mu  sync.Mutex
	off time.Time // until when nothing is written
}

// fileState tells whether a file is the one that was verified before.
type fileState struct {
	ok       bool
	size     int64
	modified time.Time
}

type foundFile struct {
	hash     merkle.Hash
	size     int64
	modified time.Time
}

func openDisk(fsys diskfs.FS, dir string) (*disk, error) {
	if err := diskfs.MkdirAll(fsys, dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := fsys.TryLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	return &disk{fs: fsys, dir: dir, lock: lock}, nil
}

func (d *disk) close() error { return d.lock.Close() }

func (d *disk) name(hash merkle.Hash) string {
	digits := hash.String()
	return filepath.Join(d.dir, digits[:2], digits)
}

// list returns the capsules that are there, those that were written first before the others. It
// removes what a write left that did not finish.
func (d *disk) list() ([]foundFile, error) {
	top, err := d.fs.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var found []foundFile
	for _, sub := range top {
		if !sub.IsDir() || len(sub.Name()) != 2 { // a link is no directory here
			continue
		}
		files, err := d.fs.ReadDir(filepath.Join(d.dir, sub.Name()))
		if err != nil {
			return nil, err
		}
		for _, e := range files {
			if !e.Type().IsRegular() {
				continue
			}
			name := e.Name()
			if filepath.Ext(name) == tempSuffix && len(name) > 64 && isHash(name[:64], sub.Name()) {
				// only room is lost when it stays
				_ = d.fs.Remove(filepath.Join(d.dir, sub.Name(), name))
				continue
			}
			if !isHash(name, sub.Name()) {
				continue
			}
			info, err := e.Info()
			if err != nil {
				continue
			}
			hash, _ := merkle.ParseHash(name) // isHash has
			found = append(found, foundFile{hash, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b foundFile) int {
		if n := a.modified.Compare(b.modified); n != 0 {
			return n
		}
		return a.hash.Compare(b.hash)
	})
	return found, nil
}

const tempSuffix = ".tmp"

// isHash reports whether name is a hash in lower case whose first digits are those of its
// directory.
func isHash(name, sub string) bool {
	h, err := merkle.ParseHash(name)
	return err == nil && h.String() == name && name[:2] == sub
}

// write makes the file of a capsule. After an error it reports false for a minute.
func (d *disk) write(hash merkle.Hash, content []byte, now time.Time) (fileState, bool) {
	d.mu.Lock()
	off := now.Before(d.off)
	d.mu.Unlock()
	if off {
		return fileState{}, false
	}
	state, err := d.tryWrite(hash, content)
	if err != nil {
		d.mu.Lock()
		d.off = now.Add(offAfterError)
		d.mu.Unlock()
		return fileState{}, false
	}
	return state, true
}

func (d *disk) tryWrite(hash merkle.Hash, content []byte) (fileState, error) {
	name := d.name(hash)
	sub := filepath.Dir(name)
	if err := d.fs.Mkdir(sub, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fileState{}, err
	}
	if info, err := d.fs.Lstat(sub); err != nil || !info.IsDir() {
		return fileState{}, errors.Join(err, fmt.Errorf("%s: not a directory", sub))
	}
	tmp := fmt.Sprintf("%s.%d%s", name, d.temp.Add(1), tempSuffix)
	f, err := d.fs.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fileState{}, err
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.fs.Rename(tmp, name)
	}
	if err != nil {
		_ = d.fs.Remove(tmp)
		return fileState{}, err
	}
	info, err := d.fs.Lstat(name)
	if err != nil {
		return fileState{}, err
	}
	return fileState{true, info.Size(), info.ModTime()}, nil
}

// only room is lost when it stays
func (d *disk) remove(hash merkle.Hash) { _ = d.fs.Remove(d.name(hash)) }

func (d *disk) open(hash merkle.Hash) (diskfs.File, int64, error) {
	return diskfs.OpenRegular(d.fs, d.name(hash), os.O_RDONLY)
}

// read verifies the file of a capsule and returns its content, when that is wanted. A file that
// only is to be verified, and is the one that verified before, is not read.
func (d *disk) read(c capsule.Descriptor, seen fileState, content bool) ([]byte, fileState, error) {
	f, size, err := d.open(c.Hash)
	if err != nil {
		return nil, fileState{}, err
	}
	defer f.Close()
	if size != int64(c.Size) {
		return nil, fileState{}, fmt.Errorf("%w: file of %d bytes, expected %d",
			capsule.ErrContentMismatch, size, c.Size)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fileState{}, err
	}
	state := fileState{true, info.Size(), info.ModTime()}
	if !content {
		if seen.ok && seen == state {
			return nil, state, nil
		}
		_, err := io.Copy(io.Discard, capsule.VerifyReader(io.NopCloser(f), c))
		return nil, state, err
	}
	b, err := readVerified(noContext, io.NopCloser(f), c)
	return b, state, err
}
