package modules_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/modules"
	"github.com/dig-network/digstore/node/nodetest"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/remote/remotetest"
)

// Without a module it is the storage below it.
func TestStorage(t *testing.T) {
	nodetest.TestStorage(t, func(t *testing.T) nodetest.Storage {
		base, dir := storage.NewMemory(nil), t.TempDir()
		return nodetest.Storage{Open: func(t *testing.T) storage.Storage {
			return open(t, base, remotetest.NewStores(nil), dir).View()
		}}
	})
}

func open(
	t *testing.T, base storage.Storage, backend *remotetest.Stores, dir string,
) *modules.Storage {
	t.Helper()
	s, err := modules.New(modules.Options{Storage: base, Backend: backend, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestModules(t *testing.T) {
	ctx := t.Context()
	publisher := auth.NewKey([32]byte{1})
	id := auth.StoreIDFromKey(publisher.PublicKey())
	mem := remotetest.NewMemory(id, nil)
	backend := remotetest.NewStores(nil, mem)
	var roots []merkle.Hash
	for seed := range uint64(2) {
		root, err := mem.Publish(ctx, publisher, corpus.Small(seed+1).FS())
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root.Root)
	}
	base, dir := storage.NewMemory(nil), t.TempDir()
	s := open(t, base, backend, dir)
	var manifests []*capsule.Manifest
	for _, root := range roots {
		m, err := s.Describe(ctx, id, root, time.Unix(1_700_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		s.Expect(m, root, time.Unix(1_700_000_000, 0))
		meta, err := storage.Meta{Origin: storage.Module}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		err = s.Commit(ctx, &storage.Generation{Manifest: m, Meta: meta, Head: true})
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, m)
	}
	s = open(t, base, backend, dir) // what a fresh instance finds
	if module, root, err := s.Head(id); err != nil || module != roots[1] ||
		root != manifests[1].Root {
		t.Fatalf("head %v, %v, %v", module, root, err)
	}
	for i, m := range manifests {
		want := moduleBytes(t, backend, id, roots[i])
		got := read(t, s, m, 0, -1)
		if string(got) != string(want) {
			t.Fatalf("generation %d: %d bytes, expected those of the module, %d", i, len(got),
				len(want))
		}
		if part := read(t, s, m, 5, 7); string(part) != string(want[5:12]) {
			t.Errorf("generation %d: range %x, expected %x", i, part, want[5:12])
		}
		g, err := s.Generation(ctx, id, m.Root)
		if err != nil || g.Head != (i == 1) || g.Manifest.Root != m.Root {
			t.Errorf("generation %d: %+v, %v", i, g, err)
		}
	}
	if u, err := s.Usage(ctx); err != nil || u.Bytes != 0 || u.Generations != 2 || u.Stores != 1 {
		t.Errorf("usage %+v, %v", u, err)
	}
	// A generation of capsules that names the same content gets a copy of its own.
	copied := *manifests[0]
	copied.Store = auth.StoreID{7}
	if err := s.Commit(ctx, &storage.Generation{Manifest: &copied, Head: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, id, manifests[0].Root); err != nil {
		t.Fatal(err)
	}
	read(t, s, &copied, 0, -1)
	if _, err := s.Generation(ctx, id, manifests[0].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	if err := s.Remove(ctx, id, merkle.Hash{}); err != nil {
		t.Fatal(err)
	}
	s = open(t, base, backend, dir)
	if s.Has(id) {
		t.Error("a removed datastore is there again")
	}
	if got := moduleBytes(t, backend, id, roots[1]); len(got) == 0 {
		t.Error("removing capsules has removed a module")
	}
}

func read(t *testing.T, s storage.Storage, m *capsule.Manifest, off, n int64) []byte {
	t.Helper()
	rc, err := s.Open(context.Background(), m.Capsules[0], off, n)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	text, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func moduleBytes(
	t *testing.T, b *remotetest.Stores, id auth.StoreID, root merkle.Hash,
) []byte {
	t.Helper()
	rc, err := b.Module(context.Background(), id, root)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	text, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
