package plot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

func openSet(t testing.TB, dirs ...plot.Dir) *plot.Set {
	t.Helper()
	s, err := plot.OpenSet(t.Context(), nil, dirs...)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func scan(t testing.TB, s *plot.Set) *plot.Scan {
	t.Helper()
	out, err := s.Scan(t.Context())
	check(t, err)
	return out
}

func readAll(t testing.TB, src capsule.Source, d capsule.Descriptor) []byte {
	t.Helper()
	r, err := src.Open(t.Context(), d)
	check(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	check(t, err)
	return b
}

// Plots come and go while a set is open; a bad file hides no other.
func TestSet(t *testing.T) {
	tree := corpus.Small(8)
	a := newDatastore(t, 1, tree["media/clip-02.bin"], tree["copies/three.txt"])
	b := newDatastore(t, 2, tree["text/book-01.txt"], tree["sizes/empty"])
	ssd, hdd := t.TempDir(), t.TempDir()
	first := create(t, ssd, fast(), a)
	check(t, os.WriteFile(filepath.Join(ssd, "junk.plot"), bytes.Repeat([]byte("junk"), 30_000),
		0o644))
	check(t, os.WriteFile(filepath.Join(ssd, "empty.plot"), nil, 0o644))
	check(t, os.WriteFile(filepath.Join(ssd, "notes.txt"), []byte("no plot"), 0o644))
	s := openSet(t, plot.Dir{Path: ssd, Class: "l3"}, plot.Dir{Path: hdd, Class: "l4"})
	if n := count(s); n != [2]int{1, 2} {
		t.Errorf("%d plots and bad files, expected 1 and 2", n)
	}
	if out := scan(t, s); len(out.Added)+len(out.Removed)+len(out.Bad) != 0 {
		t.Errorf("second scan: %+v", out)
	}
	second := create(t, hdd, fast(), b)
	if out := scan(t, s); len(out.Added) != 1 || out.Added[0].ID != second.ID {
		t.Errorf("scan behind a new plot: %+v", out)
	}
	for _, ds := range []datastore{a, b} {
		for i, want := range ds.contents {
			ref := capsule.Ref{Store: ds.manifest.Store, Root: ds.manifest.Root, Index: uint32(i)}
			d, err := s.Stat(t.Context(), ref)
			check(t, err)
			if d != ds.manifest.Capsules[i] || !bytes.Equal(readAll(t, s, d), want) {
				t.Errorf("%v: descriptor or content differs", ref)
			}
		}
	}
	if _, err := s.Stat(t.Context(), capsule.Ref{Store: a.manifest.Store,
		Root: b.manifest.Root}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("capsule of another generation: %v", err)
	}
	if id, tier, err := s.Locate(t.Context(), capsule.Ref{Store: b.manifest.Store}); err != nil ||
		id != second.ID || tier != "l4" {
		t.Errorf("located in %s, %s, %v", id, tier, err)
	}
	check(t, os.Remove(first.Path))
	if out := scan(t, s); len(out.Removed) != 1 || out.Removed[0].ID != first.ID {
		t.Errorf("scan behind a removal: %+v", out)
	}
	if _, err := s.Open(t.Context(), a.manifest.Capsules[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a capsule of a plot that is gone: %v", err)
	}
}

func count(s *plot.Set) (n [2]int) {
	for range s.Plots() {
		n[0]++
	}
	for range s.Bad() {
		n[1]++
	}
	return n
}

// A second file of the same plot answers when the first is damaged.
func TestBackup(t *testing.T) {
	ds := newDatastore(t, 1, corpus.Small(9)["media/clip-03.bin"])
	one, two := t.TempDir(), t.TempDir()
	info := create(t, one, fast(), ds)
	backup := filepath.Join(two, "backup.plot")
	file := readFile(t, info.Path)
	check(t, os.WriteFile(backup, file, 0o644))
	file[2*4096+5] ^= 1 // in the header of the first extent
	check(t, os.WriteFile(info.Path, file, 0o644))
	s := openSet(t, plot.Dir{Path: one}, plot.Dir{Path: two})
	if got := readAll(t, s, ds.manifest.Capsules[0]); !bytes.Equal(got, ds.contents[0]) {
		t.Error("content differs")
	}
	p, err := s.Find(t.Context(), ds.manifest.Capsules[0].Hash, info.ID)
	check(t, err)
	check(t, p.Close())
	// With only the damaged file the damage is the error, not absence.
	check(t, os.Remove(backup))
	scan(t, s)
	if _, err := s.Open(t.Context(), ds.manifest.Capsules[0]); !errors.Is(err, plot.ErrExtent) {
		t.Errorf("error %v, expected ErrExtent", err)
	}
	if _, err := s.Find(t.Context(), ds.manifest.Capsules[0].Hash, merkle.Hash{}); !errors.Is(err,
		plot.ErrExtent) {
		t.Errorf("error %v, expected ErrExtent", err)
	}
}

// Blocks that are damaged in one plot are read from another one that has the
// capsule, whatever the way of reading.
func TestBackupBlocks(t *testing.T) {
	content := bytes.Join(contentsOf(corpus.Small(9)), nil)[:3*capsule.BlockSize+1000]
	ds := newDatastore(t, 1, content)
	d := ds.manifest.Capsules[0]
	o := fast()
	o.Compression = plot.None
	file := readFile(t, create(t, t.TempDir(), o, ds).Path)
	block := func(list ...int) []byte {
		b := bytes.Clone(file)
		for _, i := range list {
			b[3*page+i*capsule.BlockSize] ^= 1
		}
		return b
	}
	s := openSet(t, plot.Dir{Path: place(t, block(0, 2))}, plot.Dir{Path: place(t, block(1, 2))},
		plot.Dir{Path: place(t, block(0, 1))})
	for name, read := range map[string]func(r io.ReadCloser) ([]byte, error){
		"Read": func(r io.ReadCloser) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) },
		"WriteTo": func(r io.ReadCloser) ([]byte, error) {
			var b bytes.Buffer
			_, err := r.(io.WriterTo).WriteTo(&b)
			return b.Bytes(), err
		},
		"ReadAt": func(r io.ReadCloser) ([]byte, error) {
			return io.ReadAll(io.NewSectionReader(r.(io.ReaderAt), 0, int64(d.Size)))
		},
	} {
		r, err := s.Open(t.Context(), d)
		check(t, err)
		got, err := read(r)
		check(t, err)
		check(t, r.Close())
		if !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes that differ at %d", name, len(got), mismatch(got, content))
		}
	}
	// A writer that fails ends the copy, and a block that is whole nowhere is the error.
	r, err := s.Open(t.Context(), d)
	check(t, err)
	defer r.Close()
	full := errors.New("the disk is full")
	if n, err := r.(io.WriterTo).WriteTo(&limited{200_000, full}); err != full || n != 200_000 {
		t.Errorf("a writer that fails: %d bytes, %v", n, err)
	}
	s = openSet(t, plot.Dir{Path: place(t, block(1))}, plot.Dir{Path: place(t, block(0, 1))})
	r, err = s.Open(t.Context(), d)
	check(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	if !errors.Is(err, plot.ErrBlock) || !bytes.Equal(got, content[:capsule.BlockSize]) {
		t.Errorf("a block that is damaged everywhere: %d bytes, %v", len(got), err)
	}
}

// A plot that gives other content under the hash of a capsule does not fill in for blocks that are
// damaged in another one, also when the caller knows no chunk root.
func TestBackupOfAnother(t *testing.T) {
	good, bad := make([]byte, 3*capsule.BlockSize), make([]byte, 3*capsule.BlockSize)
	fill(good, 1)
	fill(bad, 2)
	ds := newDatastore(t, 1, good)
	d := ds.manifest.Capsules[0]
	o := fast()
	o.Compression = plot.None
	f := &forged{b: readFile(t, create(t, t.TempDir(), o, newDatastore(t, 2, bad)).Path)}
	f.edit(0, func(r []byte) { copy(r[40:72], d.Hash[:]) })
	copy(f.at(0)[0x30:], d.Hash[:])
	f.sealExtent(0)
	f.sealData()
	f.reroot()
	lying := f.seal(t)
	check(t, verify(lying, plot.Quick))
	// The set asks the plot with the lower id first.
	for o.Anchor.Network = 1; ; o.Anchor.Height++ {
		file := readFile(t, create(t, t.TempDir(), o, ds).Path)
		if bytes.Compare(file[16:48], lying[16:48]) > 0 {
			continue
		}
		file[3*page+capsule.BlockSize] ^= 1
		s := openSet(t, plot.Dir{Path: place(t, file)}, plot.Dir{Path: place(t, lying)})
		d.ChunkRoot = merkle.Hash{}
		r, err := s.Open(t.Context(), d)
		check(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		if !errors.Is(err, plot.ErrBlock) || !bytes.Equal(got, good[:capsule.BlockSize]) {
			t.Errorf("%d bytes, %v, expected the first block and ErrBlock", len(got), err)
		}
		return
	}
}

// A limited writer fails after so many bytes.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	if l.left -= n; n < len(b) {
		return n, l.err
	}
	return n, nil
}

