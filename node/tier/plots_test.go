package tier_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/tier"
)

// files returns how many files of a pattern a volume has.
func (b *bench) files(t testing.TB, volume, pattern string) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(b.dir, volume, pattern))
	check(t, err)
	return len(list)
}

// tiersOf gives each datastore the tier of its number.
func tiersOf(_ context.Context, id auth.StoreID) (tier.Facts, error) {
	return tier.Facts{Tier: economy.Tier(id[0])}, nil
}

// Heads are plotted when they are enough, or old enough, each on a volume of its class. Capsules
// then come from the plot, which says which one it is, and can be proved.
func TestAutoPlot(t *testing.T) {
	clk := newClock()
	b := newBench(t, t.TempDir(), func(c *tier.Config) {
		c.Now, c.Facts = clk.now, tiersOf
	})
	fast, slow, slow2 := generationOf(t, 1, 1), generationOf(t, 5, 5), generationOf(t, 6, 6)
	b.c.Settings.PlotBytes = slow.size() + slow2.size()
	b.reopen(t)
	run := func(want int) {
		t.Helper()
		made, err := b.AutoPlot(t.Context())
		check(t, err)
		if len(made) != want {
			t.Fatalf("%d plots made, expected %d", len(made), want)
		}
	}
	b.put(t, fast)
	b.put(t, slow)
	run(0)
	if _, err := b.Find(t.Context(), fast.Capsules[0].Hash, merkle.Hash{}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("proof of what is in no plot: %v", err)
	}
	if held, err := b.Held(t.Context(), fast.Capsules[0].Hash); err != nil || !held {
		t.Errorf("held %v, %v", held, err)
	}
	b.put(t, slow2)
	run(1)
	if ssd, hdd := b.files(t, "ssd", "*.plot"), b.files(t, "hdd", "*.plot"); ssd != 0 || hdd != 1 {
		t.Errorf("%d plots on ssd and %d on hdd, expected 0 and 1", ssd, hdd)
	}
	clk.advance(25 * time.Hour)
	run(1)
	run(0)
	if b.files(t, "ssd", "*.plot") != 1 {
		t.Error("no plot on ssd")
	}
	for range 2 {
		for _, g := range []generation{fast, slow, slow2} {
			b.serves(t, g)
			_, c, err := read(b.Tiers, g.ref(0))
			check(t, err)
			p, err := b.Find(t.Context(), g.Capsules[0].Hash, c.Plot)
			check(t, err)
			if rec := p.Record(); rec.Ref != g.ref(0) {
				t.Errorf("found %v, expected %v", rec.Ref, g.ref(0))
			}
			check(t, p.Close())
		}
		b.reopen(t)
		run(0)
	}
}

// Loose content goes only when it may, and only what plots have for every generation that names it.
func TestRelease(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	g, other := generationOf(t, 1, 1), generationOf(t, 2, 2)
	b.put(t, g)
	b.put(t, other)
	_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
	check(t, err)
	loose := func() int {
		u, err := b.storage.Usage(t.Context())
		check(t, err)
		return u.Capsules
	}
	all := len(g.Capsules) + len(other.Capsules)
	n, err := b.Release(t.Context())
	check(t, err)
	if n != 0 || loose() != all {
		t.Fatalf("%d bytes released without the setting", n)
	}
	b.c.Settings.Release = true
	b.reopen(t)
	n, err = b.Release(t.Context())
	check(t, err)
	if n != g.size() || loose() != len(other.Capsules) {
		t.Fatalf("%d bytes released, %d contents left; expected %d and %d", n, loose(), g.size(),
			len(other.Capsules))
	}
	for range 2 {
		b.serves(t, g)
		b.serves(t, other)
		b.reopen(t)
	}
	b.put(t, g) // commits again what only the plot has
	b.serves(t, g)
}

// A commit may name capsules that only plots have.
func TestCommitFromPlots(t *testing.T) {
	b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Settings.Release = true })
	g := generationOf(t, 1, 1)
	b.put(t, g)
	_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
	check(t, err)
	_, err = b.Release(t.Context())
	check(t, err)
	same, err := b.storage.Generation(t.Context(), g.Store, g.Root)
	check(t, err)
	copied := *same.Manifest
	copied.Store = auth.StoreID{7}
	same.Manifest = &copied
	check(t, b.Commit(t.Context(), same))
	for i := range g.contents {
		got, _, err := read(b.Tiers, capsule.Ref{Store: copied.Store, Index: uint32(i)})
		check(t, err)
		if string(got) != string(g.contents[i]) {
			t.Errorf("capsule %d differs", i)
		}
	}
}

