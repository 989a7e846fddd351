package digstore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// richDisk is a disk with a store of n generations that has every kind of file, and the modules of
// its generations.
func richDisk(t testing.TB, n int) (*diskfs.Crash, map[merkle.Hash][]byte) {
	t.Helper()
	disk, content := diskfs.NewCrash(home), t.TempDir()
	w := must(digstore.Init(home, sweepOptions(disk)))
	defer w.Close()
	check(t, commitVersions(0, n-1)(w))
	s := must(w.Store("site"))
	rel := releases(n + 1)
	truth := map[merkle.Hash][]byte{}
	for _, r := range rel[:n] {
		truth[r.line.Root] = r.module
	}
	write(t, content, version(n-1))
	check(t, s.SetContentRoot(ctx, content))
	// writes the stat index
	must(s.Commit(ctx, nil, &digstore.CommitOptions{Message: fmt.Sprint("version ", n-1)}))
	check(t,
		w.Receive(ctx, module.Push{Head: rel[n].head, Parent: rel[n-1].line.Root, Pending: true},
			bytes.NewReader(rel[n].module), deep))
	check(t,
		s.Pin(ctx, module.Pins{Publisher: publisher.PublicKey(), Root: rel[n-1].line.Root,
			Generation: uint64(n - 1)}))
	check(t, s.AddRemote(ctx, "origin", "https://example.org/stores/1"))
	check(t,
		s.Revoke(ctx,
			must(auth.SignTombstone(ctx, auth.Tombstone{Store: siteID, Root: merkle.Hash{1}, NotAfter: 1},
				publisher))))
	check(t, stageAll(files{"a": "staged", "b": noise(3, 300)})(s))
	return disk.Recover(1), truth
}

// allFiles lists the files below dir.
func allFiles(t testing.TB, disk diskfs.FS, dir string) []string {
	t.Helper()
	var out []string
	for _, e := range must(disk.ReadDir(dir)) {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			out = append(out, allFiles(t, disk, name)...)
		} else {
			out = append(out, name)
		}
	}
	return out
}

// damages are ways in which a bad disk changes a file.
var damages = map[string]func(b []byte, at int) []byte{
	"bit flipped":  func(b []byte, at int) []byte { b[at] ^= 0x10; return b },
	"cut":          func(b []byte, at int) []byte { return b[:at] },
	"zeroed after": func(b []byte, at int) []byte { clear(b[at:]); return b },
	"grown":        func(b []byte, at int) []byte { return append(b, b[at:]...) },
}

// TestDamagedFiles: after any damage of a file of a workspace, every read returns the right content
// or a named error. Caches are rebuilt.
func TestDamagedFiles(t *testing.T) {
	base, truth := richDisk(t, 9)
	intact := must(stateOf(base.Recover(1)))
	part, parts := vectors.Part(t)
	points, long, seen := 0, vectors.Long(t), map[string]bool{}
	for _, name := range allFiles(t, base, filepath.Join(home, ".dig")) {
		class := filepath.Dir(name) + strings.TrimLeft(filepath.Base(name), "0123456789abcdef")
		if filepath.Base(name) == "lock" || seen[class] && !long {
			continue
		}
		seen[class] = true
		text := must(diskfs.ReadFile(base, name, 1<<30))
		short := strings.TrimPrefix(name, home+"/.dig/")
		cache := strings.HasSuffix(name, ".idx") || strings.HasSuffix(name, "statindex")
		stride := max(1, len(text)/3)
		if long {
			stride = max(1, len(text)/12)
		}
		for what, damage := range damages {
			for at := 0; at < len(text); at += stride {
				points++
				if points%parts != part {
					continue
				}
				disk := base.Recover(1)
				check(t, diskfs.WriteFile(disk, name, damage(bytes.Clone(text), at), 0o600))
				if cache {
					if got, err := stateOf(disk); err != nil || got != intact {
						t.Errorf("%s %s at byte %d of %d: %v\n%s", short, what, at, len(text), err, diff(got, intact))
					}
				}
				if err := readsRight(disk, truth, what == "cut"); err != nil {
					t.Errorf("%s %s at byte %d of %d: %v", short, what, at, len(text), err)
				}
			}
		}
	}
	t.Logf("%d damages", points/parts)
}

