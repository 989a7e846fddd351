package nodetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

func testCancelled(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(9).Concat()[:1500])
	h.add(g, "", true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := capsuletest.Of(t, 2, []byte("other"))
	again := &storage.Generation{Manifest: g.Manifest, Meta: []byte("new")}
	for name, err := range map[string]error{
		"put":        h.Put(ctx, other.Capsules[0], bytes.NewReader(other.Content[0])),
		"stat":       second(h.Stat(ctx, g.Ref(0))),
		"open":       second(h.Open(ctx, g.Capsules[0], 0, -1)),
		"commit":     h.Commit(ctx, again),
		"generation": second(h.Generation(ctx, g.Store, g.Root)),
		"discard":    h.Discard(ctx, []merkle.Hash{g.Capsules[0].Hash}),
		"release":    h.Release(ctx, []merkle.Hash{g.Capsules[0].Hash}),
		"remove":     h.Remove(ctx, g.Store, g.Root),
		"usage":      second(h.Usage(ctx)),
		"stores":     firstError(h.Stores(ctx)),
		"held":       firstError(h.Held(ctx, g.Store)),
		"all":        firstError(h.Generations(ctx, g.Store)),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
	}
	h.lacks(other.Capsules[0])
	h.check()
}

func second[T any](_ T, err error) error { return err }

func firstError[T any](seq func(func(T, error) bool)) (err error) {
	seq(func(_ T, e error) bool {
		err = e
		return e == nil
	})
	return err
}

// testConcurrent runs writers, readers and removals at the same time. It is meant for the race
// detector.
func testConcurrent(t *testing.T, h *harness) {
	b := corpus.Small(10).Concat()
	shared := b[:10_000]
	var all []capsuletest.Generation
	for i := range 6 {
		all = append(all, capsuletest.Of(t, byte(i+1), shared, b[20_000*i:20_000*(i+1)]))
	}
	var wg sync.WaitGroup
	for i, g := range all {
		wg.Go(func() {
			for try := range 100 {
				for i, d := range g.Capsules {
					if err := h.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
						t.Errorf("put: %v", err)
					}
				}
				err := h.Commit(t.Context(), &storage.Generation{Manifest: g.Manifest, Head: true})
				if errors.Is(err, fs.ErrNotExist) && try < 99 {
					continue // a removal removed shared content
				}
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				break
			}
			if i%2 == 1 {
				if err := h.Remove(t.Context(), g.Store, merkle.Hash{}); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 30 {
				d, err := h.Stat(t.Context(), g.Ref(1))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Errorf("stat: %v", err)
					return
				}
				rc, err := h.Open(t.Context(), d, 0, -1)
				if errors.Is(err, fs.ErrNotExist) {
					continue // removed meanwhile
				}
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if _, err := io.Copy(io.Discard, capsule.VerifyReader(rc, d)); err != nil {
					t.Errorf("read: %v", err)
				}
				rc.Close()
			}
		})
	}
	wg.Wait()
	for i, g := range all {
		if i%2 == 1 {
			continue
		}
		h.stores[g.Store] = &model{head: g.Root, generations: map[merkle.Hash]*storage.Generation{
			g.Root: {Manifest: g.Manifest}}}
		h.contents[g.Capsules[0].Hash], h.contents[g.Capsules[1].Hash] = g.Content[0], g.Content[1]
	}
	h.check()
}

// testRandom makes random changes and compares with the model.
func testRandom(t *testing.T, h *harness) {
	r := rand.New(rand.NewPCG(1, 2))
	pool := make([][]byte, 8)
	for i := range pool {
		pool[i] = fmt.Appendf(nil, "content %d", i)
	}
	pick := func() capsuletest.Generation {
		var contents [][]byte
		for range 1 + r.IntN(3) {
			contents = append(contents, pool[r.IntN(len(pool))])
		}
		return capsuletest.Of(t, byte(1+r.IntN(2)), contents...)
	}
	for n := range 60 {
		g := pick()
		switch r.IntN(6) {
		case 0, 1:
			h.add(g, fmt.Sprint("meta ", n), r.IntN(2) == 0)
		case 2:
			h.release(g.Capsules[0].Hash)
		case 3:
			h.put(g)
			h.discard(g.Capsules[0].Hash)
		case 4:
			for store, m := range h.stores { // of at most two
				roots := slices.SortedFunc(maps.Keys(m.generations), merkle.Hash.Compare)
				for _, d := range g.Capsules {
					h.discard(d.Hash) // removal leaves what is staged, and the model has none
				}
				h.again()
				h.remove(store, roots[r.IntN(len(roots))])
				break
			}
		case 5:
			if h.stores[g.Store] != nil && r.IntN(3) == 0 {
				h.again()
				h.remove(g.Store, merkle.Hash{})
			}
		}
		if n%6 == 5 {
			h.check()
		}
	}
	h.check()
}
