package capsule_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A search that cannot succeed ends within 10 ms of its context, and leaves no goroutine behind.
func TestWorkCancelled(t *testing.T) {
	w := capsule.NewCPUWorker(0)
	fastest := time.Hour // of several: the others tell how busy the machine is
	before := runtime.NumGoroutine()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var ended time.Time
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := w.Search(ctx, capsule.WorkInput{}, 200)
			ended = time.Now()
			wantError(t, "search", err, context.Canceled)
		}()
		time.Sleep(20 * time.Millisecond)
		began := time.Now()
		cancel()
		<-done
		fastest = min(fastest, ended.Sub(began))
	}
	t.Logf("fastest: %v", fastest)
	if fastest > 10*time.Millisecond {
		t.Errorf("cancelled after %v, want at most 10 ms", fastest)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// Searches at the same time share the cores, and each finds its lowest nonce.
func TestWorkShared(t *testing.T) {
	w := capsule.NewCPUWorker(3)
	want := make([]uint64, 6)
	got := make([]uint64, 6)
	done := make(chan int)
	for i := range got {
		in := capsule.WorkInput{PlotSeed: merkle.Hash{byte(i)}}
		want[i] = must(capsule.NewCPUWorker(1).Search(t.Context(), in, 15))
		go func() {
			got[i] = must(w.Search(t.Context(), in, 15))
			done <- i
		}()
	}
	for range got {
		<-done
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A worker that lies is found out.
func TestLyingWorker(t *testing.T) {
	w := newWorld(t)
	w.prover.Work = lyingWorker{}
	_, err := w.prover.Prove(t.Context(), w.challenge(t, nil))
	wantError(t, "lying worker", err, capsule.ErrWork)
}

type lyingWorker struct{}

func (lyingWorker) Search(context.Context, capsule.WorkInput, int) (uint64, error) { return 1, nil }
func (lyingWorker) Name() string                                                   { return "liar" }
