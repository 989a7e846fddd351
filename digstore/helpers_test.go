package digstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// zeros is a deterministic source of randomness, which is enough for keys in tests.
type zeros struct{ n byte }

func (z *zeros) Read(b []byte) (int, error) {
	for i := range b {
		z.n++
		b[i] = z.n
	}
	return len(b), nil
}

// clock returns a clock that advances by a second at each call.
func clock() func() time.Time {
	at := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

func options(disk diskfs.FS) *digstore.Options {
	return &digstore.Options{FS: disk, Now: clock(), Rand: &zeros{}, LockWait: -1, Workers: 2}
}

// inMemory makes a workspace with one store on a disk in memory. At the end of the test it checks
// that the disk is undamaged after a loss of power.
func inMemory(t testing.TB, o *digstore.StoreOptions) (*digstore.Workspace, *digstore.Store) {
	t.Helper()
	return inMemoryWith(t, digstore.StoreID{}, o)
}

func inMemoryWith(t testing.TB, id digstore.StoreID,
	o *digstore.StoreOptions) (*digstore.Workspace, *digstore.Store) {
	t.Helper()
	disk := diskfs.NewCrash("/ws")
	w, err := digstore.Init("/ws", options(disk))
	check(t, err)
	t.Cleanup(func() {
		w.Close()
		if t.Failed() || t.Skipped() {
			return
		}
		found := disk.Recover(0)
		fresh, err := digstore.Open("/ws", options(found))
		check(t, err)
		defer fresh.Close()
		for s, err := range fresh.All() {
			check(t, err)
			verifyAll(t, s)
		}
	})
	s, err := w.Create(ctx, id, o)
	check(t, err)
	return w, s
}

// files are resources and their content.
type files map[string]string

// commit stages files and commits them.
func commit(t testing.TB, s *digstore.Store, content files,
	o *digstore.CommitOptions) *digstore.Generation {
	t.Helper()
	stage(t, s, content)
	r, err := s.Commit(context.Background(), nil, o)
	check(t, err)
	return r.Generation
}

func stage(t testing.TB, s *digstore.Store, content files) {
	t.Helper()
	for name, text := range content {
		check(t, s.Stage(context.Background(), name, bytes.NewReader([]byte(text))))
	}
}

// wantFiles checks that a generation holds exactly those files, by reading them.
func wantFiles(t testing.TB, g *digstore.Generation, want files) {
	t.Helper()
	n, err := g.Len()
	check(t, err)
	if n != len(want) {
		t.Errorf("generation %d has %d resources, want %d", g.Info().Number, n, len(want))
	}
	for name, text := range want {
		p, err := g.Resource(name)
		check(t, err)
		got, err := io.ReadAll(p)
		check(t, err)
		if string(got) != text {
			t.Errorf("generation %d, %s: %d bytes differ from the %d wanted", g.Info().Number, name,
				len(got), len(text))
		}
	}
}

// moduleOf returns the bytes of a generation.
func moduleOf(t testing.TB, s *digstore.Store, root merkle.Hash) []byte {
	t.Helper()
	r, err := s.Module(context.Background(), root)
	check(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	check(t, err)
	return b
}

// verifyAll verifies every generation that is held, deeply.
func verifyAll(t testing.TB, s *digstore.Store) {
	t.Helper()
	gens, err := s.Generations(context.Background())
	check(t, err)
	for _, g := range gens {
		_, err := s.Verify(context.Background(), g.Root, &digstore.VerifyOptions{Deep: true})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		check(t, err)
	}
}

// signed returns the head of a store with its signatures.
func signed(t testing.TB, s *digstore.Store) auth.SignedRoot {
	t.Helper()
	h, err := s.Head(context.Background())
	check(t, err)
	check(t, h.Check())
	return h
}

// deep is a check that verifies everything.
func deep(m *module.Module) error { return m.Verify(context.Background()) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noise returns n bytes that do not compress, and differ with seed.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	s := seed*0x9e3779b97f4a7c15 + 1
	for i := range b {
		s ^= s << 13
		s ^= s >> 7
		s ^= s << 17
		b[i] = byte(s >> 24)
	}
	return string(b)
}

// inMemoryOf makes a store with that id and without a key, like a clone.
func inMemoryOf(t testing.TB, id digstore.StoreID) (*digstore.Workspace, *digstore.Store) {
	t.Helper()
	return inMemoryWith(t, id, nil)
}

func readFull(r io.Reader, b []byte) (int, error) { return io.ReadFull(r, b) }

// rootIn reads the root in a manifest.json.
func rootIn(t testing.TB, text string) merkle.Hash {
	t.Helper()
	var m struct{ Root merkle.Hash }
	check(t, json.Unmarshal([]byte(text), &m))
	return m.Root
}