// A plot that has aged, or whose generations are superseded, moves to the slow volume; a backup is
// a copy there.
func TestAgeAndBackup(t *testing.T) {
	clk := newClock()
	b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Now, c.Facts = clk.now, tiersOf })
	g := generationOf(t, 1, 1)
	b.put(t, g)
	info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
	check(t, err)
	counts := func(ssd, hdd int) {
		t.Helper()
		if s, h := b.files(t, "ssd", "*.plot"), b.files(t, "hdd", "*.plot"); s != ssd || h != hdd {
			t.Fatalf("%d plots on ssd and %d on hdd, expected %d and %d", s, h, ssd, hdd)
		}
		b.serves(t, g)
	}
	check(t, b.Age(t.Context()))
	counts(1, 0)
	clk.advance(31 * 24 * time.Hour)
	check(t, b.Age(t.Context()))
	counts(0, 1)
	_, _, err = read(b.Tiers, g.ref(0))
	check(t, err)
	if id, class, err := b.Locate(t.Context(), g.ref(0)); err != nil || id != info.ID ||
		class != "l4" {
		t.Errorf("located in %v, %s, %v", id, class, err)
	}
	_, err = b.Backup(t.Context(), info.ID)
	check(t, err)
	counts(1, 1)
	check(t, b.Age(t.Context()))
	counts(1, 1) // a backup that was made on purpose stays
	b.reopen(t)
	counts(1, 1)
	if _, err := b.Backup(t.Context(), info.ID); !errors.Is(err, tier.ErrNoSpace) {
		t.Errorf("a third file on two volumes: %v", err)
	}
	if _, err := b.Backup(t.Context(), merkle.Hash{1}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup of no plot: %v", err)
	}
}

// TestCompact: a plot is rewritten if a quarter of it is removed or it has held revoked content for
// a day, and removed if nothing is left.
func TestCompact(t *testing.T) {
	clk := newClock()
	b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Now = clk.now })
	var list []generation
	for i := range 6 {
		g := generationOf(t, byte(i+1), uint64(i))
		b.put(t, g)
		list = append(list, g)
	}
	_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(list...)})
	check(t, err)
	before := b.Tiers.Plots()[0].ID
	changed := func(want bool) {
		t.Helper()
		check(t, b.Compact(t.Context()))
		plots := b.Tiers.Plots()
		if len(plots) != 1 || (plots[0].ID != before) != want {
			t.Fatalf("%d plots, changed %v, expected 1 and %v", len(plots), plots[0].ID != before, want)
		}
		before = plots[0].ID
	}
	check(t, b.Remove(t.Context(), list[0].Store, list[0].Root))
	changed(false)
	check(t, b.Remove(t.Context(), list[1].Store, list[1].Root))
	changed(true)
	check(t, b.Remove(t.Context(), list[2].Store, list[2].Root))
	check(t, b.Revoke(t.Context(), list[3].Store, list[3].Root))
	list = list[4:]
	changed(true)
	for _, g := range list {
		b.serves(t, g)
	}
	b.reopen(t)
	for _, g := range list {
		b.serves(t, g)
		check(t, b.Revoke(t.Context(), g.Store, merkle.Hash{}))
	}
	check(t, b.Compact(t.Context()))
	if n := len(b.Tiers.Plots()); n != 0 || b.files(t, "*", "*.plot*") != 0 {
		t.Errorf("%d plots, %d files", n, b.files(t, "*", "*.plot*"))
	}
}

