package chain_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// TestWatch: Watch yields a root when it is deep enough and differs from the previous root. It
// continues after errors and a reorganization, and ends when the store is melted.
func TestWatch(t *testing.T) {
	c := newChain(t)
	source := &broken{Chain: c}
	s := c.Mint(chain.Metadata{Root: root(1)}, chaintest.Anyone(1))
	c.Farm(2)
	var fork uint32
	steps := []func(){ // called before each request but the first
		func() {},
		func() { fork = c.Height(); s.Update(root(2)) },
		func() { c.Farm(1) },
		func() { c.Farm(1) }, // three deep
		func() { source.err = chain.ErrUnavailable },
		func() {},
		func() { source.err = nil },
		func() { c.Reorg(fork); s.Rewind(); c.Farm(2) },
		func() { s.Update(root(3)); c.Farm(2) },
		func() { s.Transfer(chaintest.Anyone(2)); c.Farm(2) }, // the root does not change
		func() { s.Melt(); c.Farm(2) },
	}
	want := []string{"1: root 1", "5: root 2", "6: unavailable", "7: unavailable", "9: root 1",
		"10: root 3", "12: melted"}
	var got []string
	look := 1
	label := func(tip *chain.Tip, err error) string {
		names := map[merkle.Hash]string{root(1): "root 1", root(2): "root 2", root(3): "root 3"}
		switch {
		case errors.Is(err, chain.ErrUnavailable):
			return "unavailable"
		case err != nil:
			return err.Error()
		case tip.Status == chain.StatusMelted:
			return "melted"
		}
		return names[tip.Root()]
	}
	o := &chain.WatchOptions{Pause: func(context.Context, time.Duration) error {
		if look > len(steps) {
			t.Fatal("the watch goes on after the store's end")
		}
		steps[look-1]()
		look++
		return nil
	}}
	r := chain.NewResolver(source, &chain.Options{MinDepth: 3, TipAge: -1})
	for tip, err := range r.Watch(t.Context(), s.ID(), o) {
		got = append(got, strconv.Itoa(look)+": "+label(tip, err))
	}
	if !slices.Equal(got, want) {
		t.Errorf("look and what it yields:\n got %q\nwant %q", got, want)
	}
}

// TestWatchHeld: a root that differs from Held is yielded after every request.
func TestWatchHeld(t *testing.T) {
	c, s := minted(t, 1)
	var held merkle.Hash
	looks, yielded := 0, 0
	o := &chain.WatchOptions{
		Held: func() merkle.Hash { return held },
		Pause: func(context.Context, time.Duration) error {
			if looks++; looks == 5 {
				return context.Canceled
			}
			return nil
		},
	}
	for tip, err := range chain.NewResolver(c, fresh()).Watch(t.Context(), s.ID(), o) {
		if err != nil {
			t.Fatal(err)
		}
		if yielded++; yielded == 3 {
			held = tip.Root()
		}
	}
	if looks != 5 || yielded != 3 {
		t.Errorf("%d looks and %d tips, want 5 and 3", looks, yielded)
	}
}

// TestWatchPause: the pause between two requests is Every, and ends with the context.
func TestWatchPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := minted(t, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Second)
		defer cancel()
		start, looks := time.Now(), 0
		o := &chain.WatchOptions{Held: func() merkle.Hash { looks++; return root(1) }}
		for tip, err := range chain.NewResolver(c, nil).Watch(ctx, s.ID(), o) {
			t.Errorf("yields %+v, %v, want nothing", tip, err)
		}
		if took := time.Since(start); looks != 6 || took != 5*time.Minute+time.Second {
			t.Errorf("%d looks in %v, want 6 in 5m1s", looks, took)
		}
	})
}
