package tombdir

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// TestTombstonesAreCheckedOnce: each signature is checked once, however often the tombstones are
// read. A file that is replaced within the resolution of its time is noticed.
func TestTombstonesAreCheckedOnce(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	for _, unit := range []time.Duration{0, 2 * time.Second} {
		disk := diskfs.NewCrashWith("/ws", &diskfs.CrashOptions{TimeUnit: unit, Now: clock})
		key := auth.NewKey([32]byte{5})
		store := auth.StoreIDFromKey(key.PublicKey())
		d := New(disk, "/ws", store, clock)
		all := func() ([]auth.Tombstone, error) {
			return d.All(func() (auth.PublicKey, error) { return key.PublicKey(), nil })
		}
		sign := func(n uint64, by *auth.Key) auth.Tombstone {
			var root merkle.Hash
			binary.BigEndian.PutUint64(root[:], n+1)
			tomb, err := auth.SignTombstone(t.Context(),
				auth.Tombstone{Store: store, Root: root, NotAfter: 1_700_000_000}, by)
			if err != nil {
				t.Fatal(err)
			}
			return tomb
		}
		revoke := func(tomb auth.Tombstone) {
			t.Helper()
			if err := d.Put(tomb); err != nil {
				t.Fatal(err)
			}
		}
		valid := func(want, checked int) {
			t.Helper()
			for range 3 {
				list, err := all()
				if err != nil || len(list) != want || d.checked != checked {
					t.Fatalf("%d tombstones (%v) by %d checks, want %d by %d", len(list), err,
						d.checked, want, checked)
				}
				now = now.Add(time.Second)
			}
		}
		const n = 20
		for i := range uint64(n) {
			revoke(sign(i, key))
		}
		revoke(sign(n, auth.NewKey([32]byte{6}))) // by another key
		valid(n, n+1)
		revoke(sign(n+1, key))
		valid(n+1, n+2)

		// The same size, and perhaps the same time.
		path := filepath.Join(d.path, name(sign(0, key).Root))
		good, err := diskfs.ReadFile(disk, path, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		revoke(sign(0, key))
		valid(n+1, n+2)
		now = now.Add(time.Minute)
		revoke(sign(0, key))
		if _, err := all(); err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), good...)
		bad[len(bad)-1] ^= 1
		if err := diskfs.WriteFile(disk, path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		valid(n+1, n+2) // valid tombstones are cached for a minute
		now = now.Add(time.Minute)
		valid(n, n+3)
		if err := disk.Remove(path); err != nil {
			t.Fatal(err)
		}
		valid(n, n+3)
		if len(d.files) != n+1 {
			t.Errorf("%d files are remembered, want %d", len(d.files), n+1)
		}
	}
}
