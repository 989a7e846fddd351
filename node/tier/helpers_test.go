package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
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

// A generation is a manifest and the contents of its capsules.
type generation struct {
	*capsule.Manifest
	contents [][]byte
}

// generationOf cuts the files of a small tree into a generation of a datastore.
func generationOf(t testing.TB, store byte, seed uint64) generation {
	t.Helper()
	tree := corpus.Small(seed)
	content := tree.Concat()
	g := generation{}
	m, err := capsule.Split(context.Background(), auth.StoreID{store},
		bytes.NewReader(content), &capsule.SplitOptions{Size: 300_000},
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

func (g generation) size() (n int64) {
	for _, b := range g.contents {
		n += int64(len(b))
	}
	return n
}

func (g generation) ref(i int) capsule.Ref {
	return capsule.Ref{Store: g.Store, Root: g.Root, Index: uint32(i)}
}

// node has the key of the plots of the tests.
var node = auth.NewNodeKey([32]byte{1, 2, 3})

// A bench is the tiers of one node in a directory, which can be opened again.
type bench struct {
	*tier.Tiers
	dir     string
	c       tier.Config
	storage *storage.Dir
	wrap    func(storage.Storage) storage.Storage // nil: not
}

// newBench opens tiers over a storage and two volumes.
func newBench(t testing.TB, dir string, set func(*tier.Config)) *bench {
	t.Helper()
	b := &bench{dir: dir, c: benchConfig(dir)}
	if set != nil {
		set(&b.c)
	}
	b.open(t)
	t.Cleanup(func() { b.close() })
	return b
}

// benchConfig is the configuration of a bench.
func benchConfig(dir string) tier.Config {
	return tier.Config{
		Volumes: []tier.Volume{{Path: filepath.Join(dir, "ssd"), Class: economy.SSD},
			{Path: filepath.Join(dir, "hdd"), Class: economy.HDD}},
		Key:       node,
		StateFile: filepath.Join(dir, "state.json"),
		Settings:  tier.Settings{Difficulty: plot.NoWork, PlotWorkers: 1},
		Free:      func(string) (int64, error) { return 1 << 40, nil },
	}
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	var err error
	b.storage, err = storage.OpenDir(filepath.Join(b.dir, "storage"),
		&storage.DirOptions{FS: b.c.FS})
	check(t, err)
	b.c.Storage = b.storage
	if b.wrap != nil {
		b.c.Storage = b.wrap(b.storage)
	}
	b.Tiers, err = tier.New(context.Background(), b.c)
	check(t, err)
	report, err := b.Refresh(context.Background())
	check(t, err)
	for _, err := range report.Failed {
		t.Logf("refresh: %v", err)
	}
}

func (b *bench) close() error {
	if b.Tiers == nil {
		return nil
	}
	err := errors.Join(b.Tiers.Close(), b.storage.Close())
	b.Tiers = nil
	return err
}

// abandon ends the use of tiers whose process was killed.
func (b *bench) abandon() {
	b.Tiers.Close()
	b.storage.Close()
	b.Tiers = nil
}

// relocate replaces the paths in the state of a copied directory.
func relocate(t testing.TB, dir, from string) {
	t.Helper()
	name := filepath.Join(dir, "state.json")
	text, err := os.ReadFile(name)
	check(t, err)
	check(t, os.WriteFile(name, tier.Relocated(text, from, dir), 0o600))
}

// meta returns the metadata of a generation in the tests.
func meta(g generation) storage.Meta {
	return storage.Meta{Origin: storage.Push, Generation: g.Created, Received: g.Created}
}

func (b *bench) reopen(t testing.TB) {
	t.Helper()
	check(t, b.close())
	b.open(t)
}

// put commits a generation as the head.
func put(b *tier.Tiers, g generation, m storage.Meta) error {
	ctx := context.Background()
	for i, d := range g.Capsules {
		if err := b.Put(ctx, d, bytes.NewReader(g.contents[i])); err != nil {
			return err
		}
	}
	meta, err := m.Encode()
	if err != nil {
		return err
	}
	return b.Commit(ctx, &storage.Generation{Manifest: g.Manifest, Meta: meta, Head: true})
}

func (b *bench) put(t testing.TB, g generation) {
	t.Helper()
	m := storage.Meta{Origin: storage.Push, Generation: g.Created,
		Received: uint64(b.now().Unix())}
	check(t, put(b.Tiers, g, m))
}

func (b *bench) now() time.Time {
	if b.c.Now != nil {
		return b.c.Now()
	}
	return time.Now()
}

// read returns the content at a place, which it reads in an order that a range request has.
func read(b *tier.Tiers, ref capsule.Ref) ([]byte, *tier.Content, error) {
	c, err := b.Get(context.Background(), ref, "")
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	return got, c, err
}

// serves checks that every capsule of a generation is served right.
func (b *bench) serves(t testing.TB, g generation) {
	t.Helper()
	for i := range g.contents {
		got, _, err := read(b.Tiers, g.ref(i))
		if err != nil {
			t.Fatalf("capsule %d: %v", i, err)
		}
		if !bytes.Equal(got, g.contents[i]) {
			t.Fatalf("capsule %d: %d bytes that differ, expected %d", i, len(got), len(g.contents[i]))
		}
	}
}

// refuses checks that no capsule of a generation is served, with the same error for each.
func (b *bench) refuses(t testing.TB, g generation, want error) {
	t.Helper()
	for i := range g.contents {
		_, _, err := read(b.Tiers, g.ref(i))
		if !errors.Is(err, want) {
			t.Fatalf("capsule %d: %v, expected %v", i, err, want)
		}
	}
}

func keys(list ...generation) (out []index.Key) {
	for _, g := range list {
		out = append(out, index.Key{Store: g.Store, Root: g.Root})
	}
	return out
}
