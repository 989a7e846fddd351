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

// tombName is the file of a tombstone: tombstones/store.tomb or tombstones/root-<root hex>.tomb, signature(96) ||
// record (store-format 8.4).
func (s *Store) tombName(root merkle.Hash) string {
	if root.IsZero() {
		return filepath.Join(s.dir, "tombstones", "store.tomb")
	}
	return filepath.Join(s.dir, "tombstones", "root-"+root.String()+".tomb")
}

// Tombstones returns the tombstones that are kept for this store, those that do not verify under the publisher's
// key left out. Any other id is fs.ErrNotExist.
func (s *Store) Tombstones(_ context.Context, id auth.StoreID) ([]auth.Tombstone, error) {
	if id != s.set.id {
		return nil, fmt.Errorf("tombstones of %s: this is store %s: %w", id, s.set.id, fs.ErrNotExist)
	}
	dir := filepath.Join(s.dir, "tombstones")
	list, err := s.w.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	key, err := s.publisher()
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".tomb") {
			names = append(names, e.Name())
		}
	}
	out, err := s.tombs.read(s, dir, names, key)
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	return out, nil
}

// tombMemo remembers which tombstone files of a store hold a valid tombstone, so that each signature is checked once:
// by the bytes of the file, and by its stamp where that is old enough to tell a later change. It knows the files that
// were there at the last call, and no others. Safe for concurrent use.
type tombMemo struct {
	mu      sync.Mutex
	key     auth.PublicKey // that signatures were checked with
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
}

// stampUnit is the coarsest unit of modification times: that of FAT.
const stampUnit = 2 * time.Second

// read returns the valid tombstones among the files of those names in dir.
func (m *tombMemo) read(s *Store, dir string, names []string, key auth.PublicKey) ([]auth.Tombstone, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.key != key {
		m.key, m.files = key, nil
	}
	files := make(map[string]tombFile, len(names))
	var out []auth.Tombstone
	for _, name := range names {
		file, err := m.file(s, filepath.Join(dir, name), m.files[name])
		if err != nil {
			return nil, err
		}
		files[name] = file
		if file.valid {
			out = append(out, file.tomb)
		}
	}
	m.files = files
	return out, nil
}

// file returns what is known of a file, given what was.
func (m *tombMemo) file(s *Store, name string, known tombFile) (tombFile, error) {
	info, err := s.w.fs.Stat(name)
	if err != nil {
		return tombFile{}, err
	}
	stamp, now := stampOf(info), s.w.now()
	if known.stable && known.stamp == stamp {
		return known, nil
	}
	b, err := diskfs.ReadFile(s.w.fs, name, maxConfig)
	if err != nil {
		return tombFile{}, err
	}
	next := tombFile{stamp: stamp, stable: stamp.mtime.Add(stampUnit).Before(now), bytes: string(b)}
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

// Revoke keeps a tombstone of this store, durably, in place of one of the same scope and root. The caller has
// checked its signature.
func (s *Store) Revoke(ctx context.Context, t auth.Tombstone) error {
	if t.Store != s.set.id {
		return fmt.Errorf("revoke: the tombstone is of store %s, this is %s: %w", t.Store, s.set.id, fs.ErrNotExist)
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
	if err := diskfs.WriteFile(s.w.fs, s.tombName(t.Root), append(t.Sig[:], record...), 0o644); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// checkRevoked is ErrRevoked when a valid tombstone names the store or that root; a zero root asks about the store alone.
func (s *Store) checkRevoked(root merkle.Hash) error {
	list, err := s.Tombstones(context.Background(), s.set.id)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.WholeStore() {
			return fmt.Errorf("store %s: %w", s.name, ErrRevoked)
		}
		if t.Root == root {
			return fmt.Errorf("root %s: %w", root, ErrRevoked)
		}
	}
	return nil
}
