package digstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// TestDamagedLines: if any byte of any line of a long history changes, readers of the line and
// writers return an error, and no file is removed.
func TestDamagedLines(t *testing.T) {
	r := releases(1)[0]
	base := diskfs.NewCrash(home)
	w, s := siteOn(t, base)
	lines := imagined(0, 700)
	lines[699].Root = r.line.Root
	check(t, s.Install(ctx, lines, r.head, bytes.NewReader(r.module), deep))
	writeNothing(t, w)
	if len(indexFiles(t, base)) == 0 {
		t.Fatal("no index covers the beginning")
	}
	log := filepath.Join(siteDir, "roots.log")
	text := must(diskfs.ReadFile(base, log, 1<<20))
	at := 0
	for n, line := range bytes.SplitAfter(text, []byte("\n")) {
		if n%233 == 0 || n == 699 {
			for _, place := range []int{0, len(line) / 3, len(line) - 3, len(line) - 1} {
				disk := base.Recover(1)
				writeAt(t, disk, log, int64(at+place), []byte{line[place] ^ 1})
				w, s := siteOn(t, disk)
				files := allFiles(t, disk, siteDir)
				_, lineErr := s.Line(ctx, lines[n].Root)
				_, tailErr := s.Tail(ctx, 700-n)
				_, allErr := s.Generations(ctx)
				for what, err := range map[string]error{"line": lineErr, "tail": tailErr,
					"generations": allErr} {
					if !errors.Is(err, digstore.ErrCorrupt) {
						t.Errorf("byte %d of line %d: %s: %v", place, n, what, err)
					}
				}
				if _, err := s.GC(ctx, nil); !errors.Is(err, digstore.ErrCorrupt) {
					t.Errorf("byte %d of line %d: gc: %v", place, n, err)
				}
				for _, name := range files {
					if _, err := disk.Stat(name); err != nil {
						t.Errorf("byte %d of line %d: %v", place, n, err)
					}
				}
				check(t, w.Close())
			}
		}
		at += len(line)
	}
}

