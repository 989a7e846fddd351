package diskfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
)

// disks are the implementations that must behave alike.
func disks(t *testing.T) map[string]func() (diskfs.FS, string) {
	return map[string]func() (diskfs.FS, string){
		"os":      func() (diskfs.FS, string) { return diskfs.OS(), t.TempDir() },
		"crash":   func() (diskfs.FS, string) { return diskfs.NewCrash("/d"), "/d" },
		"fail":    func() (diskfs.FS, string) { return diskfs.Fail(diskfs.NewCrash("/d"), 0, nil, nil), "/d" },
		"process": func() (diskfs.FS, string) { return diskfs.NewProcess(diskfs.NewCrash("/d")), "/d" },
		"windows": func() (diskfs.FS, string) {
			return diskfs.NewCrashWith("/d", &diskfs.CrashOptions{FoldCase: true, HoldOpen: true}), "/d"
		},
	}
}

func TestOperations(t *testing.T) {
	for name, open := range disks(t) {
		t.Run(name, func(t *testing.T) {
			fsys, dir := open()
			sub := filepath.Join(dir, "a", "b")
			check(t, diskfs.MkdirAll(fsys, sub, 0o755))
			check(t, diskfs.MkdirAll(fsys, sub, 0o755))
			file := filepath.Join(sub, "f")
			check(t, diskfs.WriteFile(fsys, file, []byte("one"), 0o600))
			check(t, diskfs.ReplaceFile(fsys, file, []byte("other"), 0o600))
			if b, err := diskfs.ReadFile(fsys, file, 5); err != nil || string(b) != "other" {
				t.Fatalf("ReadFile = %q, %v; want other", b, err)
			}
			if _, err := diskfs.ReadFile(fsys, file, 4); err == nil {
				t.Fatal("ReadFile read more than its limit")
			}
			f, err := fsys.OpenFile(file, os.O_RDWR, 0)
			check(t, err)
			_, err = f.WriteAt([]byte("!!"), 7)
			check(t, err)
			check(t, f.Truncate(8))
			_, err = f.Seek(-3, io.SeekEnd)
			check(t, err)
			b, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(b, []byte("\x00\x00!")) {
				t.Fatalf("read back %q, %v", b, err)
			}
			check(t, f.Sync())
			check(t, f.Close())
			if _, err := fsys.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); !errors.Is(err,
				fs.ErrExist) {
				t.Fatalf("exclusive open of an existing file: %v, want ErrExist", err)
			}
			a, err := fsys.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			check(t, err)
			_, err = a.Write([]byte("end"))
			check(t, err)
			check(t, a.Close())
			if info, err := fsys.Stat(file); err != nil || info.Size() != 11 || info.Name() != "f" {
				t.Fatalf("Stat = %v, %v; want 11 bytes", info, err)
			}
			check(t, fsys.Rename(file, filepath.Join(dir, "g")))
			if _, err := fsys.Stat(file); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("after a rename: %v, want ErrNotExist", err)
			}
			list, err := fsys.ReadDir(dir)
			if err != nil || len(list) != 2 || list[0].Name() != "a" || !list[0].IsDir() ||
				list[1].Name() != "g" {
				t.Fatalf("ReadDir = %v, %v; want a/ and g", list, err)
			}
			if err := fsys.Remove(filepath.Join(dir, "a")); err == nil {
				t.Fatal("removed a directory that is not empty")
			}
			check(t, diskfs.RemoveAll(fsys, filepath.Join(dir, "a")))
			check(t, diskfs.RemoveAll(fsys, filepath.Join(dir, "a")))
			check(t, fsys.SyncDir(dir))

			lock := filepath.Join(dir, "lock")
			l, err := fsys.TryLock(lock)
			check(t, err)
			_, err = fsys.TryLock(lock)
			var held *diskfs.LockedError
			if !errors.Is(err, diskfs.ErrLocked) || !errors.As(err, &held) {
				t.Fatalf("second lock: %v, want ErrLocked", err)
			}
			if name == "os" && held.PID != os.Getpid() {
				t.Errorf("holder is process %d, want %d", held.PID, os.Getpid())
			}
			check(t, l.Close())
			l, err = fsys.TryLock(lock)
			check(t, err)
			check(t, l.Close())
		})
	}
}

