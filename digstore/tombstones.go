package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// tombName is the file of a tombstone: tombstones/store.tomb or tombstones/root-<root hex>.tomb,
// signature(96) || record. See LAYOUT.md 8.2.
func (s *Store) tombName(root merkle.Hash) string {
	if root.IsZero() {
		return filepath.Join(s.dir, "tombstones", "store.tomb")
	}
	return filepath.Join(s.dir, "tombstones", "root-"+root.String()+".tomb")
}

// Tombstones returns the tombstones that are kept for this store, those that do not verify under
// the publisher's key left out. Any other id is fs.ErrNotExist.
func (s *Store) Tombstones(_ context.Context, id auth.StoreID) ([]auth.Tombstone, error) {
	if id != s.set.id {
		return nil, fmt.Errorf("tombstones of %s: this is store %s: %w", id, s.set.id, fs.ErrNotExist)
	}
	out, err := s.readTombstones()
	if errors.Is(err, ErrIrregular) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	return out, nil
}

// readTombstones asks the disk for the names of the files alone where the rest is remembered.
func (s *Store) readTombstones() ([]auth.Tombstone, error) {
	dir := filepath.Join(s.dir, "tombstones")
	info, err := s.w.fs.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, corrupt(dir, "not a folder")
	}
	list, err := s.w.fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".tomb") {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	key, err := s.publisher()
	if err != nil {
		return nil, err
	}
	return s.tombs.read(s, dir, names, key)
}

// tombMemo remembers the tombstones of a store, so that each signature is checked once, and the
// file of a valid tombstone is looked at once in tombsFor, however many others come meanwhile. A
// file that is not valid is looked at in each call. It knows the files that were there at the last
// call, and no others. Safe for concurrent use.
type tombMemo struct {
	mu      sync.Mutex
	key     auth.PublicKey // that signatures were checked with
	at      time.Time      // when all files were last looked at
	files   map[string]tombFile
	checked int // signatures so far
}

// A tombFile is what is known of one file.
type tombFile struct {
	stamp  fileStamp
	stable bool // a change of the file after it was read changes its stamp
	bytes  string
	tomb   auth.Tombstone
	valid  bool

	written bool // by this process, since it was looked at
}

// stampUnit is the coarsest unit of modification times: that of FAT.
const stampUnit = 2 * time.Second

// tombsFor is how long the file of a valid tombstone is not looked at again. It bounds how long a
// tombstone counts as it was after its file was damaged or replaced by another process. A new file
// counts at once.
const tombsFor = time.Minute

// stable reports whether any later change gives another stamp than one seen at that time.
func (f fileStamp) stable(at time.Time) bool { return f.mtime.Add(stampUnit).Before(at) }

// read returns the valid tombstones among the files of these names in dir.
func (m *tombMemo) read(s *Store, dir string, names []string,
	key auth.PublicKey) ([]auth.Tombstone, error) {
	now := s.w.now() // before the files are looked at
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.key != key {
		m.key, m.files, m.at = key, nil, time.Time{}
	}
	age := now.Sub(m.at)
	all := age < 0 || age >= tombsFor
	files := make(map[string]tombFile, len(names))
	valid := make([]auth.Tombstone, 0, len(names))
	for _, name := range names {
		file := m.files[name]
		if all || !file.valid || file.written {
			var err error
			if file, err = m.file(s, filepath.Join(dir, name), file); err != nil {
				return nil, err
			}
		}
		files[name] = file
		if file.valid {
			valid = append(valid, file.tomb)
		}
	}
	m.files = files
	if all {
		m.at = now
	}
	return valid, nil
}

// written has the file of that name looked at in the next call.
func (m *tombMemo) written(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file, ok := m.files[name]; ok {
		file.written = true
		m.files[name] = file
	}
}

// file returns what is known of a file, given what was.
func (m *tombMemo) file(s *Store, name string, known tombFile) (tombFile, error) {
	now := s.w.now() // before the file is looked at
	info, err := s.w.fs.Stat(name)
	if err != nil {
		return tombFile{}, err
	}
	stamp := stampOf(info)
	if known.stable && known.stamp == stamp {
		known.written = false
		return known, nil
	}
	b, err := diskfs.ReadFile(s.w.fs, name, maxConfig)
	if err != nil {
		return tombFile{}, err
	}
	next := tombFile{stamp: stamp, stable: stamp.stable(now), bytes: string(b)}
	if known.stamp.known && known.bytes == next.bytes {
		next.tomb, next.valid = known.tomb, known.valid
		return next, nil
	}
	if next.tomb, err = parseTombFile(b); err == nil && next.tomb.Store == s.set.id {
		m.checked++
		next.valid = next.tomb.Check(m.key) == nil
	}
	return next, nil
}

// parseTombFile reads a tombstone file. It does not check the signature.
func parseTombFile(b []byte) (auth.Tombstone, error) {
	var sig auth.Signature
	if len(b) < len(sig) {
		return auth.Tombstone{}, fmt.Errorf("%d bytes, want more than %d", len(b), len(sig))
	}
	copy(sig[:], b)
	return auth.ParseTombstone(b[len(sig):], sig)
}

// Revoke keeps a tombstone of this store, durably, in place of one of the same scope and root. The
// caller has checked its signature.
func (s *Store) Revoke(ctx context.Context, t auth.Tombstone) error {
	if t.Store != s.set.id {
		return fmt.Errorf("revoke: the tombstone is of store %s, this is %s: %w", t.Store,
			s.set.id, fs.ErrNotExist)
	}
	record, err := t.MarshalBinary()
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	l, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	defer l.Close()
	if err := diskfs.MkdirAll(s.w.fs, filepath.Join(s.dir, "tombstones"), 0o755); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	name := s.tombName(t.Root)
	defer s.tombs.written(filepath.Base(name))
	if err := diskfs.WriteFile(s.w.fs, name, append(t.Sig[:], record...), 0o644); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// checkRevoked is auth.ErrRevoked when a valid tombstone names the store or that root; a zero root
// asks about the store alone.
func (s *Store) checkRevoked(root merkle.Hash) error {
	list, err := s.Tombstones(context.Background(), s.set.id)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.WholeStore() {
			return fmt.Errorf("store %s: %w", s.name, auth.ErrRevoked)
		}
		if t.Root == root {
			return fmt.Errorf("root %s: %w", root, auth.ErrRevoked)
		}
	}
	return nil
}
