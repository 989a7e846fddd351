package plot_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/plot"
)

// What goes into a plot comes out again, whole and in ranges, whatever the
// compression, the mode and the way of looking up, from a fresh reader.
func TestRoundTrip(t *testing.T) {
	tree := corpus.Small(1)
	if vectors.Long(t) {
		tree = corpus.Large(1)
	}
	ds := newDatastore(t, 7, contentsOf(tree)...)
	for _, c := range []plot.Compression{plot.None, plot.LZ4, plot.Zstd} {
		for _, records := range []int{0, -1} {
			t.Run(fmt.Sprintf("%s/%d", c, records), func(t *testing.T) {
				o := fast()
				o.Compression = c
				r := open(t, create(t, t.TempDir(), o, ds).Path,
					&plot.ReadOptions{MaxRecords: records})
				_, err := r.Verify(t.Context(), plot.Full, nil)
				check(t, err)
				rnd := rand.New(rand.NewPCG(1, 2))
				for i, want := range ds.contents {
					rec, err := r.Lookup(ds.manifest.Store, uint32(i))
					check(t, err)
					d, err := r.Descriptor(rec)
					check(t, err)
					if d != ds.manifest.Capsules[i] {
						t.Fatalf("descriptor %+v, expected %+v", d, ds.manifest.Capsules[i])
					}
					for _, mode := range []plot.Mode{plot.Verified, plot.Fast} {
						c, err := r.Capsule(d, mode)
						check(t, err)
						ranges(t, c, want, rnd)
					}
				}
			})
		}
	}
}

// ranges reads parts of a capsule at the edges of blocks and at random.
func ranges(t *testing.T, c *plot.Capsule, want []byte, rnd *rand.Rand) {
	t.Helper()
	got, err := io.ReadAll(c)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes that differ from the %d wanted", len(got), len(want))
	}
	_, err = c.Seek(0, io.SeekStart)
	check(t, err)
	var buf bytes.Buffer
	if n, err := c.WriteTo(&buf); err != nil || n != int64(len(want)) ||
		!bytes.Equal(buf.Bytes(), want) {
		t.Fatalf("WriteTo gave %d bytes, %v", n, err)
	}
	edges := []int64{0, 1, 131071, 131072, 131073, int64(len(want)) - 1,
		rnd.Int64N(int64(len(want)) + 1)}
	lengths := []int64{0, 1, 4096, 131072, 200_000}
	p := make([]byte, 200_000)
	for k := range len(edges) * len(lengths) {
		off, n := edges[k%len(edges)], lengths[k/len(edges)]
		// All are read of the contents at limits, a few of the others.
		if off < 0 || off > int64(len(want)) || len(want)%131072 > 1 && rnd.IntN(8) > 0 {
			continue
		}
		m, err := c.ReadAt(p[:n], off)
		end := min(off+n, int64(len(want)))
		if err != nil && (err != io.EOF || end-off == n && n > 0) ||
			!bytes.Equal(p[:m], want[off:max(off, end)]) {
			t.Fatalf("ReadAt(%d bytes, %d) of %d: %d bytes, %v", n, off, len(want), m, err)
		}
	}
	_, err = c.Seek(0, io.SeekStart)
	check(t, err)
	if len(want) < 100 { // it takes the square of the length
		check(t, iotest.TestReader(io.NewSectionReader(c, 0, c.Size()), want))
	}
}

// The bytes of a plot depend neither on the number of workers nor on how the
// content arrives.
func TestWorkers(t *testing.T) {
	ds := newDatastore(t, 3, contentsOf(corpus.Small(2))...)
	for _, c := range []plot.Compression{plot.None, plot.LZ4, plot.Zstd} {
		var want []byte
		for _, workers := range []int{1, 2, 16} {
			o := fast()
			o.Compression, o.Workers, o.Difficulty = c, workers, 3
			dir := t.TempDir()
			w, err := plot.Create(t.Context(), dir, manifests(ds), node, o)
			check(t, err)
			for {
				_, d, ok := w.Next()
				if !ok {
					break
				}
				check(t, w.Add(t.Context(), d,
					iotest.HalfReader(bytes.NewReader(ds.contents[d.Index]))))
			}
			_, err = w.Seal(t.Context())
			check(t, err)
			check(t, w.Close())
			got := readFile(t, onlyPlot(t, dir))
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s with %d workers: bytes differ at %d", c, workers, mismatch(got, want))
			}
			check(t, verify(got, plot.Full))
		}
	}
}

// A plot that is there already is named, and nothing is left beside it.
func TestExists(t *testing.T) {
	ds := newDatastore(t, 3, []byte("content"))
	dir := t.TempDir()
	info := create(t, dir, fast(), ds)
	_, err := plot.Create(t.Context(), dir, manifests(ds), node, fast())
	var exists *plot.ExistsError
	if !asError(err, &exists) || exists.ID != info.ID ||
		exists.Path != filepath.Join(dir, plot.FileName(info.ID)) {
		t.Errorf("error %v", err)
	}
	onlyPlot(t, dir)
}
