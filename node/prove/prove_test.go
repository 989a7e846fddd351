package prove_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/prove"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
	"github.com/dig-network/digstore/plot"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	node      = auth.NewNodeKey([32]byte{1})
	validator = auth.NewNodeKey([32]byte{2})
)

// held is a node with one generation, which is in no plot yet.
func held(t *testing.T) (*tier.Tiers, *capsule.Manifest) {
	t.Helper()
	tiers, err := tier.New(t.Context(), tier.Config{Storage: storage.NewMemory(nil), Key: node,
		Volumes:  []tier.Volume{{Path: t.TempDir(), Class: economy.SSD}},
		Free:     func(string) (int64, error) { return 1 << 40, nil },
		Settings: tier.Settings{Difficulty: plot.NoWork}})
	check(t, err)
	t.Cleanup(func() { tiers.Close() })
	_, err = tiers.Refresh(t.Context())
	check(t, err)
	m, err := capsule.Split(t.Context(), auth.StoreID{1},
		bytes.NewReader(corpus.Small(1).Concat()), &capsule.SplitOptions{Size: 300_000},
		func(d capsule.Descriptor, r io.Reader) error { return tiers.Put(t.Context(), d, r) })
	check(t, err)
	check(t, tiers.Commit(t.Context(), &storage.Generation{Manifest: m, Head: true}))
	return tiers, m
}

// challenge asks for all proofs of a capsule.
func challenge(t testing.TB, id string, hash merkle.Hash) *capsule.Challenge {
	t.Helper()
	now := uint64(time.Now().Unix())
	c := &capsule.Challenge{ID: id, Type: capsule.Full, CapsuleHash: hash, IssuedAt: now,
		ExpiresAt: now + 60, Samples: 3, WorkBits: 4}
	check(t, c.Sign(t.Context(), validator))
	return c
}

// A capsule that is held is not ready before it is in a plot, and is then proved, whether the
// device works, fails, lies or panics.
func TestAnswer(t *testing.T) {
	tiers, m := held(t)
	var failures atomic.Int32
	device := &device{}
	p := prove.New(&capsule.Responder{
		Prover: &capsule.Prover{Key: node, Plots: tiers, Work: &prove.Fallback{Device: device,
			Retry: time.Nanosecond, Failed: func(error) { failures.Add(1) }}},
		Held: tiers.Held,
	}, nil)
	_, err := p.Answer(t.Context(), challenge(t, "early", m.Capsules[0].Hash))
	if !errors.Is(err, capsule.ErrNotReady) {
		t.Fatalf("in no plot: %v, expected ErrNotReady", err)
	}
	_, err = tiers.CreatePlot(t.Context(), tier.PlotRequest{
		Generations: []index.Key{{Store: m.Store}}})
	check(t, err)
	_, err = p.Answer(t.Context(), challenge(t, "absent", merkle.Hash{9}))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not held: %v", err)
	}
	for i, how := range []string{"works", "fails", "lies", "panics"} {
		device.how = how
		c := challenge(t, how, m.Capsules[0].Hash)
		b, err := p.Answer(t.Context(), c)
		check(t, err)
		_, err = b.Verify(t.Context(), c, &capsule.VerifyOptions{Refs: []capsule.Ref{m.Ref(0)}})
		check(t, err)
		if n := failures.Load(); n != int32(i) {
			t.Errorf("%s: %d failures of the device, expected %d", how, n, i)
		}
	}
	s := p.Stats()
	if s.Answered != 4 || s.Failed != 2 || s.Running != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// device is a worker that simulates a broken device.
type device struct {
	how   string
	asked atomic.Int32
}

func (d *device) Name() string { return "device" }

func (d *device) Search(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
	d.asked.Add(1)
	nonce, err := capsule.NewCPUWorker(1).Search(ctx, in, bits)
	switch d.how {
	case "fails":
		return 0, errors.New("device is gone")
	case "lies":
		for capsule.ZeroBits(in.Hash(nonce)) >= bits {
			nonce++
		}
	case "panics":
		panic("device")
	}
	return nonce, err
}

// TestFallbackRetries: a failed device is not used for a while, and then used again. The end of the
// context is not a failure.
func TestFallbackRetries(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := &device{how: "fails"}
	f := &prove.Fallback{Device: d, CPU: capsule.NewCPUWorker(1),
		Now: func() time.Time { return now }}
	search := func(name string, asked int32) {
		t.Helper()
		if f.Name() != name {
			t.Errorf("name %s, expected %s", f.Name(), name)
		}
		want, err := capsule.NewCPUWorker(1).Search(t.Context(), capsule.WorkInput{}, 4)
		check(t, err)
		if got, err := f.Search(t.Context(), capsule.WorkInput{}, 4); err != nil || got != want {
			t.Errorf("nonce %d, %v, expected %d", got, err, want)
		}
		if n := d.asked.Load(); n != asked {
			t.Errorf("device asked %d times, expected %d", n, asked)
		}
	}
	search("device", 1)
	now = now.Add(59 * time.Second)
	search("cpu", 1)
	now = now.Add(time.Second)
	d.how = ""
	search("device", 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.how = "fails"
	if _, err := f.Search(ctx, capsule.WorkInput{}, 4); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	d.how = ""
	search("device", 4)
}

// answerer answers when it is told to.
type answerer struct {
	running, most atomic.Int32
	gate          chan error
}

func (a *answerer) Answer(ctx context.Context, _ *capsule.Challenge) (*capsule.Bundle, error) {
	n := a.running.Add(1)
	defer a.running.Add(-1)
	for most := a.most.Load(); n > most && !a.most.CompareAndSwap(most, n); most = a.most.Load() {
	}
	select {
	case err := <-a.gate:
		if err == nil {
			return &capsule.Bundle{}, nil
		}
		panic(err)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// TestBounds: the numbers of running and waiting challenges are limited, and the next one is
// refused immediately. A waiting call ends with its context, and a panic releases its slot.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{gate: make(chan error)}
		p := prove.New(a, &prove.Options{Workers: 2, Queue: 3})
		results := make(chan error, 10)
		ctx, cancel := context.WithCancel(t.Context())
		start := func(ctx context.Context) {
			go func() {
				_, err := p.Answer(ctx, &capsule.Challenge{ID: "1"})
				results <- err
			}()
			synctest.Wait()
		}
		for range 4 {
			start(t.Context())
		}
		start(ctx)
		if s := p.Stats(); s.Running != 2 || s.Waiting != 3 {
			t.Errorf("%+v, expected 2 and 3", s)
		}
		start(t.Context())
		if err := <-results; !errors.Is(err, prove.ErrBusy) {
			t.Errorf("beyond the queue: %v, expected ErrBusy", err)
		}
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("left the queue: %v", err)
		}
		a.gate <- errors.New("broken")
		if err := <-results; !errors.Is(err, prove.ErrPanic) {
			t.Errorf("panic: %v", err)
		}
		for range 3 {
			a.gate <- nil
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		want := prove.Stats{Answered: 3, Failed: 2, Busy: 1}
		if s := p.Stats(); s != want || a.most.Load() != 2 {
			t.Errorf("%+v, most %d; expected %+v", s, a.most.Load(), want)
		}
	})
}
