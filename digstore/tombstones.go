package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

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
	var out []auth.Tombstone
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".tomb") {
			continue
		}
		b, err := diskfs.ReadFile(s.w.fs, filepath.Join(dir, e.Name()), maxConfig)
		if err != nil {
			return nil, fmt.Errorf("read tombstones: %w", err)
		}
		var sig auth.Signature
		if len(b) < len(sig) {
			continue
		}
		copy(sig[:], b)
		t, err := auth.ParseTombstone(b[len(sig):], sig)
		if err != nil || t.Store != s.set.id || t.Check(key) != nil {
			continue
		}
		out = append(out, t)
	}
	return out, nil
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