// TestFailEveryCall: WriteFile leaves the old bytes or the new ones whichever call fails.
func TestFailEveryCall(t *testing.T) {
	disk := errors.New("disk full")
	for _, always := range []bool{false, true} {
		for n := 1; ; n++ {
			base := diskfs.NewCrash("/d")
			check(t, diskfs.WriteFile(base, "/d/f", []byte("old"), 0o600))
			fsys := diskfs.Fail(base, n, disk, &diskfs.FailOptions{Always: always})
			err := diskfs.WriteFile(fsys, "/d/f", []byte("newer"), 0o600)
			if !fsys.Failed() {
				check(t, err)
				break
			}
			if !errors.Is(err, disk) {
				t.Fatalf("call %d: %v, want the disk's error", n, err)
			}
			b, err := diskfs.ReadFile(base, "/d/f", 10)
			if err != nil || string(b) != "old" && string(b) != "newer" {
				t.Fatalf("call %d: file is %q, %v", n, b, err)
			}
		}
	}
}

// TestCrashEveryCall: the same for a power cut at every call, and once WriteFile has returned
// the new bytes stay.
func TestCrashEveryCall(t *testing.T) {
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/d")
		check(t, diskfs.WriteFile(disk, "/d/f", []byte("old"), 0o600))
		disk.StopAfter(n)
		werr := diskfs.WriteFile(disk, "/d/f", []byte("newer"), 0o600)
		for seed := range uint64(20) {
			b, err := diskfs.ReadFile(disk.Recover(seed), "/d/f", 10)
			if err != nil || string(b) != "newer" && (werr == nil || string(b) != "old") {
				t.Fatalf("call %d, seed %d: file is %q, %v", n, seed, b, err)
			}
		}
		if werr == nil {
			break
		}
		if !errors.Is(werr, diskfs.ErrPowerLost) {
			t.Fatalf("call %d: %v", n, werr)
		}
	}
}

// TestCrashForgets: what was not synced may be lost, which is what makes the sweeps above worth
// something.
func TestCrashForgets(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	check(t, diskfs.WriteFile(disk, "/d/f", bytes.Repeat([]byte("old "), 1000), 0o600))
	check(t, diskfs.ReplaceFile(disk, "/d/f", bytes.Repeat([]byte("new "), 1000), 0o600))
	check(t, diskfs.WriteNew(disk, "/d/unnamed", []byte("x"), 0o600, true))
	var lost, torn bool
	for seed := range uint64(50) {
		after := disk.Recover(seed)
		if _, err := after.Stat("/d/unnamed"); err != nil {
			lost = true
		}
		b, err := diskfs.ReadFile(after, "/d/f", 1<<20)
		check(t, err)
		torn = torn || !bytes.Equal(b, bytes.Repeat([]byte("old "), 1000)) &&
			!bytes.Equal(b, bytes.Repeat([]byte("new "), 1000))
	}
	if !lost || !torn {
		t.Fatalf("names lost: %v, files torn: %v; want both to happen", lost, torn)
	}
}

// TestCrashRename: a rename from one directory to another is lost or kept as a whole.
func TestCrashRename(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	for _, dir := range []string{"/d/a", "/d/b"} {
		check(t, diskfs.MkdirAll(disk, dir, 0o755))
	}
	check(t, diskfs.WriteFile(disk, "/d/a/f", []byte("x"), 0o600))
	check(t, disk.Rename("/d/a/f", "/d/b/g"))
	seen := map[bool]bool{}
	for seed := range uint64(20) {
		after := disk.Recover(seed)
		_, aerr := after.Stat("/d/a/f")
		_, berr := after.Stat("/d/b/g")
		if (aerr == nil) == (berr == nil) {
			t.Fatalf("seed %d: the old name: %v, the new one: %v", seed, aerr, berr)
		}
		seen[aerr == nil] = true
	}
	if len(seen) != 2 {
		t.Fatalf("the rename was always kept, or always lost: %v", seen)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
