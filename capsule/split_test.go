package capsule_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
)

func TestSplit(t *testing.T) {
	all := files(t)
	for _, n := range []int{0, 1, 999, 1000, 1001, 2000, 300_000, len(all)} {
		content := all[:min(n, len(all))]
		for _, size := range []uint32{0, 1000, 131_072, 200_001} {
			if size > 0 && n/int(size) > 2000 {
				continue
			}
			for _, workers := range []int{0, 1, 5} {
				var parts [][]byte
				m, err := capsule.Split(t.Context(), auth.StoreID{7},
					iotest.HalfReader(bytes.NewReader(content)),
					&capsule.SplitOptions{Size: size, Workers: workers}, func(d capsule.Descriptor,
						r io.Reader) error {
						b, err := io.ReadAll(r)
						if want := must(capsule.Describe(uint32(len(parts)),
							bytes.NewReader(b))); d != want {
							t.Errorf("capsule %d: %+v, want %+v", len(parts), d, want)
						}
						parts = append(parts, b)
						return err
					})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Check(); err != nil || !m.Complete() || m.Store != (auth.StoreID{7}) ||
					len(m.Capsules) != len(parts) {
					t.Errorf("%d bytes in capsules of %d: %v", n, size, err)
				}
				if !bytes.Equal(slices.Concat(parts...), content) ||
					m.Size() != uint64(len(content)) {
					t.Errorf("%d bytes in capsules of %d: other content", n, size)
				}
				whole := size
				if size == 0 {
					whole = capsule.DefaultSize
				}
				for i, p := range parts {
					if len(p) != int(whole) && i != len(parts)-1 || len(p) == 0 && len(parts) > 1 {
						t.Errorf("%d bytes in capsules of %d: capsule %d has %d bytes", n, size, i,
							len(p))
					}
				}
			}
		}
	}
}

func TestSplitErrors(t *testing.T) {
	broken := errors.New("broken")
	content := pattern(1, 100_000)
	opts := &capsule.SplitOptions{Size: 1000}
	var puts atomic.Int32
	_, err := capsule.Split(t.Context(), auth.StoreID{},
		io.MultiReader(bytes.NewReader(content[:5500]), iotest.ErrReader(broken)), opts, nil)
	wantError(t, "reader", err, broken)
	endless := readerFunc(func(p []byte) (int, error) { return len(p), nil })
	_, err = capsule.Split(t.Context(), auth.StoreID{}, endless, opts,
		func(d capsule.Descriptor, _ io.Reader) error {
			if puts.Add(1); d.Index == 5 {
				return broken
			}
			return nil
		})
	wantError(t, "put", err, broken)
	if n := puts.Load(); n != 6 {
		t.Errorf("%d calls of put, want 6", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = capsule.Split(ctx, auth.StoreID{}, endless, opts,
		func(d capsule.Descriptor, _ io.Reader) error {
			if d.Index == 3 {
				cancel()
			}
			return nil
		})
	wantError(t, "cancelled", err, context.Canceled)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// zeros reads as n zero bytes.
func zeros(n int64) io.Reader {
	return io.LimitReader(readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil }),
		n)
}

// heap returns the most heap that use has beyond what was there, sampled.
func heap(use func()) uint64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for {
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > before.HeapAlloc {
				most = max(most, now.HeapAlloc-before.HeapAlloc)
			}
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	use()
	close(stop)
	return <-done
}

// Splitting holds a few capsules, whatever the length of the content.
func TestSplitMemory(t *testing.T) {
	n := int64(200 << 20)
	if vectors.Long(t) {
		n = 1 << 30
	}
	most := heap(func() {
		if _, err := capsule.Split(t.Context(), auth.StoreID{}, zeros(n),
			&capsule.SplitOptions{Size: 4 << 20, Workers: 2}, nil); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d MiB of content: %d KiB", n>>20, most>>10)
	if most > 24<<20 {
		t.Errorf("split holds %d bytes", most)
	}
}

func TestTooLarge(t *testing.T) {
	if !vectors.Long(t) {
		t.Skip("4 GiB are hashed in the long run")
	}
	// Each takes 10 s: one on even days, the other on odd ones.
	part, parts := vectors.Part(t)
	if parts == 1 || part%2 == 0 {
		_, err := capsule.Describe(0, zeros(capsule.MaxSize+1))
		wantError(t, "4 GiB", err, capsule.ErrCapsuleTooLarge)
	}
	if parts == 1 || part%2 == 1 {
		d, err := capsule.Describe(0, zeros(capsule.MaxSize))
		if err != nil || d.Size != capsule.MaxSize || d.Chunks() != 1<<20 {
			t.Errorf("4 GiB - 1: %+v, %v", d, err)
		}
	}
}

func TestDescribeBroken(t *testing.T) {
	broken := errors.New("broken")
	_, err := capsule.Describe(0, io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)))
	wantError(t, "reader", err, broken)
}
