package digstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
)

// taking is a writer with ReadFrom, which accepts files like a network connection.
type taking struct {
	bytes.Buffer
	files int64 // bytes received from files
	limit int64 // number of bytes accepted; 0: all
}

var errFull = errors.New("full")

func (t *taking) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			t.files += l.N
		}
	}
	if t.limit > 0 {
		n, err := io.CopyN(&t.Buffer, r, t.limit)
		if err == nil {
			err = errFull
		}
		return n, err
	}
	return t.Buffer.ReadFrom(r)
}

// TestModuleWriteTo: every read method returns the same bytes from any offset, and long parts are
// passed as files.
func TestModuleWriteTo(t *testing.T) {
	s, dir := site(t, files{"large": noise(1, 3_000_000), "a": "small", "z/large": noise(2, 900_000)},
		nil)
	first := must(s.Commit(ctx, nil, nil)).Generation.Info().Root
	write(t, dir, files{"more": noise(3, 700_000), "a": "changed"})
	second := must(s.Commit(ctx, nil, nil)).Generation.Info().Root
	for _, root := range []merkle.Hash{first, second} {
		want := moduleOf(t, s, root)
		for _, from := range []int64{0, 1, 70_000, 500_001, int64(len(want)) - 10, int64(len(want))} {
			m := must(s.Module(ctx, root))
			must(m.Seek(from, io.SeekStart))
			var got taking
			n, err := m.(io.WriterTo).WriteTo(&got)
			if err != nil || n != int64(len(want))-from || !bytes.Equal(got.Bytes(), want[from:]) {
				t.Errorf("from %d: %d bytes, %v", from, n, err)
			}
			if from == 0 && got.files < 3_000_000 {
				t.Errorf("%d bytes came as files", got.files)
			}
			if rest := must(io.ReadAll(m)); len(rest) > 0 {
				t.Errorf("from %d: %d bytes are left", from, len(rest))
			}
			check(t, m.Close())
		}
		m := must(s.Module(ctx, root))
		got := taking{limit: 1000}
		n, err := m.(io.WriterTo).WriteTo(&got)
		if !errors.Is(err, errFull) || n != int64(got.Len()) || !bytes.Equal(got.Bytes(), want[:n]) {
			t.Errorf("a writer that breaks off: %d bytes, %v", n, err)
		}
		if at := must(m.Seek(0, io.SeekCurrent)); at != n {
			t.Errorf("it stands at %d after %d bytes", at, n)
		}
	}
}

// TestManyReaders: a thousand readers read undamaged modules while a publisher commits and collects
// garbage, and leave no file open.
func TestManyReaders(t *testing.T) {
	s, dir := site(t, among(corpus.Small(1), files{"a": "0"}), nil)
	must(s.Commit(ctx, nil, nil))
	first := must(s.Latest()).Info().Root
	want := moduleOf(t, s, first)
	before := openFiles(t)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			write(t, dir, files{"a": fmt.Sprint(i), fmt.Sprint("n", i%5): noise(uint64(i), 9000)})
			must(s.Commit(ctx, nil, nil))
			if i%10 == 0 {
				must(s.GC(ctx, &digstore.GCOptions{Keep: 3, Roots: []merkle.Hash{first}}))
			}
		}
	})
	places := make(chan struct{}, 64)
	for range 1000 {
		readers.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			m, err := s.Module(ctx, first)
			if err != nil {
				t.Error(err)
				return
			}
			defer m.Close()
			var got taking
			if _, err := m.(io.WriterTo).WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes, %v", got.Len(), err)
			}
		})
	}
	readers.Wait()
	close(stop)
	publisher.Wait()
	if after := openFiles(t); after > before+64 {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

// openFiles returns the number of open files of this process, or 0 if the system does not report
// it. Wine has the folder too, but keeps other files open.
func openFiles(t *testing.T) int {
	if runtime.GOOS == "windows" {
		return 0
	}
	list, err := os.ReadDir(filepath.FromSlash("/proc/self/fd"))
	if err != nil {
		return 0
	}
	return len(list)
}

// TestModuleOfDamagedPack: no method returns a byte of a damaged or missing chunk, even if the
// chunk was read before. A repaired chunk can be read.
func TestModuleOfDamagedPack(t *testing.T) {
	dir := t.TempDir()
	w := must(digstore.Init(dir, options(nil)))
	defer w.Close()
	s := must(w.Create(ctx, digstore.StoreID{}, nil))
	stage(t, s, among(corpus.Small(1), files{"large": noise(1, 3_000_000), "a": "small"}))
	root := must(s.Commit(ctx, nil, nil)).Generation.Info().Root
	want := moduleOf(t, s, root)
	pack := must(filepath.Glob(filepath.Join(dir, ".dig", "stores", "*", "packs", "*.pack")))[0]
	whole := must(os.ReadFile(pack))
	reads := map[string]func(io.ReadSeeker) ([]byte, error){
		"Read": func(m io.ReadSeeker) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{m}) },
		"ReadAt": func(m io.ReadSeeker) ([]byte, error) {
			b := make([]byte, len(want))
			n, err := m.(io.ReaderAt).ReadAt(b, 0)
			return b[:n], err
		},
		"WriteTo": func(m io.ReadSeeker) ([]byte, error) {
			var b taking
			_, err := m.(io.WriterTo).WriteTo(&b)
			return b.Bytes(), err
		},
	}
	damaged := bytes.Clone(whole)
	damaged[8+4+5] ^= 1
	for _, c := range []struct {
		name   string
		damage func() error
	}{
		{"bit", func() error { return os.WriteFile(pack, damaged, 0o644) }},
		{"cut", func() error { return os.Truncate(pack, int64(len(whole)/2)) }},
	} {
		old := time.Now().Add(-time.Hour) // so that checks are cached
		check(t, os.Chtimes(pack, old, old))
		for range 2 {
			if got := moduleOf(t, s, root); !bytes.Equal(got, want) {
				t.Fatalf("before %s: %d bytes, want %d", c.name, len(got), len(want))
			}
		}
		check(t, c.damage())
		if err := w.CheckStore(ctx, s.ID()); (c.name == "cut") != errors.Is(err, digstore.ErrCorrupt) {
			t.Errorf("%s: check: %v", c.name, err)
		}
		for name, read := range reads {
			m := must(s.Module(ctx, root))
			got, err := read(m)
			check(t, m.Close())
			if !errors.Is(err, digstore.ErrCorrupt) || !bytes.HasPrefix(want, got) {
				t.Errorf("%s, %s: %d bytes, %v", c.name, name, len(got), err)
			}
		}
		check(t, os.WriteFile(pack, whole, 0o644))
		check(t, w.CheckStore(ctx, s.ID()))
	}
	check(t, w.Close()) // Windows may keep a file until it is closed
	check(t, os.Remove(pack))
	fresh := must(digstore.Open(dir, options(nil)))
	defer fresh.Close()
	if err := fresh.CheckStore(ctx, s.ID()); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("a pack is missing: %v", err)
	}
	if _, err := io.ReadAll(must(fresh.Module(ctx, s.ID(), root))); !errors.Is(err,
		digstore.ErrCorrupt) {
		t.Errorf("a pack is missing: %v", err)
	}
}
