package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/tier"
)

// takeAway moves a directory of a bench away and puts what remains in its place; the result brings
// it back.
func (b *bench) takeAway(t testing.TB, name, remains string) (back func()) {
	t.Helper()
	path, away := filepath.Join(b.dir, name), filepath.Join(b.dir, name+".away")
	check(t, os.Rename(path, away))
	switch remains {
	case "mount point":
		check(t, os.Mkdir(path, 0o755))
	case "another volume":
		check(t, os.Mkdir(path, 0o755))
		id := bytes.Repeat([]byte("0"), 32)
		check(t, os.WriteFile(filepath.Join(path, tier.VolumeMarker), append(id, '\n'), 0o600))
	}
	return func() {
		t.Helper()
		left, err := filepath.Glob(filepath.Join(path, "*"))
		check(t, err)
		if len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != tier.VolumeMarker {
			t.Errorf("something was written in the place of the volume: %v", left)
		}
		check(t, os.RemoveAll(path))
		check(t, os.Rename(away, path))
	}
}

// TestVolumeAway: a missing volume, whatever is in its place, causes an event and an error and
// never fs.ErrNotExist, in the running process and in a new one. Nothing is removed, dropped from
// the index or written because of it. When the volume returns the state is as before.
func TestVolumeAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("directories with open files cannot be renamed on Windows")
	}
	for _, remains := range []string{"nothing", "mount point", "another volume"} {
		for _, restart := range []bool{false, true} {
			b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Settings.Release = true })
			g, other := generationOf(t, 1, 1), generationOf(t, 2, 2)
			b.put(t, g)
			b.put(t, other)
			_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g),
				Class: economy.SSD})
			check(t, err)
			_, err = b.Release(t.Context())
			check(t, err)
			back := b.takeAway(t, "ssd", remains)
			events := b.record(t, func() {
				if restart {
					b.c.Index = nil
					b.reopen(t)
				} else {
					_, err := b.Refresh(t.Context())
					check(t, err)
				}
				if err := b.Available(); err == nil {
					t.Error("available while a volume is away")
				}
				b.refuses(t, g, tier.ErrUnavailable)
				for i := range g.contents {
					if _, _, err := read(b.Tiers, g.ref(i)); errors.Is(err, fs.ErrNotExist) {
						t.Fatalf("capsule %d is absent: %v", i, err)
					}
				}
				b.serves(t, other)
				all(t, b)
			})
			if !restart && (len(events) == 0 || events[0].Kind != tier.VolumeLost ||
				events[0].Path != b.c.Volumes[0].Path || events[0].Err == nil) {
				t.Errorf("%s: events %+v", remains, events)
			}
			b.refuses(t, g, tier.ErrUnavailable)
			back()
			_, err = b.Refresh(t.Context())
			check(t, err)
			check(t, b.Available())
			b.serves(t, g)
			b.serves(t, other)
			b.reopen(t)
			b.serves(t, g)
		}
	}
}

// all runs every job; what cannot be done without a volume may fail.
func all(t testing.TB, b *bench) {
	t.Helper()
	ctx := context.Background()
	check(t, collectAll(b))
	_, auto := b.AutoPlot(ctx)
	_, release := b.Release(ctx)
	for _, err := range []error{b.Review(ctx), auto, release, b.Age(ctx), b.Compact(ctx),
		b.Scrub(ctx)} {
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a job reports an absence: %v", err)
		}
	}
}

// A generation that is removed while the volume of its plot is away is gone when that returns.
func TestRemoveWhileAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("directories with open files cannot be renamed on Windows")
	}
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	b.put(t, g)
	_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g), Class: economy.SSD})
	check(t, err)
	back := b.takeAway(t, "ssd", "nothing")
	_, err = b.Refresh(t.Context())
	check(t, err)
	check(t, b.Remove(t.Context(), g.Store, g.Root))
	b.refuses(t, g, fs.ErrNotExist)
	back()
	for range 2 {
		_, err = b.Refresh(t.Context())
		check(t, err)
		b.refuses(t, g, fs.ErrNotExist)
		if _, err := b.GetHash(t.Context(), g.Capsules[0].Hash, ""); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("by hash: %v", err)
		}
		if len(b.Index().Stores()) != 0 {
			t.Error("the index has what was removed")
		}
		b.reopen(t)
	}
}

