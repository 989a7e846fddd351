package plot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

// A countingReader counts the reads of a file and the bytes that they ask for.
type countingReader struct {
	src          io.ReaderAt
	reads, bytes atomic.Int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.reads.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.src.ReadAt(p, off)
}

func (c *countingReader) reset() { c.reads.Store(0); c.bytes.Store(0) }

// many returns a datastore of n tiny capsules.
func many(n int) datastore {
	d := datastore{manifest: &capsule.Manifest{Store: auth.StoreID{5}}}
	leaves := make([]merkle.Hash, n)
	for i := range n {
		b := binary.BigEndian.AppendUint32(nil, uint32(i))
		c := capsule.Descriptor{Index: uint32(i), Size: 4, Hash: merkle.Sum(b),
			ChunkRoot: merkle.Leaf(b)}
		d.contents = append(d.contents, b)
		d.manifest.Capsules = append(d.manifest.Capsules, c)
		leaves[i] = c.Leaf()
	}
	d.manifest.Root = merkle.Root(leaves)
	return d
}

// A large plot opens in a few reads, and one read finds a record.
func TestReads(t *testing.T) {
	n := 20_000
	if vectors.Long(t) {
		n = 100_000
	}
	ds := many(n)
	file := readFile(t, create(t, t.TempDir(), fast(), ds).Path)
	src := &countingReader{src: bytes.NewReader(file)}
	start := time.Now()
	r, err := plot.NewReader(src, int64(len(file)), &plot.ReadOptions{MaxRecords: -1})
	check(t, err)
	t.Logf("plot of %d capsules opened in %v with %d reads", n, time.Since(start), src.reads.Load())
	if src.reads.Load() > 16 {
		t.Errorf("opened with %d reads, expected at most 16", src.reads.Load())
	}
	var rec plot.Record
	for i := 0; i < n; i += n / 50 {
		src.reset()
		rec, err = r.Lookup(ds.manifest.Store, uint32(i))
		check(t, err)
		byHash, err := r.LookupHash(ds.manifest.Capsules[i].Hash)
		check(t, err)
		if rec.Hash != ds.manifest.Capsules[i].Hash || byHash != rec {
			t.Errorf("capsule %d: records %+v and %+v", i, rec, byHash)
		}
		if src.reads.Load() != 2 || src.bytes.Load() != 2*4096 {
			t.Errorf("two lookups took %d reads of %d bytes, expected 2 of 8192", src.reads.Load(),
				src.bytes.Load())
		}
	}
	_, err = r.Descriptor(rec) // reads the record array once
	check(t, err)
	src.reset()
	_, err = r.Descriptor(rec)
	check(t, err)
	if src.reads.Load() != 2 || src.bytes.Load() > 4080+64 {
		t.Errorf("a descriptor took %d reads of %d bytes, expected 2 of at most 4144",
			src.reads.Load(), src.bytes.Load())
	}
	src.reset()
	_, err = r.Lookup(ds.manifest.Store, uint32(n))
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, plot.ErrUnverified) ||
		src.reads.Load() != 1 {
		t.Errorf("missing capsule: %v after %d reads", err, src.reads.Load())
	}
	_, err = r.Verify(t.Context(), plot.Quick, nil)
	check(t, err)
	if _, err = r.Lookup(ds.manifest.Store, uint32(n)); !errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, plot.ErrUnverified) {
		t.Errorf("missing capsule of a verified plot: %v", err)
	}
}

// countedCapsule returns a capsule of size bytes in a plot without compression, its content, and
// the file, which counts its reads.
func countedCapsule(t *testing.T, size int) (*countingReader, *plot.Capsule, []byte) {
	t.Helper()
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	ds := newDatastore(t, 1, content)
	o := fast()
	o.Compression = plot.None
	file := readFile(t, create(t, t.TempDir(), o, ds).Path)
	src := &countingReader{src: bytes.NewReader(file)}
	r, err := plot.NewReader(src, int64(len(file)), nil)
	check(t, err)
	c, err := r.Capsule(ds.manifest.Capsules[0], plot.Verified)
	check(t, err)
	return src, c, content
}

