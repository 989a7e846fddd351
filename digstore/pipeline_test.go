package digstore_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
)

// TestPipelineAgrees: for any number of workers, and any position of a resource in the pipeline's
// units and windows, the generation is that of module.Builder.
func TestPipelineAgrees(t *testing.T) {
	sizes := []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 70_000, 512<<10 - 1, 512 << 10, 512<<10 + 1,
		3 << 20, 4 << 20, 4<<20 + 1, 9<<20 + 77}
	content, order := files{}, []string(nil)
	for i, n := range sizes {
		name := fmt.Sprintf("%02d", i)
		content[name] = noise(uint64(i), n)
		order = append(order, name)
	}
	content["zeros"], content["twice"] = strings.Repeat("\x00", 2<<20), content["12"]
	order = append(order, "zeros", "twice")
	var want string
	for _, workers := range []int{1, 2, 7} {
		o := options(nil)
		o.Workers = workers
		w, err := digstore.Init(t.TempDir(), o)
		check(t, err)
		t.Cleanup(func() { w.Close() })
		s, err := w.Create(ctx, digstore.StoreID{}, nil)
		check(t, err)
		for _, name := range order {
			check(t, s.Stage(context.Background(), name, strings.NewReader(content[name])))
		}
		r, err := s.Commit(context.Background(), nil, nil)
		check(t, err)
		wantFiles(t, r.Generation, content)
		verifyAll(t, s)
		if want == "" {
			key, err := s.Signer()
			check(t, err)
			b := module.NewBuilder(s.ID(), key.PublicKey(), nil)
			for _, name := range order {
				check(t, b.Add(context.Background(), name, strings.NewReader(content[name])))
			}
			root, err := b.Build(context.Background(), io.Discard)
			check(t, err)
			check(t, b.Close())
			want = root.String()
		}
		if got := r.Generation.Info().Root.String(); got != want {
			t.Errorf("%d workers: root %s, the builder's is %s", workers, got, want)
		}
	}
}

func TestCommitCancelled(t *testing.T) {
	s, _ := site(t, files{"a": noise(1, 3<<20), "b": noise(2, 3<<20)}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := s.Commit(ctx, nil, &digstore.CommitOptions{Progress: func(done, total int64) {
		if done > 0 {
			cancel()
		}
	}})
	if err == nil {
		t.Skip("it was done before it was cancelled")
	}
	if gens, _ := s.Generations(context.Background()); len(gens) != 0 {
		t.Errorf("a cancelled commit left %v", gens)
	}
	_, err = s.Commit(context.Background(), nil, nil)
	check(t, err)
	verifyAll(t, s)
}
