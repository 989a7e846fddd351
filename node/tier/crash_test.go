package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/node/tier"
)

// tiny is a generation of three capsules, cut from the files of a small tree.
func tiny(t testing.TB, store byte, seed uint64) generation {
	t.Helper()
	g := generation{}
	content := corpus.Small(seed).Concat()[:25_000]
	m, err := capsule.Split(context.Background(), auth.StoreID{store},
		bytes.NewReader(content), &capsule.SplitOptions{Size: 10_000},
		func(d capsule.Descriptor, r io.Reader) error {
			b, err := io.ReadAll(r)
			g.contents = append(g.contents, b)
			return err
		})
	check(t, err)
	m.Created = 1_700_000_000 + seed
	g.Manifest = m
	return g
}

// A scenario is one job, with what is there before, and what must hold when it was interrupted at
// any place and when it was then done again.
type scenario struct {
	name    string
	set     func(*tier.Config)
	prepare func(t testing.TB, b *bench, clk *clock)
	do      func(b *bench) error
	stays   []generation // is served at all times
	goes    []generation // is served whole or is absent whole, and absent after an acknowledgement
	comes   []generation // is absent or served, and served after an acknowledgement
	after   func(t testing.TB, b *bench)
}

func scenarios(t *testing.T) []scenario {
	a, old, other := tiny(t, 1, 1), tiny(t, 1, 2), tiny(t, 2, 3)
	puts := func(list ...generation) func(testing.TB, *bench, *clock) {
		return func(t testing.TB, b *bench, clk *clock) {
			for _, g := range list {
				b.put(t, g)
				clk.advance(48 * time.Hour)
			}
		}
	}
	plotted := func(list ...generation) func(testing.TB, *bench, *clock) {
		return func(t testing.TB, b *bench, clk *clock) {
			puts(list...)(t, b, clk)
			_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(list...)})
			check(t, err)
		}
	}
	plots := func(ssd, hdd int) func(testing.TB, *bench) {
		return func(t testing.TB, b *bench) {
			t.Helper()
			if s, h := b.files(t, "ssd", "*.plot*"), b.files(t, "hdd", "*.plot*"); s != ssd || h != hdd {
				t.Fatalf("%d files of plots on ssd and %d on hdd, expected %d and %d", s, h, ssd, hdd)
			}
		}
	}
	return []scenario{
		{name: "commit", stays: []generation{other}, comes: []generation{a}, prepare: puts(other),
			do: func(b *bench) error { return put(b.Tiers, a, meta(a)) }},
		{name: "plot", stays: []generation{a, other}, prepare: puts(a, other),
			set: func(c *tier.Config) { c.Settings.Release = true },
			do: func(b *bench) error {
				if _, err := b.AutoPlot(context.Background()); err != nil {
					return err
				}
				_, err := b.Release(context.Background())
				return err
			},
			after: func(t testing.TB, b *bench) {
				plots(0, 1)(t, b)
				if u, err := b.storage.Usage(t.Context()); err != nil || u.Capsules != 0 {
					t.Fatalf("loose contents: %+v, %v", u, err)
				}
			}},
		{name: "collect", stays: []generation{a, other}, goes: []generation{old},
			prepare: puts(old, a, other), do: collectAll},
		{name: "collect plotted", stays: []generation{a, other}, goes: []generation{old},
			prepare: func(t testing.TB, b *bench, clk *clock) {
				plotted(old, other)(t, b, clk)
				puts(a)(t, b, clk)
			}, do: collectAll},
		{name: "age", stays: []generation{a}, after: plots(0, 1),
			set: func(c *tier.Config) { c.Facts = tiersOf },
			prepare: func(t testing.TB, b *bench, clk *clock) {
				plotted(a)(t, b, clk)
				clk.advance(31 * 24 * time.Hour)
			},
			do: func(b *bench) error {
				if _, err := b.AutoPlot(context.Background()); err != nil { // ends a move
					return err
				}
				return b.Age(context.Background())
			}},
		{name: "compact", stays: []generation{other}, after: plots(0, 1),
			prepare: func(t testing.TB, b *bench, clk *clock) {
				plotted(a, other)(t, b, clk)
				check(t, b.Remove(t.Context(), a.Store, a.Root))
			},
			do: func(b *bench) error {
				if _, err := b.AutoPlot(context.Background()); err != nil { // sweeps
					return err
				}
				return b.Compact(context.Background())
			}},
		{name: "scrub", stays: []generation{other}, prepare: puts(a, other),
			set:   func(c *tier.Config) { c.Refill = refill(a) },
			after: func(t testing.TB, b *bench) { b.serves(t, a) },
			do: func(b *bench) error {
				flipOnce(b.loose(a.Capsules[0]), a.contents[0])
				return b.Scrub(context.Background())
			}},
	}
}

// flipOnce damages a file when it is right.
func flipOnce(path string, content []byte) {
	b, err := os.ReadFile(path)
	if err == nil && bytes.Equal(b, content) {
		b[0] ^= 1
		_ = os.WriteFile(path, b, 0o600) // it is read afterwards
	}
}

