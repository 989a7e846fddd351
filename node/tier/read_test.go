package tier_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/tier"
)

// A capsule is read from the disk first, then from L2, then from L1, by its place, by the head and
// by its hash.
func TestReadOutcomes(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	b.put(t, g)
	for _, want := range []cache.Hit{cache.DiskRead, cache.L2Hit, cache.L1Hit, cache.L1Hit} {
		got, c, err := read(b.Tiers, capsule.Ref{Store: g.Store})
		check(t, err)
		if c.Hit != want || c.Ref != g.ref(0) || !bytes.Equal(got, g.contents[0]) {
			t.Errorf("%v of %v with %d bytes, expected %v", c.Hit, c.Ref, len(got), want)
		}
	}
	c, err := b.GetHash(t.Context(), g.Capsules[0].Hash, "")
	check(t, err)
	if c.Tier != "l1" || c.Ref != g.ref(0) || !c.Plot.IsZero() {
		t.Errorf("by hash: tier %s, %v, plot %v", c.Tier, c.Ref, c.Plot)
	}
	check(t, c.Close())
	b.serves(t, g)
}

// What was never there is absent; before everything was listed nothing is.
func TestAbsence(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	b.put(t, generationOf(t, 1, 1))
	absent := capsule.Ref{Store: auth.StoreID{9}}
	all := func(b *tier.Tiers) []error {
		_, _, get := read(b, absent)
		_, stat := b.Stat(t.Context(), absent)
		_, hash := b.GetHash(t.Context(), merkle.Hash{9}, "")
		_, manifest := b.Manifest(t.Context(), absent.Store, merkle.Hash{})
		_, find := b.Find(t.Context(), merkle.Hash{9}, merkle.Hash{})
		return []error{get, stat, hash, manifest, find}
	}
	for i, err := range all(b.Tiers) {
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, tier.ErrUnavailable) {
			t.Errorf("call %d: %v, expected fs.ErrNotExist", i, err)
		}
	}
	check(t, b.Tiers.Close())
	fresh, err := tier.New(t.Context(), b.c) // not refreshed
	check(t, err)
	b.Tiers = fresh
	for i, err := range all(fresh) {
		if errors.Is(err, fs.ErrNotExist) || !errors.Is(err, tier.ErrUnavailable) {
			t.Errorf("call %d before a refresh: %v, expected ErrUnavailable", i, err)
		}
	}
}