// damageErrors are what reading a damaged workspace may fail with.
var damageErrors = []error{digstore.ErrCorrupt, module.ErrFormat, module.ErrVerify, urn.ErrSealed,
	fs.ErrNotExist, auth.ErrSignature,
	auth.ErrForbidden, module.ErrTooLarge, digstore.ErrNoKey, auth.ErrRevoked}

func named(err error) error {
	for _, e := range damageErrors {
		if errors.Is(err, e) {
			return nil
		}
	}
	return fmt.Errorf("an error that cannot be told: %w", err)
}

// readsRight reads everything, and commits new content if commit is set. It returns an error if
// content differs from what was written, or if an error is not in damageErrors.
func readsRight(disk diskfs.FS, truth map[merkle.Hash][]byte, commit bool) error {
	w, err := digstore.Open(home, sweepOptions(disk))
	if err != nil {
		return named(err)
	}
	defer w.Close()
	for s, err := range w.All() {
		if err != nil {
			if err := named(err); err != nil {
				return err
			}
			continue
		}
		history, err := s.Generations(ctx)
		if err != nil {
			return named(err)
		}
		for _, g := range history {
			if err := generationReadsRight(s, g.Root, truth[g.Root]); err != nil {
				return fmt.Errorf("generation %d: %w", g.Number, err)
			}
		}
		for _, f := range []func() error{
			func() error { _, err := s.Staged(); return err },
			func() error { _, err := s.Signer(); return err },
			func() error { _, err := s.Pins(ctx); return err },
			func() error { _, err := s.Remotes(); return err },
			func() error { _, err := s.Tombstones(ctx, siteID); return err },
			func() error { _, err := w.Pending(ctx, siteID); return err },
		} {
			if err := f(); err != nil {
				if err := named(err); err != nil {
					return err
				}
			}
		}
		if !commit {
			continue
		}
		if err := commitsRight(s, len(history)); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	return nil
}

func generationReadsRight(s *digstore.Store, root merkle.Hash, want []byte) error {
	var b bytes.Buffer
	if _, err := s.Export(ctx, root, &b, nil); err != nil {
		return named(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		return fmt.Errorf("exported %d bytes that are not the %d that were committed", b.Len(), len(want))
	}
	g, err := s.At(root)
	if err != nil {
		return named(err)
	}
	whole := must(module.Open(bytes.NewReader(want), int64(len(want))))
	for r, err := range g.Module().Resources() {
		if err != nil {
			return named(err)
		}
		if _, err := whole.Find(r.Key()); err != nil {
			return fmt.Errorf("a resource that was never there: %w", err)
		}
	}
	return nil
}

// commitsRight commits new content. The commit may be refused.
func commitsRight(s *digstore.Store, number int) error {
	if _, err := s.Unstage(ctx); err != nil {
		return named(err)
	}
	want := version(number)
	if err := stageAll(want)(s); err != nil {
		return named(err)
	}
	r, err := s.Commit(ctx, publisher, nil)
	if err != nil {
		return named(err)
	}
	for name, text := range want {
		got, err := readResource(r.Generation, name)
		if err != nil { // it shares a chunk with a damaged generation
			return named(err)
		}
		if string(got) != text {
			return fmt.Errorf("%s reads back as %.20q", name, got)
		}
	}
	return nil
}

// TestTornHistory cuts roots.log at every byte, and adds other remains of a write after its last
// line. Remains that a crash can cause are ignored, and anything else is damage. It tests histories
// with confirmed lines, with unconfirmed lines as after a crash, and without proofs.
func TestTornHistory(t *testing.T) {
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(disk)))
	check(t, commitVersions(0, 3)(w))
	check(t, w.Close())
	base, log := disk.Recover(1), filepath.Join(siteDir, "roots.log")
	text := must(diskfs.ReadFile(base, log, 1<<20))
	const damaged = -1
	rests := map[string][3]int{ // valid generations
		"x": {damaged, damaged, 3}, "\x00\x00\x00": {damaged, damaged, 3}, "3": {damaged, damaged, 3}, "3\t": {damaged, damaged, 3},
		"3\t00\t1\n": {damaged, damaged, damaged}, "\x00\x00\x00\n": {damaged, damaged, 3}, "\n": {damaged, damaged, 3},
		"9\t" + strings.Repeat("ab", 32) + "\t1\n": {damaged, damaged, 4},
	}
	for world, prepare := range []func(disk *diskfs.Crash){
		func(disk *diskfs.Crash) { writeAt(t, disk, filepath.Join(siteDir, "roots.proof"), 0, proofHeader(3)) },
		func(disk *diskfs.Crash) { writeAt(t, disk, filepath.Join(siteDir, "roots.proof"), 0, make([]byte, 64)) },
		func(disk *diskfs.Crash) { unproven(t, disk) },
	} {
		tails := map[string]int{string(text): 3}
		for n := range text {
			tails[string(text[:n])] = bytes.Count(text[:n], []byte("\n"))
			if world == 0 {
				tails[string(text[:n])] = damaged
			}
		}
		for rest, want := range rests {
			tails[string(text)+rest] = want[world]
		}
		for tail, want := range tails {
			disk := base.Recover(1)
			prepare(disk)
			check(t, diskfs.WriteFile(disk, log, []byte(tail), 0o644))
			w := must(digstore.Open(home, sweepOptions(disk)))
			got, err := must(w.Store("site")).Generations(ctx)
			if want == damaged && !errors.Is(err, digstore.ErrCorrupt) ||
				want != damaged && (err != nil || len(got) != want) {
				t.Fatalf("world %d, %d bytes, the last %q: %d generations, %v, want %d", world, len(tail),
					tail[max(0, len(tail)-10):], len(got), err, want)
			}
			check(t, w.Close())
			if len(tail) <= len(text) && len(tail)%13 > 0 {
				continue
			}
			files := allFiles(t, disk, siteDir)
			w = must(digstore.Open(home, sweepOptions(disk)))
			err = commitVersions(max(want, 0), 5)(w)
			if want == damaged || want == 4 { // generation 9 is not held
				if !errors.Is(err, digstore.ErrCorrupt) {
					t.Fatalf("world %d, %d bytes: commit on a damaged history: %v", world, len(tail), err)
				}
				for _, name := range files {
					if _, err := disk.Stat(name); err != nil {
						t.Errorf("world %d, %d bytes: %v", world, len(tail), err)
					}
				}
			} else if err != nil {
				t.Fatalf("world %d, %d bytes: commit behind a torn tail: %v", world, len(tail), err)
			} else if got := must(must(w.Store("site")).Generations(ctx)); len(got) != 5 {
				t.Fatalf("world %d, %d bytes: %d generations after further commits, want 5", world,
					len(tail), len(got))
			}
			check(t, w.Close())
		}
	}
}

// writeAt overwrites bytes of a file.
func writeAt(t testing.TB, disk diskfs.FS, name string, off int64, b []byte) {
	t.Helper()
	f := must(disk.OpenFile(name, os.O_RDWR, 0))
	must(f.WriteAt(b, off))
	check(t, f.Close())
}

// unproven turns the store into one of an earlier version.
func unproven(t testing.TB, disk diskfs.FS) {
	t.Helper()
	for _, name := range []string{"roots.proof", "roots.dropped", "pins.json"} {
		if err := disk.Remove(filepath.Join(siteDir, name)); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// proofHeader is the header of roots.proof.
func proofHeader(confirmed uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte("DIGPROOF"), confirmed)
	b = append(b, make([]byte, 60-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}
