package digstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// counting is a disk that counts operations.
type counting struct {
	diskfs.FS
	calls, bytes atomic.Int64
	listed       atomic.Int64 // entries of directories
}

func (c *counting) reset() { c.calls.Store(0); c.bytes.Store(0); c.listed.Store(0) }

func (c *counting) OpenFile(name string, flag int, perm fs.FileMode) (diskfs.File, error) {
	c.calls.Add(1)
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &countingFile{f, c}, nil
}

func (c *counting) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := c.FS.ReadDir(name)
	c.calls.Add(1)
	c.listed.Add(int64(len(list)))
	return list, err
}

func (c *counting) Stat(name string) (fs.FileInfo, error) {
	c.calls.Add(1)
	return c.FS.Stat(name)
}

func (c *counting) Remove(name string) error {
	c.calls.Add(1)
	return c.FS.Remove(name)
}

func (c *counting) Rename(from, to string) error {
	c.calls.Add(1)
	return c.FS.Rename(from, to)
}

type countingFile struct {
	diskfs.File
	on *counting
}

func (f *countingFile) count(n int) {
	f.on.calls.Add(1)
	f.on.bytes.Add(int64(n))
}

func (f *countingFile) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	f.count(n)
	return n, err
}

func (f *countingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	f.count(n)
	return n, err
}

func (f *countingFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.count(n)
	return n, err
}

func (f *countingFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	f.count(n)
	return n, err
}

// longStore makes a store with n generations, of which three are held, and some held ones after
// them. The directories have as many files as if all were held; operations should not list them.
func longStore(t testing.TB, n int) (*diskfs.Crash, []module.Generation) {
	disk := diskfs.NewCrash(home)
	w, s := siteOn(t, disk)
	lines := imagined(0, n)
	at := 0
	for i, to := range []int{n * 7 / 8, n * 98 / 100, n} {
		// so that there are indexes of every level
		r := releases(20)[17+i]
		lines[to-1].Root = r.line.Root
		check(t, s.Install(ctx, lines[at:to], r.head, strings.NewReader(string(r.module)), deep))
		writeNothing(t, w)
		at = to
	}
	check(t, commitVersions(0, 12)(w))
	check(t, s.Pin(ctx, module.Pins{Publisher: publisher.PublicKey()}))
	for i := range n / 100 {
		name := lines[i*100].Root.String()
		check(t,
			diskfs.WriteNew(disk, filepath.Join(siteDir, "recipes", name+".recipe"), nil, 0o644, false))
		check(t, diskfs.WriteNew(disk, filepath.Join(siteDir, "sigs", name+".sig"), nil, 0o644, false))
	}
	return disk, lines
}

// TestLongHistoryCosts: operations on a history a hundred times as long cost little more, because
// they use the indexes and neither scan nor rewrite the log.
func TestLongHistoryCosts(t *testing.T) {
	// both before a multiple of 64, where recipes stand alone
	const short, long = 1<<10 - 16, 100<<10 - 16
	rel := releases(14)[13]
	type cost struct{ calls, bytes, listed int64 }
	names := []string{"head", "tail", "log", "at", "line", "no line", "pins and tombstones",
		"stage and commit", "receive"}
	costs := map[string][2]cost{}
	for i, n := range []int{short, long} {
		base, lines := longStore(t, n)
		for _, name := range names {
			disk := &counting{FS: base.Recover(1)}
			w := must(digstore.Open(home, sweepOptions(disk)))
			s := must(w.Store("site"))
			disk.reset()
			switch name {
			case "head":
				must(s.Head(ctx))
			case "tail":
				must(s.Tail(ctx, 3))
			case "log":
				must(s.HistoryTail(ctx, 10))
			case "at":
				must(s.At(must(s.Tail(ctx, 5))[0].Root))
			case "line":
				for _, place := range []int{0, 1, n / 3, n - 1} {
					must(s.Line(ctx, lines[place].Root))
				}
			case "no line":
				if _, err := s.Line(ctx, merkle.Hash{7}); !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			case "pins and tombstones":
				must(s.Pins(ctx))
				must(s.Tombstones(ctx, siteID))
			case "stage and commit":
				check(t, stageAll(version(40))(s))
				must(s.Commit(ctx, nil, nil))
			case "receive":
				head := must(s.Tail(ctx, 1))[0].Root
				check(t, w.Receive(ctx, module.Push{Head: rel.head, Parent: head},
					strings.NewReader(string(rel.module)), deep))
			}
			c := costs[name]
			c[i] = cost{disk.calls.Load(), disk.bytes.Load(), disk.listed.Load()}
			costs[name] = c
			check(t, w.Close())
		}
	}
	for _, name := range names {
		a, b := costs[name][0], costs[name][1]
		t.Logf(
			"%-20s %4d calls, %7d bytes, %3d names; with %d times the history %4d calls, %7d bytes, %3d "+
				"names",
			name, a.calls, a.bytes, a.listed, long/short, b.calls, b.bytes, b.listed)
		if b.calls*10 > a.calls*17 || b.bytes*10 > a.bytes*17 || b.listed > a.listed+8 {
			t.Errorf("%s: the cost grows with the history", name)
		}
	}
}

func BenchmarkLongHistory(b *testing.B) {
	for _, n := range []int{1<<10 - 16, 100<<10 - 16} {
		disk, lines := longStore(b, n)
		for name, do := range map[string]func(s *digstore.Store){
			"head": func(s *digstore.Store) { must(s.Head(ctx)) },
			"log":  func(s *digstore.Store) { must(s.HistoryTail(ctx, 10)) },
			"line": func(s *digstore.Store) { must(s.Line(ctx, lines[n/3].Root)) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					w := must(digstore.Open(home, sweepOptions(disk)))
					do(must(w.Store("site")))
					check(b, w.Close())
				}
			})
		}
	}
}