// Ranges of a capsule without compression take one read each, once it is open.
func TestRangeReads(t *testing.T) {
	src, c, _ := countedCapsule(t, 3<<20)
	b := make([]byte, 64<<10)
	_, err := c.ReadAt(b, 0)
	check(t, err)
	src.reset()
	_, err = c.ReadAt(b, 1_500_000)
	check(t, err)
	if src.reads.Load() != 1 || src.bytes.Load() > 2*(128<<10) {
		t.Errorf("a range of 64 KiB took %d reads of %d bytes, expected 1 of at most two blocks",
			src.reads.Load(), src.bytes.Load())
	}
}

// Small reads decode and check each block once.
func TestSmallReads(t *testing.T) {
	src, c, content := countedCapsule(t, 3*(128<<10)+5000)
	_, err := c.ReadAt(make([]byte, 1), 0)
	check(t, err)
	src.reset()
	got, err := io.ReadAll(iotest.OneByteReader(c))
	check(t, err)
	if !bytes.Equal(got, content) || src.reads.Load() != 4 || src.bytes.Load() != int64(len(content)) {
		t.Errorf("%d bytes in single bytes took %d reads of %d bytes", len(got), src.reads.Load(),
			src.bytes.Load())
	}
}

// Read, Seek, ReadAt and WriteTo in any order do what those of a bytes.Reader do.
func TestReadSeek(t *testing.T) {
	content := corpus.Small(5)["media/clip-03.bin"]
	ds := newDatastore(t, 1, content)
	dir := t.TempDir()
	r := open(t, create(t, dir, fast(), ds).Path, nil)
	c, err := r.Capsule(ds.manifest.Capsules[0], plot.Verified)
	check(t, err)
	inSet, err := openSet(t, plot.Dir{Path: dir}).Open(t.Context(), ds.manifest.Capsules[0])
	check(t, err)
	defer inSet.Close()
	for name, got := range map[string]io.Reader{"capsule": c, "set": inSet} {
		want := bytes.NewReader(content)
		rnd := rand.New(rand.NewPCG(3, 4))
		for n := range 400 {
			size := []int{0, 1, 10, 5000, 131_072, 300_000}[rnd.IntN(6)]
			switch rnd.IntN(5) {
			case 0:
				off := rnd.Int64N(int64(len(content)) + 1000)
				a, aerr := got.(io.Seeker).Seek(off, io.SeekStart)
				b, berr := want.Seek(off, io.SeekStart)
				if a != b || aerr != nil || berr != nil {
					t.Fatalf("%s, step %d: seek to %d: %d, %v", name, n, off, a, aerr)
				}
			case 1:
				off := rnd.Int64N(int64(len(content)))
				p := make([]byte, min(size, len(content)-int(off)))
				if _, err := got.(io.ReaderAt).ReadAt(p, off); err != nil && err != io.EOF ||
					!bytes.Equal(p, content[off:][:len(p)]) {
					t.Fatalf("%s, step %d: read %d bytes at %d: %v", name, n, len(p), off, err)
				}
			case 2:
				if n%50 != 0 {
					continue // it moves to the end
				}
				var a, b bytes.Buffer
				_, aerr := got.(io.WriterTo).WriteTo(&a)
				_, berr := want.WriteTo(&b)
				if !bytes.Equal(a.Bytes(), b.Bytes()) || aerr != nil || berr != nil {
					t.Fatalf("%s, step %d: wrote %d bytes, want %d: %v", name, n, a.Len(), b.Len(),
						aerr)
				}
			default:
				a, b := make([]byte, size), make([]byte, size)
				an, aerr := io.ReadFull(got, a)
				bn, berr := io.ReadFull(want, b)
				if an != bn || aerr != berr || !bytes.Equal(a, b) {
					t.Fatalf("%s, step %d: read %d bytes: %d, %v, want %d, %v", name, n, size, an,
						aerr, bn, berr)
				}
			}
		}
	}
}
