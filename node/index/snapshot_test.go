package index_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/node/index"
)

// sample has a generation as an item, one in part in a plot, and a head.
func sample(t testing.TB, first int) *index.Index {
	t.Helper()
	x := index.New()
	a, b := holding(1, 1, first, 2, 2), holding(2, 1, 5, 6, 7)
	a.Absent = []int{1}
	b.Capsules = b.Capsules[1:]
	err := errors.Join(x.Set("storage", generationItem(a, true), a),
		x.Set("plots", index.Item{Name: "/plots/a.plot", Size: 99}, b, holding(1, 1, first, 2, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func snapshot(t testing.TB, x *index.Index) []byte {
	t.Helper()
	disk := diskfs.NewCrash("/d")
	if err := x.Save(disk, "/d/index"); err != nil {
		t.Fatal(err)
	}
	b, err := diskfs.ReadFile(disk, "/d/index", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loadBytes(t testing.TB, b []byte) (*index.Index, error) {
	t.Helper()
	disk := diskfs.NewCrash("/d")
	if err := diskfs.WriteFile(disk, "/d/index", b, 0o600); err != nil {
		t.Fatal(err)
	}
	return index.Load(disk, "/d/index")
}

// TestSnapshotDamage: every flipped byte and every truncation is detected.
func TestSnapshotDamage(t *testing.T) {
	b := snapshot(t, sample(t, 1))
	x, err := loadBytes(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if again := snapshot(t, x); !bytes.Equal(again, b) {
		t.Error("a snapshot of what was loaded is another")
	}
	for at := range b {
		bad := bytes.Clone(b)
		bad[at] ^= 1 << (at % 8)
		if _, err := loadBytes(t, bad); !errors.Is(err, index.ErrSnapshot) {
			t.Fatalf("byte %d: %v, expected ErrSnapshot", at, err)
		}
		if _, err := loadBytes(t, b[:at]); !errors.Is(err, index.ErrSnapshot) {
			t.Fatalf("%d bytes: %v, expected ErrSnapshot", at, err)
		}
	}
	if _, err := loadBytes(t, append(bytes.Clone(b), 0)); !errors.Is(err, index.ErrSnapshot) {
		t.Errorf("a byte more: %v, expected ErrSnapshot", err)
	}
	if _, err := index.Load(diskfs.NewCrash("/d"), "/d/index"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no snapshot: %v, expected fs.ErrNotExist", err)
	}
}

// TestSaveCrashes cuts the power at every file operation of a save, or lets the operation fail. The
// snapshot is then the old or the new one, or, after a crash, one that is rejected.
func TestSaveCrashes(t *testing.T) {
	first, second := sample(t, 1), sample(t, 9)
	old, now := snapshot(t, first), snapshot(t, second)
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/d")
		if err := first.Save(disk, "/d/index"); err != nil {
			t.Fatal(err)
		}
		disk.StopAfter(n)
		err := second.Save(disk, "/d/index")
		for seed := range uint64(6) {
			after := disk.Recover(seed)
			b, rerr := diskfs.ReadFile(after, "/d/index", 1<<20)
			if rerr != nil || !bytes.Equal(b, old) && !bytes.Equal(b, now) ||
				err == nil && !bytes.Equal(b, now) {
				t.Fatalf("operation %d, seed %d: %d bytes, %v after %v", n, seed, len(b), rerr, err)
			}
		}
		if err == nil {
			break
		}
	}
	for n := 1; ; n++ {
		dir := t.TempDir()
		failing := diskfs.Fail(diskfs.OS(), n, fs.ErrPermission, nil)
		err := second.Save(failing, dir+"/index")
		if !failing.Failed() {
			break
		}
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("operation %d: %v", n, err)
		}
		if _, err := os.Stat(dir + "/index.tmp"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("operation %d: a temporary file is left: %v", n, err)
		}
	}
}

// FuzzLoad: arbitrary bytes are refused, and memory use is bounded by their length.
func FuzzLoad(f *testing.F) {
	b := snapshot(f, sample(f, 1))
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(snapshot(f, index.New()))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A right checksum, so that the fields are looked at.
		x, err := index.LoadPayload(b)
		if err != nil {
			return
		}
		if again := snapshot(t, x); len(again) == 0 {
			t.Fatal("nothing was written")
		}
	})
}
