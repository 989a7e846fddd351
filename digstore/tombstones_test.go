package digstore

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// TestTombstonesAreCheckedOnce: each signature is checked once, however often the tombstones are
// read, and again only for what is new. A file that is replaced within the unit of its time is
// seen.
func TestTombstonesAreCheckedOnce(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	for _, unit := range []time.Duration{0, 2 * time.Second} {
		disk := diskfs.NewCrashWith("/ws", &diskfs.CrashOptions{TimeUnit: unit, Now: clock})
		key := auth.NewKey([32]byte{5})
		w, err := Init("/ws", &Options{FS: disk, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Create(context.Background(), StoreID{}, &StoreOptions{Name: "a", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.writePins(module.Pins{Publisher: key.PublicKey()}); err != nil {
			t.Fatal(err)
		}
		sign := func(n uint64, by *auth.Key) auth.Tombstone {
			var root merkle.Hash
			binary.BigEndian.PutUint64(root[:], n+1)
			tomb, err := auth.SignTombstone(t.Context(),
				auth.Tombstone{Store: s.ID(), Root: root, NotAfter: 1_700_000_000}, by)
			if err != nil {
				t.Fatal(err)
			}
			return tomb
		}
		revoke := func(tomb auth.Tombstone) {
			t.Helper()
			if err := s.Revoke(t.Context(), tomb); err != nil {
				t.Fatal(err)
			}
		}
		valid := func(want, checked int) {
			t.Helper()
			for range 3 {
				list, err := s.Tombstones(t.Context(), s.ID())
				if err != nil || len(list) != want || s.tombs.checked != checked {
					t.Fatalf("%d tombstones (%v) by %d checks, want %d by %d", len(list), err,
						s.tombs.checked, want, checked)
				}
				now = now.Add(time.Second)
			}
		}
		const n = 20
		for i := range uint64(n) {
			revoke(sign(i, key))
		}
		revoke(sign(n, auth.NewKey([32]byte{6}))) // of somebody else
		valid(n, n+1)
		revoke(sign(n+1, key))
		valid(n+1, n+2)

		// The same size, and perhaps the same time.
		name := s.tombName(sign(0, key).Root)
		good, err := diskfs.ReadFile(disk, name, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		revoke(sign(0, key))
		valid(n+1, n+2)
		now = now.Add(time.Minute)
		revoke(sign(0, key))
		if _, err := s.Tombstones(t.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), good...)
		bad[len(bad)-1] ^= 1
		if err := diskfs.WriteFile(disk, name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		valid(n+1, n+2) // what was valid counts for a minute
		now = now.Add(time.Minute)
		valid(n, n+3)
		if err := disk.Remove(name); err != nil {
			t.Fatal(err)
		}
		valid(n, n+3)
		if len(s.tombs.files) != n+1 {
			t.Errorf("%d files are remembered, want %d", len(s.tombs.files), n+1)
		}
		w.Close()
	}
}

// TestTombstonesOfAnotherKey: what was checked with one key says nothing of another.
func TestTombstonesOfAnotherKey(t *testing.T) {
	w, err := Init(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	one, two := auth.NewKey([32]byte{5}), auth.NewKey([32]byte{6})
	s, err := w.Create(context.Background(), StoreID{}, &StoreOptions{Name: "a", Key: one})
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
	if err := os.Chtimes(filepath.Join(s.dir, "tombstones", filepath.Base(s.tombName(tomb.Root))),
		old, old); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key   *auth.Key
		valid int
	}{{one, 1}, {two, 0}, {one, 1}} {
		if err := s.writePins(module.Pins{Publisher: c.key.PublicKey()}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if list, err := s.Tombstones(t.Context(), s.ID()); err != nil || len(list) != c.valid {
				t.Errorf("%d valid (%v), want %d", len(list), err, c.valid)
			}
		}
	}
}

// TestTombstoneOfAnotherStore: a tombstone that a publisher has signed for another store says
// nothing of this one.
func TestTombstoneOfAnotherStore(t *testing.T) {
	w, err := Init(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	key := auth.NewKey([32]byte{5})
	var stores []*Store
	for i, name := range []string{"a", "b"} {
		s, err := w.Create(context.Background(), StoreID{byte(i + 1)},
			&StoreOptions{Name: name, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.writePins(module.Pins{Publisher: key.PublicKey()}); err != nil {
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
	if err := os.CopyFS(filepath.Join(stores[0].dir, "tombstones"),
		os.DirFS(filepath.Join(stores[1].dir, "tombstones"))); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1} {
		if list, err := stores[i].Tombstones(t.Context(), stores[i].ID()); err != nil ||
			len(list) != want {
			t.Errorf("store %s: %d tombstones, %v; want %d", stores[i].name, len(list), err, want)
		}
	}
}