// A plot whose tables are damaged leaves the set when it is verified.
func TestSetVerify(t *testing.T) {
	ds := newDatastore(t, 1, []byte("content"))
	dir := t.TempDir()
	info := create(t, dir, fast(), ds)
	r := open(t, info.Path, nil)
	rec, err := r.Lookup(ds.manifest.Store, 0)
	check(t, err)
	if rec.Offset != 2*4096 {
		t.Fatalf("offset %d", rec.Offset)
	}
	file := readFile(t, info.Path)
	at := bytes.LastIndex(file, rec.Hash[:]) // in the hash index
	file[at] ^= 1
	check(t, os.WriteFile(info.Path, file, 0o644))
	s := openSet(t, plot.Dir{Path: dir})
	if _, err := s.Open(t.Context(), capsule.Descriptor{Hash: merkle.Hash{1}}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Verify(t.Context(), info.Path, plot.Quick, nil); !errors.Is(err, plot.ErrIndex) {
		t.Errorf("verify: %v, expected ErrIndex", err)
	}
	if n := count(s); n != [2]int{0, 1} {
		t.Errorf("%d plots and bad files, expected 0 and 1", n)
	}
}

// Ten thousand files of junk cost no more than their headers.
func TestJunk(t *testing.T) {
	dir := t.TempDir()
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	for i := range n {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%05d.plot", i)))
		check(t, err)
		check(t, f.Truncate(1<<30)) // sparse
		_, err = f.WriteString("DIG1")
		check(t, err)
		check(t, f.Close())
	}
	info := create(t, dir, fast(), newDatastore(t, 1, []byte("content")))
	start := time.Now()
	s := openSet(t, plot.Dir{Path: dir})
	if c := count(s); c != [2]int{1, n} {
		t.Errorf("%d plots and bad files, expected 1 and %d", c, n)
	}
	for p := range s.Plots() {
		if p.ID != info.ID {
			t.Errorf("plot %s", p.ID)
		}
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("scan of %d files took %v", n, d)
	}
}

// A plot that is replaced while it is open is noticed, and reads in progress
// end well.
func TestReplaced(t *testing.T) {
	ds := newDatastore(t, 1, corpus.Small(3)["media/clip-05.bin"])
	other := newDatastore(t, 2, []byte("other"))
	dir := t.TempDir()
	info := create(t, dir, fast(), ds)
	s := openSet(t, plot.Dir{Path: dir})
	r, err := s.Open(t.Context(), ds.manifest.Capsules[0])
	check(t, err)
	replacement := create(t, t.TempDir(), fast(), other)
	check(t, os.Rename(replacement.Path, info.Path))
	if out := scan(t, s); len(out.Removed) != 1 || len(out.Added) != 1 ||
		out.Added[0].ID != replacement.ID {
		t.Errorf("scan: %+v", out)
	}
	got, err := io.ReadAll(r)
	check(t, err)
	check(t, r.Close())
	if !bytes.Equal(got, ds.contents[0]) {
		t.Error("the read in progress gave other content")
	}
	if got := readAll(t, s, other.manifest.Capsules[0]); string(got) != "other" {
		t.Errorf("content %q", got)
	}
}

// A plot that is overwritten in place by another one of the same size is noticed by its time.
func TestOverwritten(t *testing.T) {
	dir := t.TempDir()
	info := create(t, dir, fast(), newDatastore(t, 1, []byte("first")))
	other := newDatastore(t, 2, []byte("other"))
	replacement := readFile(t, create(t, t.TempDir(), fast(), other).Path)
	s := openSet(t, plot.Dir{Path: dir})
	check(t, os.WriteFile(info.Path, replacement, 0o644))
	at := time.Now().Add(time.Minute)
	check(t, os.Chtimes(info.Path, at, at))
	out := scan(t, s)
	if len(out.Added) != 1 || len(out.Removed) != 1 {
		t.Errorf("scan: %+v", out)
	}
	if got := readAll(t, s, other.manifest.Capsules[0]); string(got) != "other" {
		t.Errorf("content %q", got)
	}
}

// A plot whose content is damaged stays in the set for what is whole.
func TestSetVerifyContent(t *testing.T) {
	ds := newDatastore(t, 1, []byte("whole"), []byte("damaged"))
	dir := t.TempDir()
	info := create(t, dir, fast(), ds)
	file := readFile(t, info.Path)
	rec, err := open(t, info.Path, nil).Lookup(ds.manifest.Store, 1)
	check(t, err)
	file[rec.Offset+page] ^= 1
	check(t, os.WriteFile(info.Path, file, 0o644))
	s := openSet(t, plot.Dir{Path: dir})
	if _, err := s.Verify(t.Context(), info.Path, plot.Full, nil); !errors.Is(err, plot.ErrBlock) {
		t.Errorf("verify: %v", err)
	}
	if got := readAll(t, s, ds.manifest.Capsules[0]); string(got) != "whole" {
		t.Errorf("content %q", got)
	}
}

// Scans, reads and closing go on at once.
func TestSetConcurrent(t *testing.T) {
	ds := newDatastore(t, 1, contentsOf(corpus.Small(5))...)
	dir, spare := t.TempDir(), t.TempDir()
	info := create(t, dir, fast(), ds)
	away := filepath.Join(spare, "away.plot")
	s := openSet(t, plot.Dir{Path: dir})
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 60 {
				n := (g*31 + i) % len(ds.contents)
				r, err := s.Open(t.Context(), ds.manifest.Capsules[n])
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(b, ds.contents[n]) {
					t.Errorf("capsule %d: %v", n, err)
				}
				r.Close()
			}
		}()
	}
	for range 10 {
		check(t, os.Rename(info.Path, away))
		scan(t, s)
		check(t, os.Rename(away, info.Path))
		scan(t, s)
	}
	wg.Wait()
}
