package plot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
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

// Ranges of a capsule without compression take one read each, once it is open.
func TestRangeReads(t *testing.T) {
	content := make([]byte, 3<<20)
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
	b := make([]byte, 64<<10)
	_, err = c.ReadAt(b, 0)
	check(t, err)
	src.reset()
	_, err = c.ReadAt(b, 1_500_000)
	check(t, err)
	if src.reads.Load() != 1 || src.bytes.Load() > 2*(128<<10) {
		t.Errorf("a range of 64 KiB took %d reads of %d bytes, expected 1 of at most two blocks",
			src.reads.Load(), src.bytes.Load())
	}
}
