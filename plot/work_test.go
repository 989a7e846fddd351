package plot_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/plot"
)

// searchFunc is a worker of one function.
type searchFunc func(context.Context, capsule.WorkInput, int) (uint64, error)

func (f searchFunc) Search(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
	return f(ctx, in, bits)
}

func (searchFunc) Name() string { return "test" }

// meeting returns a worker whose searches begin when n of them are running.
func meeting(n int) capsule.Worker {
	var mu sync.Mutex
	running, met := 0, make(chan struct{})
	return searchFunc(func(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
		mu.Lock()
		if running++; running == n {
			close(met)
		}
		mu.Unlock()
		select {
		case <-met:
		case <-time.After(20 * time.Second):
			return 0, errors.New("no other search has begun")
		}
		return capsule.NewCPUWorker(1).Search(ctx, in, bits)
	})
}

// The work of as many capsules as there are workers is searched at once, and the
// bytes do not depend on it. What a worker finds is checked, and its error ends
// the plot.
func TestWork(t *testing.T) {
	ds := many(20)
	o := fast()
	o.Difficulty, o.Workers = 8, 4
	want := readFile(t, create(t, t.TempDir(), o, ds).Path)
	o.Worker = meeting(4)
	if got := readFile(t, create(t, t.TempDir(), o, ds).Path); !bytes.Equal(got, want) {
		t.Errorf("plot differs at %d", mismatch(got, want))
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		search searchFunc
		err    error // nil: any
	}{
		"no work": {func(context.Context, capsule.WorkInput, int) (uint64, error) { return 1, nil },
			nil},
		"error": {func(context.Context, capsule.WorkInput, int) (uint64, error) {
			return 0,
				broken
		}, broken},
	} {
		o.Worker = c.search
		w, err := plot.Create(t.Context(), t.TempDir(), manifests(ds), node, o)
		check(t, err)
		check(t, add(w, ds))
		if _, err := w.Seal(t.Context()); err == nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		check(t, w.Close())
	}
}
