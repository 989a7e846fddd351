package plot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

// Memory for each capsule, in both ways of looking up and while verifying.
func TestMemory(t *testing.T) {
	n := 20_000
	if vectors.Long(t) {
		n = 100_000
	}
	ds := many(n)
	file := readFile(t, create(t, t.TempDir(), fast(), ds).Path)
	for _, c := range []struct {
		name    string
		records int
		limit   int64 // bytes for each capsule
	}{{"records in memory", 0, 100}, {"index pages", -1, 4}} {
		base := heap()
		r, err := plot.NewReader(bytes.NewReader(file), int64(len(file)),
			&plot.ReadOptions{MaxRecords: c.records})
		check(t, err)
		rec, err := r.Lookup(ds.manifest.Store, 7)
		check(t, err)
		_, err = r.Descriptor(rec)
		check(t, err)
		held := heap() - base
		t.Logf("%s: %d bytes held, %.1f for each capsule", c.name, held, float64(held)/float64(n))
		if held > int64(n)*c.limit+1<<20 {
			t.Errorf("%s: %d bytes held for %d capsules", c.name, held, n)
		}
		runtime.KeepAlive(r)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A generated is a source of capsules of one size whose content is made as it is
// read: a block of text and noise that says where it stands.
type generated struct{ manifest *capsule.Manifest }

func newGenerated(t testing.TB, n int, size uint32) generated {
	t.Helper()
	m := &capsule.Manifest{Store: auth.StoreID{9}, Capsules: make([]capsule.Descriptor, n)}
	g, ctx := errgroup.WithContext(t.Context())
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				d, err := capsule.Describe(uint32(i), &generator{index: uint32(i), left: size})
				if err != nil {
					return err
				}
				m.Capsules[i] = d
			}
			return nil
		})
	}
	check(t, g.Wait())
	leaves := make([]merkle.Hash, n)
	for i, d := range m.Capsules {
		leaves[i] = d.Leaf()
	}
	m.Root = merkle.Root(leaves)
	return generated{m}
}

func (g generated) Stat(context.Context, capsule.Ref) (capsule.Descriptor, error) {
	panic("a Writer asks for descriptors")
}

func (g generated) Open(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(&generator{index: d.Index, left: d.Size}), nil
}

// A generator reads the content of one generated capsule.
type generator struct {
	index, pos, left uint32
}

// generatedUnit is what generated content repeats.
var generatedUnit = func() []byte {
	b := make([]byte, 1<<16)
	fill(b, 3)
	return b
}()

func (g *generator) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && g.left > 0 {
		var unit [8]byte // at the start of each repetition
		binary.BigEndian.PutUint32(unit[:], g.index)
		at := g.pos % uint32(len(generatedUnit))
		binary.BigEndian.PutUint32(unit[4:], g.pos-at)
		k := copy(p[n:min(len(p), n+int(g.left))], generatedUnit[at:])
		if at < 8 {
			copy(p[n:n+k], unit[at:])
		}
		n += k
		g.pos += uint32(k)
		g.left -= uint32(k)
	}
	return n, nil
}

// peak returns how many bytes of heap objects, dead ones included, there were
// at most beyond what there was before, while f ran.
func peak(f func()) int64 {
	base := heap()
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		top := int64(0)
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(s)
			top = max(top, int64(s[0].Value.Uint64()))
			select {
			case <-done:
				result <- top
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	return <-result - base
}

// Writing and verifying a plot take less than 64 MiB and 200 bytes for each
// capsule, whatever the size of the content. Dead objects count.
func TestPeakMemory(t *testing.T) {
	large := func(n int) func() generated {
		return func() generated { return newGenerated(t, n, capsule.DefaultSize) }
	}
	small := func(n, distinct int) func() generated {
		return func() generated { return fourByteCapsules(n, distinct) }
	}
	for _, c := range []struct {
		name   string
		o      plot.Compression
		source func() generated
		long   bool // too slow for a short run
	}{
		{"256 MiB", plot.None, large(16), false},
		{"1 GiB", plot.None, large(64), true},
		{"512 MiB, zstd", plot.Zstd, large(32), true},
		{"100,000 capsules", plot.None, small(100_000, 1000), false},
		{"100,000 distinct capsules", plot.None, small(100_000, 100_000), true},
		{"1,000,000 capsules", plot.None, small(1_000_000, 1000), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long {
				vectors.NeedLong(t)
			}
			src := c.source()
			o := fast()
			o.Compression = c.o
			limit := int64(64<<20 + 200*len(src.manifest.Capsules))
			var info *plot.Info
			written := peak(func() {
				w, err := plot.Create(t.Context(), t.TempDir(), []*capsule.Manifest{src.manifest},
					node, o)
				check(t, err)
				defer w.Close()
				check(t, w.AddFrom(t.Context(), src))
				info, err = w.Seal(t.Context())
				check(t, err)
				check(t, w.Close())
			})
			verified := peak(func() {
				r, err := plot.Open(info.Path, nil)
				check(t, err)
				defer r.Close()
				_, err = r.Verify(t.Context(), plot.Full, nil)
				check(t, err)
			})
			t.Logf("%d capsules, %d MiB of content: "+
				"%.1f MiB to write, %.1f MiB to verify, limit %.1f MiB",
				info.Capsules, info.Content>>20, mib(written), mib(verified), mib(limit))
			if written > limit || verified > limit {
				t.Errorf("%d and %d bytes of memory, expected at most %d", written, verified, limit)
			}
		})
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// fourByteCapsules returns n capsules of 4 bytes with so many distinct contents.
func fourByteCapsules(n, distinct int) generated {
	m := &capsule.Manifest{Store: auth.StoreID{5}, Capsules: make([]capsule.Descriptor, n)}
	leaves := make([]merkle.Hash, n)
	for i := range m.Capsules {
		b := binary.BigEndian.AppendUint32(nil, uint32(i%distinct))
		d := capsule.Descriptor{Index: uint32(i), Size: 4, Hash: merkle.Sum(b),
			ChunkRoot: merkle.Leaf(b)}
		m.Capsules[i], leaves[i] = d, d.Leaf()
	}
	m.Root = merkle.Root(leaves)
	return generated{m}
}
