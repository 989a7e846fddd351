package digstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

const siteDir = home + "/.dig/stores/site"

// imagined returns history lines of generations that do not exist.
func imagined(from, to int) []module.Generation {
	lines := make([]module.Generation, 0, to-from)
	for i := from; i < to; i++ {
		lines = append(lines,
			module.Generation{Number: uint64(i), Root: merkle.Sum(fmt.Append(nil, "generation ", i)),
				Time: time.Unix(1_700_000_000+int64(i), 0).UTC()})
	}
	return lines
}

func logText(lines []module.Generation) []byte {
	var b []byte
	for _, g := range lines {
		b = fmt.Appendf(b, "%d\t%s\t%d\n", g.Number, g.Root, g.Time.Unix())
	}
	return b
}

// appendLog appends to a store's log as another program would.
func appendLog(t testing.TB, disk diskfs.FS, text []byte) {
	t.Helper()
	f, err := disk.OpenFile(filepath.Join(siteDir, "roots.log"), os.O_RDWR|os.O_CREATE, 0o644)
	check(t, err)
	must(f.Seek(0, io.SeekEnd))
	must(f.Write(text))
	check(t, f.Close())
}

// siteOn makes the store on a disk, and opens it.
func siteOn(t testing.TB, disk diskfs.FS) (*digstore.Workspace, *digstore.Store) {
	t.Helper()
	if w, err := digstore.Init(home, sweepOptions(disk)); err == nil {
		check(t, commitVersions(0, 0)(w))
		check(t, w.Close())
	}
	w := must(digstore.Open(home, sweepOptions(disk)))
	t.Cleanup(func() { _ = w.Close() })
	return w, must(w.Store("site"))
}

// writeNothing takes and releases the lock, like a writer with nothing to write. It ignores the
// error that the head is not held, which is so for imagined lines.
func writeNothing(t testing.TB, w *digstore.Workspace) {
	t.Helper()
	if err := w.Drop(ctx, siteID, merkle.Hash{1}); err != nil && !errors.Is(err, digstore.ErrCorrupt) {
		t.Fatal(err)
	}
}

// wantHistory compares the history of a store with want, at both ends and at some lines between.
func wantHistory(t testing.TB, s *digstore.Store, want []module.Generation) {
	t.Helper()
	got, err := s.Generations(ctx)
	check(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("%d generations, want %d", len(got), len(want))
	}
	rnd := rand.New(rand.NewPCG(uint64(len(want)), 1))
	places := []int{0, 1, len(want) / 2, len(want) - 2, len(want) - 1}
	for range 12 {
		places = append(places, rnd.IntN(max(1, len(want))))
	}
	for _, i := range places {
		if i < 0 || i >= len(want) {
			continue
		}
		if g, err := s.Line(ctx, want[i].Root); err != nil || g != want[i] {
			t.Fatalf("line %d of %d: %v, %v", i, len(want), g, err)
		}
		if tail, err := s.Tail(ctx, i+1); err != nil || !slices.Equal(tail, want[len(want)-i-1:]) {
			t.Fatalf("tail of %d of %d: %d lines, %v", i+1, len(want), len(tail), err)
		}
	}
	for _, n := range []int{-1, 0, len(want) + 1} {
		if tail, err := s.Tail(ctx, n); err != nil || len(tail) != max(0, min(n, len(want))) {
			t.Errorf("tail of %d of %d: %d lines, %v", n, len(want), len(tail), err)
		}
	}
	for i := range 5 {
		if _, err := s.Line(ctx,
			merkle.Sum(fmt.Append(nil, "nobody's ", i))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a root that is not there: %v", err)
		}
	}
}