// Revoked content leaves a plot after a day, however little it is.
func TestCompactRevoked(t *testing.T) {
	clk := newClock()
	b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Now = clk.now })
	var list []generation
	for i := range 6 {
		g := generationOf(t, byte(i+1), uint64(i))
		b.put(t, g)
		list = append(list, g)
	}
	info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(list...)})
	check(t, err)
	check(t, b.Revoke(t.Context(), list[0].Store, list[0].Root))
	for _, wait := range []time.Duration{23 * time.Hour, 2 * time.Hour} {
		if b.Tiers.Plots()[0].ID != info.ID {
			t.Error("written anew too early")
		}
		clk.advance(wait)
		check(t, b.Compact(t.Context()))
	}
	if plots := b.Tiers.Plots(); len(plots) != 1 || plots[0].ID == info.ID ||
		len(plots[0].Datastores) != 5 {
		t.Errorf("plots %+v", plots)
	}
}

// Plots are refused when there are too many, and when no volume has room beyond its reserve and
// quota; the class gives way before that.
func TestPlotRoom(t *testing.T) {
	free := map[string]int64{}
	b := newBench(t, t.TempDir(), func(c *tier.Config) {
		c.Facts = tiersOf
		c.Free = func(path string) (int64, error) { return free[filepath.Base(path)], nil }
	})
	g := generationOf(t, 1, 1)
	b.put(t, g)
	create := func(wantVolume string, want error) {
		t.Helper()
		info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
		if !errors.Is(err, want) {
			t.Fatalf("%v, expected %v", err, want)
		}
		if err != nil {
			return
		}
		if got := filepath.Base(filepath.Dir(info.Path)); got != wantVolume {
			t.Errorf("plot on %s, expected %s", got, wantVolume)
		}
		check(t, os.Remove(info.Path))
		_, err = b.Refresh(t.Context())
		check(t, err)
	}
	const reserve = 1 << 30
	free["ssd"], free["hdd"] = reserve+g.size(), reserve+g.size() // 3 % are missing
	create("", tier.ErrNoSpace)
	free["hdd"] += g.size() / 10
	create("hdd", nil)
	free["ssd"] += g.size() / 10
	create("ssd", nil)
	b.c.Volumes[0].Quota = g.size()
	b.reopen(t)
	create("hdd", nil)
	b.c.Settings.MaxPlots = -1
	b.reopen(t)
	create("", tier.ErrMaxPlots)
	free["hdd"] = 0
	status := b.Status()
	if v := status.Volumes[1]; v.Free != 0 || v.Err != nil {
		t.Errorf("status %+v", v)
	}
}

// What an interrupted writer leaves, and what an operator copies into a volume, is noticed.
func TestVolumeFiles(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	b.put(t, g)
	info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
	check(t, err)
	name := filepath.Base(info.Path)
	for _, left := range []string{".tmp", ".sub", ".job", ".copy"} {
		check(t, os.WriteFile(filepath.Join(b.dir, "hdd", name+left), nil, 0o600))
	}
	foreign := filepath.Join(b.dir, "hdd", "dig-notes.txt")
	check(t, os.WriteFile(foreign, nil, 0o600))
	_, err = b.AutoPlot(t.Context())
	check(t, err)
	if b.files(t, "hdd", "*.plot.*") != 0 || b.files(t, "hdd", "*.txt") != 1 {
		t.Error("left-over files stayed, or another file was removed")
	}
	fresh := newBench(t, t.TempDir(), nil)
	content, err := os.ReadFile(info.Path)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(fresh.dir, "hdd", name), content, 0o600))
	_, err = fresh.Refresh(t.Context())
	check(t, err)
	fresh.serves(t, g)
}

// Only the file that was verified counts as verified: loose content stays when another one is in
// its place, and that is damaged.
func TestReleaseVerifiesAgain(t *testing.T) {
	b := newBench(t, t.TempDir(), func(c *tier.Config) {
		c.Settings.Release, c.Settings.Compression = true, "none"
	})
	g := generationOf(t, 1, 1)
	b.put(t, g)
	info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
	check(t, err)
	check(t, b.close())
	flip(t, info.Path, 5*4096)
	b.open(t)
	if n, err := b.Release(t.Context()); n != 0 || err == nil {
		t.Errorf("%d bytes released, %v", n, err)
	}
	b.serves(t, g)
	flip(t, info.Path, 5*4096)
	_, err = b.Refresh(t.Context())
	check(t, err)
	check(t, b.Scrub(t.Context()))
	if n, err := b.Release(t.Context()); n != g.size() || err != nil {
		t.Errorf("%d bytes released, %v; expected %d", n, err, g.size())
	}
	b.reopen(t)
	b.serves(t, g)
}
