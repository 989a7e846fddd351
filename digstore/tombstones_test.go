package digstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// TestTombstonesOfAnotherKey: a check with one key is not used for another key.
func TestTombstonesOfAnotherKey(t *testing.T) {
	dir := t.TempDir()
	w, err := digstore.Init(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	one, two := auth.NewKey([32]byte{5}), auth.NewKey([32]byte{6})
	s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "a", Key: one})
	if err != nil {
		t.Fatal(err)
	}
	tomb, err := auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: s.ID(), Root: merkle.Hash{1}, NotAfter: 1_700_000_000}, one)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), tomb); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	file := filepath.Join(dir, ".dig/stores/a/tombstones", "root-"+tomb.Root.String()+".tomb")
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key   *auth.Key
		valid int
	}{{one, 1}, {two, 0}, {one, 1}} {
		if err := s.Pin(ctx, module.Pins{Publisher: c.key.PublicKey()}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if list, err := s.Tombstones(t.Context(), s.ID()); err != nil || len(list) != c.valid {
				t.Errorf("%d valid (%v), want %d", len(list), err, c.valid)
			}
		}
	}
}

// TestTombstoneOfAnotherStore: a tombstone that the publisher has signed for another store does not
// apply to this one.
func TestTombstoneOfAnotherStore(t *testing.T) {
	dir := t.TempDir()
	w, err := digstore.Init(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	key := auth.NewKey([32]byte{5})
	var stores []*digstore.Store
	for i, name := range []string{"a", "b"} {
		s, err := w.Create(ctx, digstore.StoreID{byte(i + 1)},
			&digstore.StoreOptions{Name: name, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Pin(ctx, module.Pins{Publisher: key.PublicKey()}); err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
	}
	tomb, err := auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: stores[1].ID(), NotAfter: 1_700_000_000}, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := stores[0].Revoke(t.Context(), tomb); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("kept for a store that it is not of: %v", err)
	}
	if err := stores[1].Revoke(t.Context(), tomb); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, ".dig/stores/a/tombstones"),
		os.DirFS(filepath.Join(dir, ".dig/stores/b/tombstones"))); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1} {
		if list, err := stores[i].Tombstones(t.Context(), stores[i].ID()); err != nil ||
			len(list) != want {
			t.Errorf("store %s: %d tombstones, %v; want %d", stores[i].Name(), len(list), err, want)
		}
	}
}
