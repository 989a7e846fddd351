// Package tombdir keeps tombstones in the directory tombstones of a store (LAYOUT.md 8.2).
package tombdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/filestamp"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// SubDir is the directory of the tombstones, below that of the store.
const SubDir = "tombstones"

// A Dir reads and writes tombstones. It may be used by several goroutines. Put needs the lock of
// the store.
//
// It caches the tombstones that the last call found. Each signature is checked once, and the file
// of a valid tombstone is examined at most once in maxAge. An invalid file is examined in each
// call.
type Dir struct {
	fs    diskfs.FS
	path  string
	store auth.StoreID
	now   func() time.Time

	mu      sync.Mutex
	key     auth.PublicKey // the key that signatures were checked with
	at      time.Time      // when all files were examined
	files   map[string]file
	checked int // signatures that were checked so far
}

// New returns the tombstones of a store, whose directory is dir.
func New(fsys diskfs.FS, dir string, store auth.StoreID, now func() time.Time) *Dir {
	return &Dir{fs: fsys, path: filepath.Join(dir, SubDir), store: store, now: now}
}

// file is the cached state of one file.
type file struct {
	stamp  filestamp.Stamp
	stable bool // a change of the file after it was read changes its stamp
	bytes  string
	tomb   auth.Tombstone
	valid  bool

	written bool // this process wrote it since it was examined
}

// maxAge is how long the file of a valid tombstone is not examined again. So damage of a file, or a
// replacement by another process, is noticed after this time. A new file is noticed at once.
const maxAge = time.Minute

// name returns the name of the file of a tombstone. A zero root is that of the store.
func name(root merkle.Hash) string {
	if root.IsZero() {
		return "store.tomb"
	}
	return "root-" + root.String() + ".tomb"
}

// All returns the tombstones whose signatures verify under the key of the publisher. It calls
// publisher only if there is a tombstone. It lists the directory, and reads only files that are not
// cached.
func (d *Dir) All(publisher func() (auth.PublicKey, error)) ([]auth.Tombstone, error) {
	names, err := d.list()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	key, err := publisher()
	if err != nil {
		return nil, err
	}
	return d.read(names, key)
}

// list returns the names of the files.
func (d *Dir) list() (names []string, err error) {
	info, err := d.fs.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, damage.In(d.path, "not a folder")
	}
	list, err := d.fs.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".tomb") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// read returns the valid tombstones among the files of these names.
func (d *Dir) read(names []string, key auth.PublicKey) ([]auth.Tombstone, error) {
	now := d.now() // before the files are examined
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.key != key {
		d.key, d.files, d.at = key, nil, time.Time{}
	}
	age := now.Sub(d.at)
	all := age < 0 || age >= maxAge
	files := make(map[string]file, len(names))
	valid := make([]auth.Tombstone, 0, len(names))
	for _, name := range names {
		f := d.files[name]
		if all || !f.valid || f.written {
			var err error
			if f, err = d.examine(filepath.Join(d.path, name), f); err != nil {
				return nil, err
			}
		}
		files[name] = f
		if f.valid {
			valid = append(valid, f.tomb)
		}
	}
	d.files = files
	if all {
		d.at = now
	}
	return valid, nil
}

// examine returns the state of a file, given its cached state. The caller holds mu.
func (d *Dir) examine(path string, known file) (file, error) {
	now := d.now() // before the file is examined
	info, err := d.fs.Stat(path)
	if err != nil {
		return file{}, err
	}
	stamp := filestamp.Of(info)
	if known.stable && known.stamp == stamp {
		known.written = false
		return known, nil
	}
	b, err := smallfile.Read(d.fs, path)
	if err != nil {
		return file{}, err
	}
	next := file{stamp: stamp, stable: stamp.Stable(now), bytes: string(b)}
	if known.stamp.Known && known.bytes == next.bytes {
		next.tomb, next.valid = known.tomb, known.valid
		return next, nil
	}
	if next.tomb, err = parse(b); err == nil && next.tomb.Store == d.store {
		d.checked++
		next.valid = next.tomb.Check(d.key) == nil
	}
	return next, nil
}

// parse reads a file: the signature, then the record. It does not verify the signature.
func parse(b []byte) (auth.Tombstone, error) {
	var sig auth.Signature
	if len(b) < len(sig) {
		return auth.Tombstone{}, fmt.Errorf("%d bytes, want more than %d", len(b), len(sig))
	}
	copy(sig[:], b)
	return auth.ParseTombstone(b[len(sig):], sig)
}

// Put stores a tombstone, durably, in place of one of the same scope and root. It does not verify
// the signature.
func (d *Dir) Put(t auth.Tombstone) error {
	record, err := t.MarshalBinary()
	if err != nil {
		return err
	}
	if err := diskfs.MkdirAll(d.fs, d.path, 0o755); err != nil {
		return err
	}
	name := name(t.Root)
	defer d.written(name)
	return diskfs.WriteFile(d.fs, filepath.Join(d.path, name), append(t.Sig[:], record...), 0o644)
}

// written makes the next call of All examine the file.
func (d *Dir) written(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[name]; ok {
		f.written = true
		d.files[name] = f
	}
}