// The storage goes away and returns.
func TestStorageAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("directories with open files cannot be renamed on Windows")
	}
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	b.put(t, g)
	back := b.takeAway(t, "storage", "mount point")
	events := b.record(t, func() {
		report, err := b.Refresh(t.Context())
		check(t, err)
		if len(report.Failed) == 0 || b.Available() == nil || b.Status().Storage == nil {
			t.Errorf("report %+v, available %v", report, b.Available())
		}
		b.refuses(t, g, tier.ErrUnavailable)
		if _, err := b.Manifest(t.Context(), g.Store, merkle.Hash{}); !errors.Is(err,
			tier.ErrUnavailable) {
			t.Errorf("manifest: %v", err)
		}
		if err := b.Scrub(t.Context()); err == nil {
			t.Error("a scrub without storage succeeds")
		}
		if n := b.Status().Quarantined; n != 0 {
			t.Errorf("%d quarantined", n)
		}
		back()
		_, err = b.Refresh(t.Context())
		check(t, err)
	})
	if len(events) != 2 || events[0].Kind != tier.StorageLost ||
		events[1].Kind != tier.StorageReturned {
		t.Errorf("events %+v", events)
	}
	b.serves(t, g)
	check(t, b.Scrub(t.Context()))
}

// Two processes cannot have one volume; two nodes in one process have their own.
func TestTwoNodes(t *testing.T) {
	a := newBench(t, t.TempDir(), nil)
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	a.put(t, g)
	b.refuses(t, g, fs.ErrNotExist)
	b.put(t, g)
	check(t, a.Remove(t.Context(), g.Store, g.Root))
	b.serves(t, g)
	c := b.c
	c.Volumes, c.StateFile = a.c.Volumes[:1], ""
	if _, err := tier.New(t.Context(), c); !errors.Is(err, diskfs.ErrLocked) {
		t.Errorf("a volume is used twice: %v", err)
	}
	c.Volumes = append(c.Volumes, c.Volumes[0])
	if _, err := tier.New(t.Context(), c); err == nil {
		t.Error("one path is given twice")
	}
	check(t, a.Tiers.Close())
	c.Volumes = c.Volumes[:1]
	next, err := tier.New(t.Context(), c)
	check(t, err)
	check(t, next.Close())
	a.Tiers = next
}

// A state file that is damaged is an error: what was revoked would be served without it.
func TestDamagedState(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	b.put(t, generationOf(t, 1, 1))
	check(t, b.Tiers.Close())
	name := b.c.StateFile
	text, err := os.ReadFile(name)
	check(t, err)
	bad := [][]byte{nil, text[:len(text)/2], bytes.Replace(text, []byte(`"removed"`),
		[]byte(`"Removed"`), 1), bytes.Replace(text, []byte(`"version":1`), []byte(`"version":2`), 1)}
	for i, text := range bad {
		check(t, os.WriteFile(name, text, 0o600))
		if _, err := tier.New(t.Context(), b.c); !errors.Is(err, tier.ErrState) {
			t.Errorf("state %d: %v, expected ErrState", i, err)
		}
	}
	check(t, os.WriteFile(name, text, 0o600))
	b.Tiers, err = tier.New(t.Context(), b.c)
	check(t, err)
}