func collectAll(b *bench) error {
	p, err := b.Plan(context.Background())
	if err != nil {
		return err
	}
	_, err = b.Collect(context.Background(), p)
	return err
}

// prepared makes the directory of a scenario, and returns what opens a copy of it.
func (s scenario) prepared(t *testing.T) (open func(fsys diskfs.FS) *bench) {
	clk := newClock()
	from := t.TempDir()
	set := func(c *tier.Config) {
		c.Now = clk.now
		c.Settings.Grace = time.Hour
		if s.set != nil {
			s.set(c)
		}
	}
	b := newBench(t, from, set)
	s.prepare(t, b, clk)
	check(t, b.close())
	dir := filepath.Join(t.TempDir(), "copy")
	return func(fsys diskfs.FS) *bench {
		check(t, os.RemoveAll(dir))
		check(t, os.CopyFS(dir, os.DirFS(from)))
		relocate(t, dir, from)
		b := &bench{dir: dir, c: tier.Config{}}
		b.c = benchConfig(dir)
		set(&b.c)
		b.c.FS = fsys
		return b
	}
}

// whole checks that a generation is served whole or absent whole, and reports which.
func (b *bench) whole(t testing.TB, g generation) bool {
	t.Helper()
	absent := 0
	for i := range g.contents {
		got, _, err := read(b.Tiers, g.ref(i))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			absent++
		case err != nil:
			t.Fatal(err)
		case !bytes.Equal(got, g.contents[i]):
			t.Fatalf("capsule %d differs", i)
		}
	}
	if absent != 0 && absent != len(g.contents) {
		t.Fatalf("%d of %d capsules are absent", absent, len(g.contents))
	}
	return absent == 0
}

// holds checks a scenario after its job returned err.
func (s scenario) holds(t testing.TB, b *bench, err error) {
	t.Helper()
	for _, g := range s.stays {
		b.serves(t, g)
	}
	for _, g := range s.goes {
		if b.whole(t, g) && err == nil {
			t.Fatal("a generation that was removed is served")
		}
	}
	for _, g := range s.comes {
		if !b.whole(t, g) && err == nil {
			t.Fatal("a generation that was committed is absent")
		}
	}
}

// TestCrashes kills the process at every file operation of every job. A new process serves
// acknowledged generations, serves none partly, and completes the job.
func TestCrashes(t *testing.T) {
	part, parts := vectors.Part(t)
	if !vectors.Long(t) {
		part, parts = 0, 11
	}
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			open := s.prepared(t)
			for n := 1 + part%parts; ; n += parts {
				process := diskfs.NewProcess(diskfs.OS())
				b := open(process)
				b.open(t)
				process.KillAfter(n)
				err := s.do(b)
				process.Kill()
				b.abandon()
				b.c.FS = nil
				b.open(t)
				s.holds(t, b, err)
				if err := s.do(b); err != nil {
					t.Fatalf("operation %d, again: %v", n, err)
				}
				for range 2 {
					s.holds(t, b, nil)
					if s.after != nil {
						s.after(t, b)
					}
					b.reopen(t)
				}
				check(t, b.close())
				if err == nil {
					t.Logf("%d operations", n)
					return
				}
			}
		})
	}
}

// TestDiskRefuses makes the disk full or read-only from every file operation of every job on. The
// same instance continues to serve, and completes the job when the disk is writable again.
func TestDiskRefuses(t *testing.T) {
	part, parts := vectors.Part(t)
	if !vectors.Long(t) {
		part, parts = 0, 17
	}
	for i, refusal := range []error{syscall.ENOSPC, syscall.EROFS} {
		for _, s := range scenarios(t) {
			t.Run(s.name+"/"+refusal.Error(), func(t *testing.T) {
				open := s.prepared(t)
				for n := 1 + (part+i)%parts; ; n += parts {
					left, refused := -1, false
					b := open(diskfs.Before(diskfs.OS(), func(op, name string) error {
						if !changes(op) || left < 0 {
							return nil
						}
						if left--; left <= 0 {
							refused, left = true, 0
							return &fs.PathError{Op: op, Path: name, Err: refusal}
						}
						return nil
					}))
					b.open(t)
					left = n
					err := s.do(b)
					if errors.Is(err, fs.ErrNotExist) {
						t.Fatalf("operation %d: %v is an absence", n, err)
					}
					if refusal == syscall.ENOSPC && refused && err != nil &&
						!errors.Is(err, tier.ErrNoSpace) {
						t.Fatalf("operation %d: %v, expected ErrNoSpace", n, err)
					}
					s.holds(t, b, err)
					left = -1
					if err := s.do(b); err != nil {
						t.Fatalf("operation %d, again: %v", n, err)
					}
					s.holds(t, b, nil)
					if s.after != nil {
						s.after(t, b)
					}
					check(t, b.close())
					if !refused {
						t.Logf("%d operations", n)
						return
					}
				}
			})
		}
	}
}

// changes reports whether a file operation writes. What opens for reading cannot be told from what
// opens for writing, and goes through.
func changes(op string) bool {
	switch op {
	case "rename", "remove", "mkdir", "syncdir", "write", "sync", "truncate":
		return true
	}
	return false
}
