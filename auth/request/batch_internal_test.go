package request

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dig-network/digstore/internal/bls"
)

// newClaims returns n claims. Each is true, and with another's signature it is false.
func newClaims(t testing.TB, n int) []bls.Claim {
	claims := make([]bls.Claim, n)
	for i := range claims {
		sk, err := bls.KeyGenV3(append(make([]byte, 31), byte(i)))
		if err != nil {
			t.Fatal(err)
		}
		msg := []byte{byte(i)}
		claims[i] = bls.Claim{Key: sk.PublicKey(), Message: msg, Signature: sk.Sign(bls.Augmented, msg)}
	}
	return claims
}

// occupied returns a batcher all of whose leads are taken, and what gives them back.
func occupied(maxBatch, maxWaiting int) (b *batcher, free func()) {
	b = newBatcher(maxBatch, maxWaiting)
	b.leaders = runtime.GOMAXPROCS(0)
	return b, func() {
		for range runtime.GOMAXPROCS(0) {
			b.mu.Lock()
			b.nextLeader()
			b.mu.Unlock()
		}
	}
}

// idle fails if there is a leader or a waiting caller.
func idle(t *testing.T, b *batcher) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.leaders != 0 || len(b.queue) != 0 {
		t.Errorf("%d lead and %d wait, want none", b.leaders, len(b.queue))
	}
}

// Whatever waits together, with whatever share of it false, each gets the answer of its own.
func TestBatchAnswers(t *testing.T) {
	claims := newClaims(t, 24)
	for _, falseShare := range []float64{0, 0.05, 0.5, 1} {
		for _, maxBatch := range []int{1, 5, 64} {
			synctest.Test(t, func(t *testing.T) {
				dice := rand.New(rand.NewPCG(uint64(maxBatch), uint64(100*falseShare)))
				b, free := occupied(maxBatch, 100)
				for i, c := range claims {
					want := dice.Float64() >= falseShare
					if !want {
						c.Signature = claims[(i+1)%len(claims)].Signature
					}
					go func() {
						if ok, err := b.verify(t.Context(), c); ok != want || err != nil {
							t.Errorf("%v false, batches of %d, claim %d: got %v, %v", falseShare, maxBatch, i, ok, err)
						}
					}()
				}
				synctest.Wait()
				if len(b.queue) != len(claims) {
					t.Errorf("%d wait, want %d", len(b.queue), len(claims))
				}
				free()
				synctest.Wait()
				idle(t, b)
			})
		}
	}
}

// A caller whose context ends while it waits returns at once, and the others get their answers.
func TestBatchCancelled(t *testing.T) {
	claims := newClaims(t, 12)
	synctest.Test(t, func(t *testing.T) {
		b, free := occupied(64, 100)
		gone, cancel := context.WithCancel(t.Context())
		var left, stayed sync.WaitGroup
		for i, c := range claims {
			ctx, group := t.Context(), &stayed
			if i%3 == 0 {
				ctx, group = gone, &left
			}
			group.Go(func() {
				ok, err := b.verify(ctx, c)
				if ctx == gone && !errors.Is(err, context.Canceled) || ctx != gone && !ok {
					t.Errorf("claim %d: got %v, %v", i, ok, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		left.Wait() // although no lead is free
		if len(b.queue) != 8 {
			t.Errorf("%d wait, want 8", len(b.queue))
		}
		free()
		stayed.Wait()
		synctest.Wait()
		idle(t, b)
	})
}

// If a caller becomes the leader at the moment its context ends, the next caller leads.
func TestBatchCancelledWithLead(t *testing.T) {
	claims := newClaims(t, 2)
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			b, free := occupied(64, 100)
			gone, cancel := context.WithCancel(t.Context())
			go b.verify(gone, claims[0])
			synctest.Wait()
			go func() {
				if ok, err := b.verify(t.Context(), claims[1]); !ok || err != nil {
					t.Errorf("got %v, %v", ok, err)
				}
			}()
			synctest.Wait()
			b.mu.Lock() // both happen before it can look
			b.nextLeader()
			cancel()
			b.mu.Unlock()
			synctest.Wait()
			free()
			synctest.Wait()
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.queue) != 0 || b.leaders > 0 { // one lead was given back twice, by this test
				t.Fatalf("%d lead and %d wait", b.leaders, len(b.queue))
			}
		})
	}
}

func TestBatchBusy(t *testing.T) {
	claims := newClaims(t, 4)
	synctest.Test(t, func(t *testing.T) {
		b, free := occupied(64, 3)
		for _, c := range claims[:3] {
			go func() {
				if ok, err := b.verify(t.Context(), c); !ok || err != nil {
					t.Errorf("got %v, %v", ok, err)
				}
			}()
		}
		synctest.Wait()
		if _, err := b.verify(t.Context(), claims[3]); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		free()
		synctest.Wait()
		if ok, err := b.verify(t.Context(), claims[3]); !ok || err != nil {
			t.Errorf("when idle: got %v, %v", ok, err)
		}
		idle(t, b)
	})
}

// What is idle verifies at once, and not in company.
func TestBatchIdle(t *testing.T) {
	claims := newClaims(t, 2)
	b := newBatcher(64, 1)
	claims[1].Signature = claims[0].Signature
	for i, want := range []bool{true, false} {
		if ok, err := b.verify(t.Context(), claims[i]); ok != want || err != nil {
			t.Errorf("claim %d: got %v, %v", i, ok, err)
		}
	}
	idle(t, b)
}

// The work of any sequence of batches that the budget allows is at most 1.1 times that of verifying
// one by one, plus what it started with; and batches come back when a flood is over.
func TestBudget(t *testing.T) {
	const cores, longest = 16, 64
	for trial := range uint64(200) {
		dice := rand.New(rand.NewPCG(trial, 1))
		b := newBudget(cores, longest)
		start := b.left
		var claims, work float64
		type flight struct{ n, bad int }
		var flights []flight
		falseShare := 0.0
		for step := range 5000 {
			if step%(1+dice.IntN(500)) == 0 { // an attacker that changes its rate
				falseShare = []float64{0, 0.02, 0.1, 1, 1}[dice.IntN(5)]
			}
			if len(flights) < cores {
				f := flight{n: max(1, min(longest, b.batch()))}
				for range f.n {
					if dice.Float64() < falseShare {
						f.bad++
					}
				}
				b.reserve(f.n)
				flights = append(flights, f)
				claims += float64(f.n)
				work++
				if f.n > 1 {
					work += cost(f.n) - 1 + min(float64(f.n), costOfFalse*float64(f.bad))
				}
			} else {
				i := dice.IntN(len(flights))
				b.settle(flights[i].n, flights[i].bad)
				flights = append(flights[:i], flights[i+1:]...)
			}
			if b.left < 0 || work > 1.1*claims+start {
				t.Fatalf("trial %d, step %d: budget %v, work %v for %v claims", trial, step, b.left, work,
					claims)
			}
		}
		for _, f := range flights {
			b.settle(f.n, f.bad)
		}
		singles := 0
		for ; b.batch() < longest; singles++ {
			n := max(1, b.batch())
			b.reserve(n)
			b.settle(n, 0)
		}
		if singles > 100 {
			t.Errorf("trial %d: %d true batches until they are long again", trial, singles)
		}
	}
}