// indexFiles are the names of a store's history indexes.
func indexFiles(t testing.TB, disk diskfs.FS) []string {
	t.Helper()
	list, err := disk.ReadDir(filepath.Join(siteDir, "history"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	check(t, err)
	var names []string
	for _, e := range list {
		names = append(names, filepath.Join(siteDir, "history", e.Name()))
	}
	return names
}

// TestHistoryIndex extends a history in steps of any size, and checks it in a store that stays open
// and in a new one.
func TestHistoryIndex(t *testing.T) {
	disk := diskfs.NewCrash(home)
	w, s := siteOn(t, disk)
	rnd := rand.New(rand.NewPCG(1, 2))
	all := imagined(0, 22_000)
	n := 0
	for n < 12_000 {
		step := 1 + rnd.IntN([]int{30, 600, 4000}[rnd.IntN(3)])
		appendLog(t, disk, logText(all[n:n+step]))
		n += step
		want := all[:n]
		if rnd.IntN(3) > 0 {
			writeNothing(t, w)
		}
		wantHistory(t, s, want)
		again, fresh := siteOn(t, disk)
		wantHistory(t, fresh, want)
		check(t, again.Close())
	}
	writeNothing(t, w)
	if files := indexFiles(t, disk); len(files) == 0 || len(files) > 4 {
		t.Errorf("indexes of %d lines: %v", n, files)
	}
}

// TestHistoryIndexDamaged: if the index is damaged, readers use the log, and a writer rebuilds the
// index.
func TestHistoryIndexDamaged(t *testing.T) {
	base := diskfs.NewCrash(home)
	w, _ := siteOn(t, base)
	for n := 0; n < 3000; n += 300 {
		appendLog(t, base, logText(imagined(n, n+300)))
		writeNothing(t, w)
	}
	want, another := imagined(0, 3000), imagined(6000, 9000)
	for i := range another {
		another[i].Number = uint64(i)
	}
	files := indexFiles(t, base)
	if len(files) < 2 {
		t.Fatalf("indexes: %v", files)
	}
	overwrite := func(t *testing.T, disk diskfs.FS, name string, off int64, b []byte) {
		f := must(disk.OpenFile(name, os.O_RDWR, 0))
		must(f.WriteAt(b, off))
		check(t, f.Close())
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, disk *diskfs.Crash)
		want []module.Generation
	}{
		{"first removed", func(t *testing.T, disk *diskfs.Crash) { check(t, disk.Remove(files[0])) }, want},
		{"last removed", func(t *testing.T, disk *diskfs.Crash) { check(t, disk.Remove(files[len(files)-1])) }, want},
		{"header", func(t *testing.T, disk *diskfs.Crash) { overwrite(t, disk, files[0], 20, []byte{9}) }, want},
		{"page", func(t *testing.T, disk *diskfs.Crash) {
			for i := range int64(8) {
				overwrite(t, disk, files[0], 56+i*4096+100, []byte("damage"))
			}
		}, want},
		{"cut", func(t *testing.T, disk *diskfs.Crash) {
			f := must(disk.OpenFile(files[0], os.O_RDWR, 0))
			check(t, f.Truncate(5000))
			check(t, f.Close())
		}, want},
		{"empty", func(t *testing.T, disk *diskfs.Crash) { check(t, diskfs.WriteFile(disk, files[0], nil, 0o644)) }, want},
		{"a shorter log", func(t *testing.T, disk *diskfs.Crash) {
			check(t, diskfs.WriteFile(disk, filepath.Join(siteDir, "roots.log"), logText(want[:700]), 0o644))
		}, want[:700]},
		{"another log", func(t *testing.T, disk *diskfs.Crash) {
			check(t, diskfs.WriteFile(disk, filepath.Join(siteDir, "roots.log"), logText(another), 0o644))
		}, another},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := base.Recover(1)
			c.do(t, disk)
			w, s := siteOn(t, disk)
			wantHistory(t, s, c.want)
			writeNothing(t, w)
			wantHistory(t, s, c.want)
			appendLog(t, disk, logText(imagined(len(c.want), len(c.want)+300)))
			writeNothing(t, w)
			all := append(slices.Clone(c.want), imagined(len(c.want), len(c.want)+300)...)
			wantHistory(t, s, all)
			_, fresh := siteOn(t, disk)
			wantHistory(t, fresh, all)
		})
	}
}

// TestLinesThatDoNotCount: in a history without proofs, several lines of a writer that did not
// finish are ignored, and the next writer removes them. In a proven history they are damage,
// written by another program.
func TestLinesThatDoNotCount(t *testing.T) {
	r := releases(1)[0]
	for _, before := range []int{0, 3, 700} {
		for _, proven := range []bool{false, true} {
			disk := diskfs.NewCrash(home)
			w, s := siteOn(t, disk)
			had := imagined(0, before)
			if before > 0 {
				had[before-1].Root = r.line.Root
				check(t, s.Install(ctx, had, r.head, bytes.NewReader(r.module), deep))
			}
			writeNothing(t, w)
			if !proven {
				unproven(t, disk)
			}
			rest := logText(imagined(before, before+400))
			rest[0] = 0
			appendLog(t, disk, rest)
			if proven && before > 0 {
				if _, err := s.Generations(ctx); !errors.Is(err, digstore.ErrCorrupt) {
					t.Errorf("lines of another program: %v", err)
				}
				continue
			}
			wantHistory(t, s, had)
			_, err := s.Commit(ctx, nil, nil)
			if !errors.Is(err, digstore.ErrNothingStaged) {
				t.Fatal(err)
			}
			g := commit(t, s, version(1), nil)
			wantHistory(t, s, append(had, g.Info()))
		}
	}
}

// TestLongInstall: a clone of a long history, and pulls of many lines.
func TestLongInstall(t *testing.T) {
	from, gens, _ := history(t, 1)
	body := moduleOf(t, from, gens[0].Root)
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(disk)))
	t.Cleanup(func() { w.Close() })
	s := must(w.Create(ctx, from.ID(), &digstore.StoreOptions{Name: "site"}))
	lines := imagined(0, 2000)
	last := gens[0]
	last.Number = 2000
	lines = append(lines, last)
	check(t, s.Install(ctx, lines, auth.SignedRoot{}, bytes.NewReader(body), deep))
	wantHistory(t, s, lines)
	if len(indexFiles(t, disk)) == 0 {
		t.Error("there is no index")
	}
	if _, err := s.At(last.Root); err != nil {
		t.Error(err)
	}
	if err := s.Install(ctx, lines[1:], auth.SignedRoot{}, bytes.NewReader(body),
		deep); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
}
