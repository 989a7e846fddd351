package tier_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
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

// TestAbsence: unknown capsules are fs.ErrNotExist, but only after everything was listed.
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

// A capsule that is damaged in its plot is read on from the storage, at the place where the damage
// is, once it is being read.
func TestReadOn(t *testing.T) {
	for _, cached := range []bool{true, false} {
		b := newBench(t, t.TempDir(), func(c *tier.Config) {
			c.Settings.Compression = "none"
			if !cached {
				c.Cache.L1, c.Cache.L2 = -1, -1
			}
		})
		g := generationOf(t, 1, 1)
		b.put(t, g)
		info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
		check(t, err)
		// the second block of the first extent
		flip(t, info.Path, 3*4096+131_072+100)
		events := b.record(t, func() { b.serves(t, g) })
		if len(events) != 1 || events[0].Kind != tier.CorruptFound ||
			events[0].Path != filepath.Dir(info.Path) {
			t.Errorf("events %+v", events)
		}
		b.serves(t, g)
	}
}

// A capsule that no tier of the cache admits is read and sought like others, and is not handed out
// whole when it is damaged.
func TestReadLarge(t *testing.T) {
	for _, plotted := range []bool{false, true} {
		b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Cache.L1, c.Cache.L2 = -1, -1 })
		g := generationOf(t, 1, 1)
		b.put(t, g)
		if plotted {
			_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
			check(t, err)
		}
		b.serves(t, g)
		want := g.contents[0]
		c, err := b.Get(t.Context(), g.ref(0), "")
		check(t, err)
		for _, at := range []int64{0, 1000, int64(len(want)) - 5, 3} {
			_, err := c.Seek(at, io.SeekStart)
			check(t, err)
			part := make([]byte, 5)
			_, err = io.ReadFull(c, part)
			check(t, err)
			if !bytes.Equal(part, want[at:at+5]) {
				t.Errorf("plotted %v: other bytes at %d", plotted, at)
			}
			if n, err := c.ReadAt(part, at); err != nil || n != 5 || !bytes.Equal(part, want[at:at+5]) {
				t.Errorf("plotted %v: %d bytes at %d, %v", plotted, n, at, err)
			}
		}
		if end, err := c.Seek(0, io.SeekEnd); err != nil || end != int64(len(want)) {
			t.Errorf("end at %d, %v", end, err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d bytes, %v", n, err)
		}
		if _, err := c.Seek(-1, io.SeekStart); err == nil {
			t.Error("sought before the beginning")
		}
		check(t, c.Close())
		if plotted {
			continue
		}
		flip(t, b.loose(g.Capsules[0]), int64(len(want))-1)
		c, err = b.Get(t.Context(), g.ref(0), "")
		check(t, err)
		got, err := io.ReadAll(c)
		if !errors.Is(err, capsule.ErrContentMismatch) || len(got) == len(want) {
			t.Errorf("damaged: %d bytes, %v", len(got), err)
		}
		check(t, c.Close())
		if _, _, err := read(b.Tiers, g.ref(0)); !errors.Is(err, tier.ErrCorrupt) {
			t.Errorf("damaged, again: %v", err)
		}
	}
}