// TestHistoryGone: if the files of a history are removed while a process has the store open, the
// history is damaged and not empty, even without proofs.
func TestHistoryGone(t *testing.T) {
	files := []string{"roots.log", "roots.proof", "pins.json"}
	for n := range files {
		t.Run(strings.Join(files[:n+1], ", "), func(t *testing.T) {
			disk, _ := richDisk(t, 4)
			w, s := siteOn(t, disk)
			defer w.Close()
			if list := must(s.Generations(ctx)); len(list) == 0 {
				t.Fatal("no generation")
			}
			for _, name := range files[:n+1] {
				check(t, disk.Remove(filepath.Join(siteDir, name)))
			}
			before := allFiles(t, disk, siteDir)
			list, err := s.Generations(ctx)
			if !errors.Is(err, digstore.ErrCorrupt) {
				t.Errorf("%d generations, %v", len(list), err)
			}
			stage(t, s, map[string]string{"a": "b"})
			_, commitErr := s.Commit(ctx, nil, nil)
			_, gcErr := s.GC(ctx, nil)
			if !errors.Is(commitErr, digstore.ErrCorrupt) || !errors.Is(gcErr, digstore.ErrCorrupt) {
				t.Errorf("commit: %v; gc: %v", commitErr, gcErr)
			}
			for _, name := range before {
				if _, err := disk.Stat(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDamagedProofs: a damaged or missing block of a confirmed line is an error.
func TestDamagedProofs(t *testing.T) {
	base, _ := richDisk(t, 4)
	name := filepath.Join(siteDir, "roots.proof")
	writeAt(t, base, name, 0, proofHeader(4))
	text := must(diskfs.ReadFile(base, name, 1<<20))
	for _, c := range []struct {
		what string
		do   func(disk *diskfs.Crash)
	}{
		{"a root", func(disk *diskfs.Crash) { writeAt(t, disk, name, 64+3, []byte{text[64+3] ^ 1}) }},
		{"a checksum", func(disk *diskfs.Crash) { writeAt(t, disk, name, 64*3-1, []byte{text[64*3-1] ^ 1}) }},
		{"two blocks in each other's place", func(disk *diskfs.Crash) {
			writeAt(t, disk, name, 64, bytes.Join([][]byte{text[128:192], text[64:128]}, nil))
		}},
		{"the last block", func(disk *diskfs.Crash) { check(t, diskfs.WriteFile(disk, name, text[:64*4], 0o644)) }},
		{"the file", func(disk *diskfs.Crash) { check(t, disk.Remove(name)) }},
		{"another store's", func(disk *diskfs.Crash) {
			other, _ := richDisk(t, 3)
			check(t, diskfs.WriteFile(disk, name, must(diskfs.ReadFile(other, name, 1<<20)), 0o644))
		}},
		{"roots.log", func(disk *diskfs.Crash) { check(t, disk.Remove(filepath.Join(siteDir, "roots.log"))) }},
	} {
		disk := base.Recover(1)
		c.do(disk)
		w, s := siteOn(t, disk)
		if _, err := s.Generations(ctx); !errors.Is(err, digstore.ErrCorrupt) {
			t.Errorf("%s: %v", c.what, err)
		}
		if err := w.Drop(ctx, siteID, merkle.Hash{1}); !errors.Is(err, digstore.ErrCorrupt) {
			t.Errorf("%s: a writer: %v", c.what, err)
		}
		check(t, w.Close())
	}
}

// TestForeignHistory: lines of the reference implementation with repeated numbers, gaps and
// repeated roots are read in order, extended by commits and adopted.
func TestForeignHistory(t *testing.T) {
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(disk)))
	check(t, commitVersions(0, 2)(w))
	gens := must(must(w.Store("site")).Generations(ctx))
	check(t, w.Close())
	unproven(t, disk)
	a, b := gens[0].Root, gens[1].Root
	text := fmt.Sprintf("0\t%s\t1\n0\t%s\t2\n1\t%s\t3\n\n1\t%s\t4\r\n7\t%s\t5\n", a, a, b, b, a)
	check(t, diskfs.WriteFile(disk, filepath.Join(siteDir, "roots.log"), []byte(text), 0o644))
	want := []merkle.Hash{a, b, a}
	wantRoots := func() {
		t.Helper()
		w, s := siteOn(t, disk)
		defer w.Close()
		lines := must(s.Generations(ctx))
		if len(lines) != len(want) {
			t.Fatalf("%d lines, want %d", len(lines), len(want))
		}
		for i, g := range lines {
			if g.Root != want[i] || g.Number != uint64(i) {
				t.Errorf("line %d is %v", i, g)
			}
		}
		if g := must(s.Line(ctx, a)); g.Number != 2 {
			t.Errorf("root %s stands at %d, want its latest place, 2", a, g.Number)
		}
		verifyAll(t, s)
	}
	wantRoots()
	w, s := siteOn(t, disk)
	if proven := must(s.Proven(ctx)); proven {
		t.Error("a history without proofs is proven")
	}
	want = append(want, commit(t, s, version(2), nil).ID().Root)
	wantRoots()
	if r := must(s.Adopt(ctx, nil)); r.Lines != 4 || r.Verified != 3 {
		t.Errorf("adopted %+v", r)
	}
	check(t, w.Close())
	wantRoots()
	w, s = siteOn(t, disk)
	if proven := must(s.Proven(ctx)); !proven {
		t.Error("an adopted history is not proven")
	}
	want = append(want, commit(t, s, version(3), nil).ID().Root)
	check(t, w.Close())
	wantRoots()
	writeAt(t, disk, filepath.Join(siteDir, "roots.log"), 0, []byte("1"))
	_, s = siteOn(t, disk)
	if _, err := s.Generations(ctx); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("a number of an adopted line changed: %v", err)
	}
}

// TestAdoptRefuses: a damaged history is not adopted. Lines that another program has added to
// proven ones are.
func TestAdoptRefuses(t *testing.T) {
	base, _ := richDisk(t, 3)
	log := filepath.Join(siteDir, "roots.log")
	text := must(diskfs.ReadFile(base, log, 1<<20))
	pack := func(disk *diskfs.Crash) string {
		return filepath.Join(siteDir, "packs",
			must(disk.ReadDir(filepath.Join(siteDir, "packs")))[0].Name())
	}
	second := len(text)/3 + 10
	for _, c := range []struct {
		what string
		do   func(disk *diskfs.Crash)
		ok   bool
	}{
		{"nothing", func(*diskfs.Crash) {}, true},
		{"a lost proof", func(disk *diskfs.Crash) { check(t, disk.Remove(filepath.Join(siteDir, "roots.proof"))) }, true},
		{"a line that was added", func(disk *diskfs.Crash) {
			check(t, diskfs.WriteFile(disk, log, append(bytes.Clone(text), text[:len(text)/3]...), 0o644))
		}, true},
		{"a line that is not held at the end", func(disk *diskfs.Crash) {
			check(t, diskfs.WriteFile(disk, log, fmt.Appendf(bytes.Clone(text), "3\t%s\t1\n", merkle.Hash{1}), 0o644))
		}, false},
		{"a damaged line", func(disk *diskfs.Crash) { writeAt(t, disk, log, int64(second), []byte{text[second] ^ 1}) }, false},
		{"a damaged pack", func(disk *diskfs.Crash) { writeAt(t, disk, pack(disk), 100, []byte("damage")) }, false},
	} {
		disk := base.Recover(1)
		writeAt(t, disk, filepath.Join(siteDir, "roots.proof"), 0, proofHeader(3))
		c.do(disk)
		w, s := siteOn(t, disk)
		r, err := s.Adopt(ctx, nil)
		if c.ok != (err == nil) {
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
		check(t, w.Close())
		if c.ok {
			_, s = siteOn(t, disk)
			if proven := must(s.Proven(ctx)); !proven {
				t.Errorf("%s: not proven", c.what)
			}
			verifyAll(t, s)
		}
	}
}

// TestSignatureMissing: a stored signature that is missing is damage. Adopt makes it again if the
// key is here.
func TestSignatureMissing(t *testing.T) {
	disk, _ := richDisk(t, 2)
	w, s := siteOn(t, disk)
	head := must(s.Latest()).ID().Root
	for _, ext := range []string{".sig", ".untagged.sig"} {
		if err := disk.Remove(filepath.Join(siteDir, "sigs", head.String()+ext)); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := s.Verify(ctx, head, nil); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("verify: %v", err)
	}
	if _, err := s.Commit(ctx, publisher, nil); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("commit: %v", err)
	}
	if r := must(s.Adopt(ctx, nil)); r.Signed != 1 {
		t.Errorf("adopt: %+v", r)
	}
	check(t, w.Close())
	_, s = siteOn(t, disk)
	if r := must(s.Verify(ctx, head, nil)); !r.Signed {
		t.Error("it is not signed")
	}
	signed(t, s)
}
