package diskfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

var errDisk = errors.New("input/output error")

func write(t *testing.T, fsys diskfs.FS, name, text string) {
	t.Helper()
	check(t, diskfs.WriteFile(fsys, name, []byte(text), 0o600))
}

func read(t *testing.T, fsys diskfs.FS, name string) string {
	t.Helper()
	b, err := diskfs.ReadFile(fsys, name, 1<<20)
	check(t, err)
	return string(b)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

func TestFoldCase(t *testing.T) {
	disk := diskfs.NewCrashWith("/d", &diskfs.CrashOptions{FoldCase: true})
	check(t, disk.Mkdir("/d/Site", 0o755))
	wantErr(t, "the same name in another case", disk.Mkdir("/d/site", 0o755), fs.ErrExist)
	write(t, disk, "/d/site/KEY", "one")
	_, err := disk.OpenFile("/D/SITE/key", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	wantErr(t, "exclusive creation", err, fs.ErrExist)
	write(t, disk, "/d/Site/Key", "two")
	for _, disk := range []*diskfs.Crash{disk, disk.Recover(1)} {
		list, err := disk.ReadDir("/d/SITE")
		if err != nil || len(list) != 1 || list[0].Name() != "KEY" ||
			read(t, disk, "/d/site/key") != "two" {
			t.Fatalf("found %v, %v; want one file, as it was spelled first", list, err)
		}
	}
	check(t, disk.Rename("/d/site", "/d/SITE"))
	list, err := disk.ReadDir("/d")
	if err != nil || len(list) != 1 || list[0].Name() != "SITE" {
		t.Fatalf("renamed to another case: %v, %v", list, err)
	}
}

func TestCoarseTimes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	disk := diskfs.NewCrashWith("/d", &diskfs.CrashOptions{
		TimeUnit: 2 * time.Second, Now: func() time.Time { return now }})
	for _, c := range []struct {
		clock time.Duration
		want  time.Duration
	}{{0, 0}, {1999 * time.Millisecond, 0}, {2 * time.Second, 2 * time.Second}, {-time.Hour,
		-time.Hour}} {
		now = time.Unix(1_800_000_000, 0).Add(c.clock)
		write(t, disk, "/d/f", "x")
		info, err := disk.Stat("/d/f")
		check(t, err)
		if got := info.ModTime().Sub(time.Unix(1_800_000_000, 0)); got != c.want {
			t.Errorf("written at %v: modified at %v, want %v", c.clock, got, c.want)
		}
	}
}

// TestFailSync: the sync that fails drops what it should have written, and later ones say that
// all is well.
func TestFailSync(t *testing.T) {
	old, text := bytes.Repeat([]byte("o"), 10_000), bytes.Repeat([]byte("n"), 20_000)
	disk := diskfs.NewCrash("/d")
	check(t, diskfs.WriteFile(disk, "/d/f", old, 0o600))
	f, err := disk.OpenFile("/d/f", os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(text, 0)
	check(t, err)
	disk.FailSync(1, errDisk)
	wantErr(t, "the first sync", f.Sync(), errDisk)
	check(t, f.Sync())
	if got := read(t, disk, "/d/f"); got != string(text) {
		t.Fatal("what was dropped is not seen any more")
	}
	want := append(slices.Clone(old), make([]byte, 10_000)...)
	for seed := range uint64(5) {
		if got := read(t, disk.Recover(seed), "/d/f"); seed < 2 && got != string(want) ||
			bytes.ContainsRune([]byte(got), 'n') {
			t.Fatalf("seed %d: after the power cut something is there that was dropped", seed)
		}
	}
	_, err = f.WriteAt([]byte("again"), 5000)
	check(t, err)
	check(t, f.Sync())
	copy(want[4096:], text[:4096])
	copy(want[5000:], "again")
	if got := read(t, disk.Recover(0), "/d/f"); got != string(want) {
		t.Fatal("a page that was written again is not durable")
	}
	if disk.Syncs() != 4 {
		t.Errorf("%d syncs, want 4", disk.Syncs())
	}
}

func TestUnreadable(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	write(t, disk, "/d/f", string(make([]byte, 2000)))
	check(t, disk.Unreadable("/d/f", 600, 1))
	disk = disk.Recover(0)
	f, err := disk.OpenFile("/d/f", os.O_RDWR, 0)
	check(t, err)
	for _, c := range []struct {
		off, n int64
		want   error
	}{{0, 512, nil}, {0, 513, syscall.EIO}, {512, 1, syscall.EIO}, {1023, 1, syscall.EIO}, {1024, 976,
		nil}} {
		if _, err := f.ReadAt(make([]byte, c.n), c.off); !errors.Is(err, c.want) {
			t.Errorf("read of %d bytes at %d: %v, want %v", c.n, c.off, err, c.want)
		}
	}
	_, err = io.ReadAll(f)
	wantErr(t, "reading all", err, syscall.EIO)
	_, err = f.WriteAt(make([]byte, 512), 512)
	check(t, err)
	if got := read(t, disk, "/d/f"); len(got) != 2000 {
		t.Fatalf("%d bytes after the block was written again", len(got))
	}
	wantErr(t, "a file that is not there", disk.Unreadable("/d/g", 0, 1), fs.ErrNotExist)
}

// TestLinks: links behave as on the disk of this machine.
func TestLinks(t *testing.T) {
	crash := diskfs.NewCrash("/d")
	type linker struct {
		diskfs.FS
		symlink func(target, name string) error
		dir     string
	}
	disks := map[string]linker{"crash": {crash, crash.Symlink, "/d"}}
	if runtime.GOOS != "windows" { // where links need a privilege
		disks["os"] = linker{diskfs.OS(), os.Symlink, t.TempDir()}
	}
	for name, d := range disks {
		t.Run(name, func(t *testing.T) {
			at := func(name string) string { return filepath.Join(d.dir, name) }
			check(t, diskfs.MkdirAll(d, at("real/sub"), 0o755))
			write(t, d, at("real/sub/f"), "text")
			for name, target := range map[string]string{"dir": "real", "file": "dir/sub/../sub/f",
				"up":  "../real/sub",
				"abs": at("real"), "gone": "real/gone", "loop": "loop"} {
				if name == "up" {
					check(t, d.symlink(target, at("real/up")))
					continue
				}
				check(t, d.symlink(target, at(name)))
			}
			for _, name := range []string{"file", "dir/sub/f", "abs/sub/f", "dir/up/f"} {
				if got := read(t, d, at(name)); got != "text" {
					t.Errorf("%s reads %q", name, got)
				}
			}
			info, err := d.Lstat(at("dir"))
			if err != nil || info.Mode().Type() != fs.ModeSymlink || info.Name() != "dir" {
				t.Fatalf("Lstat of a link: %v, %v", info, err)
			}
			info, err = d.Stat(at("dir"))
			if err != nil || !info.IsDir() || info.Name() != "dir" {
				t.Fatalf("Stat of a link: %v, %v", info, err)
			}
			_, err = d.Stat(at("gone"))
			wantErr(t, "Stat of a link to nothing", err, fs.ErrNotExist)
			_, err = d.Stat(at("loop"))
			wantErr(t, "Stat of a link to itself", err, syscall.ELOOP)
			wantErr(t, "Mkdir at a link to nothing", d.Mkdir(at("gone"), 0o755), fs.ErrExist)
			_, err = d.OpenFile(at("gone"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			wantErr(t, "exclusive creation at a link to nothing", err, fs.ErrExist)
			list, err := d.ReadDir(at("real"))
			if err != nil || len(list) != 2 || list[1].Type() != fs.ModeSymlink {
				t.Fatalf("ReadDir: %v, %v; want a directory and a link", list, err)
			}
			f, err := d.OpenFile(at("gone"), os.O_CREATE|os.O_WRONLY, 0o600)
			check(t, err)
			check(t, f.Close())
			if _, err := d.Lstat(at("real/gone")); err != nil {
				t.Errorf("creation through a link: %v", err)
			}
			check(t, d.Rename(at("file"), at("real/file")))
			check(t, d.Remove(at("real/file")))
			check(t, d.Remove(at("dir")))
			if got := read(t, d, at("real/sub/f")); got != "text" {
				t.Errorf("after its links were removed the file reads %q", got)
			}
		})
	}
	after := crash.Recover(1)
	if info, err := after.Lstat("/d/abs"); err != nil || info.Mode().Type() != fs.ModeSymlink ||
		read(t, after, "/d/abs/sub/f") != "text" {
		t.Errorf("after a power cut the link is %v, %v", info, err)
	}
}

func TestSpecialFiles(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	check(t, disk.Special("/d/pipe", fs.ModeNamedPipe|0o600))
	check(t, disk.Special("/d/socket", fs.ModeSocket|0o600))
	check(t, disk.Special("/d/zero", fs.ModeDevice|fs.ModeCharDevice|0o600))
	for name, want := range map[string]error{"pipe": diskfs.ErrWouldWait, "socket": syscall.ENXIO,
		"zero": nil} {
		if _, err := disk.OpenFile("/d/"+name, os.O_RDONLY, 0); !errors.Is(err, want) {
			t.Errorf("open %s: %v, want %v", name, err, want)
		}
		if info, err := disk.Stat("/d/" + name); err != nil || info.Mode().IsRegular() ||
			info.Size() != 0 {
			t.Errorf("Stat of %s: %v, %v", name, info, err)
		}
	}
	f, err := disk.OpenFile("/d/pipe", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	check(t, err)
	if b, err := io.ReadAll(f); len(b) > 0 || err != nil {
		t.Errorf("an empty pipe reads %d bytes, %v", len(b), err)
	}
	f, err = disk.OpenFile("/d/zero", os.O_RDONLY, 0)
	check(t, err)
	if n, err := io.CopyN(io.Discard, f, 1<<20); n != 1<<20 || err != nil {
		t.Errorf("a device reads %d bytes, %v; want no end", n, err)
	}
}

func TestHoldOpen(t *testing.T) {
	disk := diskfs.NewCrashWith("/d", &diskfs.CrashOptions{HoldOpen: true})
	check(t, disk.Mkdir("/d/a", 0o755))
	write(t, disk, "/d/a/f", "x")
	write(t, disk, "/d/g", "y")
	f, err := disk.OpenFile("/d/a/f", os.O_RDONLY, 0)
	check(t, err)
	l, err := disk.TryLock("/d/a/lock")
	check(t, err)
	refused := func(want error) {
		t.Helper()
		wantErr(t, "remove an open file", disk.Remove("/d/a/f"), want)
		write(t, disk, "/d/a/f2", "x")
		wantErr(t, "replace an open file", disk.Rename("/d/a/f2", "/d/a/f"), want)
	}
	refused(diskfs.ErrInUse)
	wantErr(t, "rename an open file", disk.Rename("/d/a/f", "/d/f"), diskfs.ErrInUse)
	check(t, f.Close())
	wantErr(t, "rename a directory with a lock", disk.Rename("/d/a", "/d/b"), diskfs.ErrInUse)
	wantErr(t, "remove a lock that is held", disk.Remove("/d/a/lock"), diskfs.ErrInUse)
	check(t, l.Close())
	check(t, l.Close())
	refused(nil)
	check(t, disk.Rename("/d/a", "/d/b"))
}

// TestTwoProcesses: both see what the other does, the end of one frees its lock and leaves what
// it wrote.
func TestTwoProcesses(t *testing.T) {
	disk := diskfs.NewCrashWith("/d", &diskfs.CrashOptions{HoldOpen: true})
	write(t, disk, "/d/f", "old")
	warm := diskfs.NewProcess(disk)
	open, err := warm.OpenFile("/d/f", os.O_RDONLY, 0)
	check(t, err)
	check(t, open.Close())
	for n := 1; ; n++ {
		p := diskfs.NewProcess(disk)
		l, err := p.TryLock("/d/lock")
		check(t, err)
		_, err = warm.TryLock("/d/lock")
		wantErr(t, "the lock of another process", err, diskfs.ErrLocked)
		p.KillAfter(n)
		werr := diskfs.WriteFile(p, "/d/f", []byte("newer"), 0o600)
		if werr != nil {
			wantErr(t, "killed", werr, diskfs.ErrKilled)
			_, err = p.Stat("/d/f")
			wantErr(t, "after the end", err, diskfs.ErrKilled)
		}
		if got := read(t, warm, "/d/f"); got != "newer" && (werr == nil || got != "old") {
			t.Fatalf("call %d: the other process reads %q", n, got)
		}
		check(t, l.Close())
		l, err = warm.TryLock("/d/lock")
		check(t, err)
		check(t, l.Close())
		if info, err := warm.Stat("/d/f.tmp"); n == 2 && (err != nil || info.Size() != 2) {
			t.Errorf("killed while writing: the file is %v, %v; want half of it", info, err)
		}
		if err := warm.Remove("/d/f.tmp"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("call %d: a file of the process that ended: %v", n, err)
		}
		if werr == nil {
			return
		}
	}
}

// TestBefore: another process can act before each call, and reads of one file can fail.
func TestBefore(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	write(t, disk, "/d/f", "old")
	var seen []string
	fsys := diskfs.Before(disk, func(op, name string) error {
		seen = append(seen, op+" "+read(t, disk, "/d/f"))
		if op == "read" && name == "/d/f" {
			return syscall.EIO
		}
		return nil
	})
	write(t, fsys, "/d/f", "new")
	want := []string{"open old", "write old", "sync old", "close old", "rename old", "syncdir new"}
	if !slices.Equal(seen, want) {
		t.Errorf("calls %q, want %q", seen, want)
	}
	_, err := diskfs.ReadFile(fsys, "/d/f", 10)
	wantErr(t, "read", err, syscall.EIO)
}