// Run does all jobs at their times, by the clock of the test, and leaves nothing running.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, t.TempDir(), func(c *tier.Config) {
			c.Settings.AutoPlot, c.Settings.Release = true, true
			c.Settings.ScrubRate, c.Settings.WatchInterval = 1<<40, time.Hour
			c.Policy = mode(t, `{"mode": "cache", "ttl_hours": 40, "tier_filter": None, "min_providers": 0}`)
		})
		g := tiny(t, 1, 1)
		b.put(t, g)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(time.Second)
		if err := b.Run(ctx); !errors.Is(err, tier.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
		if s := b.Status().Scrub; s.Finished.IsZero() {
			t.Errorf("no scrub at the start: %+v", s)
		}
		time.Sleep(23 * time.Hour)
		b.serves(t, g)
		if n := len(b.Tiers.Plots()); n != 0 {
			t.Errorf("%d plots before PlotAge", n)
		}
		time.Sleep(2 * time.Hour)
		if n := len(b.Tiers.Plots()); n != 1 {
			t.Errorf("%d plots after PlotAge", n)
		}
		if u, err := b.storage.Usage(ctx); err != nil || u.Capsules != 0 {
			t.Errorf("loose content: %+v, %v", u, err)
		}
		b.serves(t, g)
		time.Sleep(39 * time.Hour)
		if len(b.Index().Stores()) != 1 {
			t.Error("removed before its time")
		}
		time.Sleep(3 * time.Hour)
		if len(b.Index().Stores()) != 0 || len(b.Tiers.Plots()) != 0 {
			t.Errorf("%d datastores, %d plots, expected none", len(b.Index().Stores()),
				len(b.Tiers.Plots()))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		check(t, b.close())
	})
}

// While Run runs, a volume that goes away is noticed within 5 seconds, and its return within 10;
// what a read finds damaged is repaired.
func TestRunWatches(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("directories with open files cannot be renamed on Windows")
	}
	synctest.Test(t, func(t *testing.T) {
		g := tiny(t, 1, 1)
		b := newBench(t, t.TempDir(), func(c *tier.Config) {
			c.Settings.ScrubInterval = -1
			c.Refill = refill(g)
		})
		b.put(t, g)
		_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(time.Second)
		back := b.takeAway(t, "hdd", "mount point")
		time.Sleep(5 * time.Second)
		if b.Available() == nil {
			t.Error("the loss was not noticed")
		}
		b.serves(t, g) // from the storage
		back()
		time.Sleep(10 * time.Second)
		check(t, b.Available())
		flip(t, b.loose(g.Capsules[0]), 3)
		info := b.Tiers.Plots()[0]
		check(t, os.Remove(info.Path))
		_, err = b.Refresh(ctx)
		check(t, err)
		fresh := capsule.Ref{Store: g.Store, Root: g.Root}
		_, _, err = read(b.Tiers, fresh)
		_ = err // from the cache
		cancel()
		check(t, <-ended)
		b.reopen(t)
		ctx, cancel = context.WithCancel(t.Context())
		go func() { ended <- b.Run(ctx) }()
		if _, _, err := read(b.Tiers, fresh); !errors.Is(err, tier.ErrCorrupt) {
			t.Errorf("damaged capsule: %v", err)
		}
		time.Sleep(time.Second)
		b.serves(t, g)
		cancel()
		check(t, <-ended)
		check(t, b.close())
	})
}

// While Run runs, a plot that was copied into a volume is noticed, and a file that is no plot is
// reported once.
func TestRunNoticesFiles(t *testing.T) {
	other := newBench(t, t.TempDir(), nil)
	g := tiny(t, 1, 1)
	other.put(t, g)
	info, err := other.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
	check(t, err)
	text, err := os.ReadFile(info.Path)
	check(t, err)
	check(t, other.close())
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Settings.ScrubInterval = -1 })
		ctx, cancel := context.WithCancel(t.Context())
		events := b.Events(ctx)
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(time.Second)
		name := filepath.Join(b.dir, "hdd", filepath.Base(info.Path))
		check(t, os.WriteFile(name, text, 0o600))
		bad := filepath.Join(b.dir, "hdd", "bad.plot")
		check(t, os.WriteFile(bad, bytes.Repeat([]byte("x"), 4096), 0o600))
		time.Sleep(time.Hour)
		b.serves(t, g)
		cancel()
		check(t, <-ended)
		n := 0
		for ev := range events {
			if ev.Kind == tier.CorruptFound && ev.Path == bad {
				n++
			}
		}
		if n != 1 {
			t.Errorf("reported %d times", n)
		}
		check(t, b.close())
	})
}
