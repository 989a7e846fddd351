package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// flip changes one byte of a file.
func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	check(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	check(t, err)
}

// loose returns the file of a content in the storage.
func (b *bench) loose(d capsule.Descriptor) string {
	return filepath.Join(b.dir, "storage", "capsules", d.Hash.String())
}

// record collects the events during f.
func (b *bench) record(t testing.TB, f func()) (list []tier.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events := b.Events(ctx)
	f()
	done := make(chan bool)
	go func() {
		defer close(done)
		for ev := range events {
			list = append(list, ev)
		}
	}()
	cancel()
	<-done
	return list
}

// TestDamagedLoose: damaged loose content is never served. The error is ErrCorrupt until the
// content is replaced, also after a restart.
func TestDamagedLoose(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	b.put(t, g)
	flip(t, b.loose(g.Capsules[0]), 100)
	events := b.record(t, func() {
		for range 2 {
			_, _, err := read(b.Tiers, g.ref(0))
			if !errors.Is(err, tier.ErrCorrupt) || !errors.Is(err, tier.ErrUnavailable) ||
				errors.Is(err, fs.ErrNotExist) {
				t.Errorf("read: %v, expected ErrCorrupt", err)
			}
		}
	})
	if len(events) != 1 || events[0].Kind != tier.CorruptFound ||
		events[0].Hash != g.Capsules[0].Hash || events[0].Store != g.Store {
		t.Errorf("events %+v", events)
	}
	b.reopen(t)
	if n := b.Status().Quarantined; n != 1 {
		t.Errorf("%d quarantined after a restart", n)
	}
	if c := b.Status().Index; c.Held != c.Described-1 {
		t.Errorf("index has %d of %d held", c.Held, c.Described)
	}
	b.refuses(t, generation{g.Manifest, g.contents[:1]}, tier.ErrCorrupt)
	check(t, b.Put(t.Context(), g.Capsules[0], bytes.NewReader(g.contents[0])))
	b.serves(t, g)
	if n := b.Status().Quarantined; n != 0 {
		t.Errorf("%d quarantined after a Put", n)
	}
}

// refill gives contents of a generation.
func refill(g generation) func(context.Context, capsule.Descriptor) (io.ReadCloser, error) {
	return func(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
		for i, have := range g.Capsules {
			if have.Hash == d.Hash {
				return io.NopCloser(bytes.NewReader(g.contents[i])), nil
			}
		}
		return nil, fs.ErrNotExist
	}
}

// TestScrubLoose: the scrub finds damage before a read does, and repairs it from a plot or by
// Refill.
func TestScrubLoose(t *testing.T) {
	for _, from := range []string{"nothing", "refill", "plot"} {
		b := newBench(t, t.TempDir(), nil)
		g := generationOf(t, 1, 1)
		b.put(t, g)
		switch from {
		case "refill":
			b.c.Refill = refill(g)
			b.reopen(t)
		case "plot":
			_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
			check(t, err)
		}
		flip(t, b.loose(g.Capsules[1]), 0)
		check(t, b.Scrub(t.Context()))
		s := b.Status()
		repaired, quarantined := 1, 0
		if from == "nothing" {
			repaired, quarantined = 0, 1
		}
		if s.Scrub.Damaged != 1 || s.Scrub.Repaired != repaired || s.Quarantined != quarantined ||
			s.Scrub.Running || s.Scrub.Bytes < g.size() {
			t.Errorf("from %s: %+v, %d quarantined", from, s.Scrub, s.Quarantined)
		}
		if from == "nothing" {
			b.refuses(t, generation{g.Manifest, g.contents[:0]}, nil)
			_, _, err := read(b.Tiers, g.ref(1))
			if !errors.Is(err, tier.ErrCorrupt) {
				t.Errorf("damaged capsule: %v", err)
			}
			continue
		}
		b.serves(t, g)
		on, err := os.ReadFile(b.loose(g.Capsules[1]))
		check(t, err)
		if !bytes.Equal(on, g.contents[1]) {
			t.Errorf("from %s: the file is still damaged", from)
		}
	}
}

// Damage in a plot is repaired from the storage, another volume or elsewhere; without any of them
// the capsule is quarantined and the others of the plot are served.
func TestScrubPlot(t *testing.T) {
	for _, from := range []string{"nothing", "refill", "storage", "backup"} {
		b := newBench(t, t.TempDir(), func(c *tier.Config) {
			c.Settings.Release, c.Settings.Compression = true, "none"
		})
		g := generationOf(t, 1, 1)
		b.put(t, g)
		info, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g)})
		check(t, err)
		if from != "storage" {
			_, err = b.Release(t.Context())
			check(t, err)
		}
		switch from {
		case "refill":
			b.c.Refill = refill(g)
			b.reopen(t)
		case "backup":
			_, err := b.Backup(t.Context(), info.ID)
			check(t, err)
		}
		flip(t, info.Path, 5*4096)
		check(t, b.Scrub(t.Context()))
		s := b.Status()
		if from == "nothing" {
			if s.Scrub.Damaged != 1 || s.Scrub.Repaired != 0 || s.Quarantined != 1 {
				t.Errorf("from %s: %+v, %d quarantined", from, s.Scrub, s.Quarantined)
			}
			wrong := 0
			for i := range g.contents {
				got, _, err := read(b.Tiers, g.ref(i))
				switch {
				case errors.Is(err, tier.ErrCorrupt):
					wrong++
				case err != nil || !bytes.Equal(got, g.contents[i]):
					t.Errorf("capsule %d: %d bytes, %v", i, len(got), err)
				}
			}
			if wrong != 1 {
				t.Errorf("%d capsules are corrupt, expected 1", wrong)
			}
			continue
		}
		if s.Scrub.Damaged != 1 || s.Scrub.Repaired != 1 || s.Quarantined != 0 {
			t.Errorf("from %s: %+v, %d quarantined", from, s.Scrub, s.Quarantined)
		}
		b.serves(t, g)
	}
}

// opening is a storage that reports when content is opened.
type opening struct {
	storage.Storage
	opened func()
}

func (o opening) Open(
	ctx context.Context, d capsule.Descriptor, off, n int64,
) (io.ReadCloser, error) {
	o.opened()
	return o.Storage.Open(ctx, d, off, n)
}

// TestScrubResumes: an interrupted scrub continues at its position in another process.
func TestScrubResumes(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	g := generationOf(t, 1, 1)
	b.put(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	opened := 0
	b.wrap = func(s storage.Storage) storage.Storage {
		return opening{s, func() {
			if opened++; opened == 3 {
				cancel()
			}
		}}
	}
	b.reopen(t)
	if err := b.Scrub(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("scrub: %v", err)
	}
	before := b.Status().Scrub
	b.reopen(t)
	if s := b.Status().Scrub; !s.Running || s.Bytes != before.Bytes || s.Bytes == 0 {
		t.Fatalf("after a restart %+v, expected %+v", s, before)
	}
	opened = 3
	check(t, b.Scrub(t.Context()))
	if n := opened - 3; n != len(g.Capsules)-2 {
		t.Errorf("%d contents read again, expected %d", n, len(g.Capsules)-2)
	}
	if s := b.Status().Scrub; s.Running || s.Bytes != g.size() || s.Finished.IsZero() {
		t.Errorf("at the end %+v, expected %d bytes", s, g.size())
	}
}
