package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
)

func remoteFS(content files) fs.FS {
	fsys := fstest.MapFS{}
	for n, text := range content {
		fsys[n] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func emptyWorkspace(t testing.TB) *digstore.Workspace {
	t.Helper()
	w, err := digstore.Init("/ws", options(diskfs.NewCrash("/ws")))
	check(t, err)
	t.Cleanup(func() { w.Close() })
	return w
}

// push sends a generation of a store as server.Server would.
func push(t testing.TB, w *digstore.Workspace, from *digstore.Store, p module.Push) error {
	t.Helper()
	return w.Receive(ctx, p, bytes.NewReader(moduleOf(t, from, p.Head.Root)), deep)
}

func TestReceive(t *testing.T) {
	ctx := context.Background()
	from, gens, states := history(t, 3)
	w := emptyWorkspace(t)
	if _, err := w.Head(ctx, from.ID()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an unknown store: %v", err)
	}
	refused := errors.New("refused")
	err := w.Receive(ctx, module.Push{Head: signed(t, from)},
		bytes.NewReader(moduleOf(t, from, gens[2].Root)), func(*module.Module) error { return refused })
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if _, err := w.Head(ctx, from.ID()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a refused first push made the store: %v", err)
	}
	check(t, push(t, w, from, module.Push{Head: signedAs(t, from, gens[0].Root)}))
	pins, err := must(w.Store(from.ID().String())).Pins(ctx)
	check(t, err)
	if head := signed(t, from); pins.Publisher != head.PublicKey {
		t.Errorf("pinned %v", pins)
	}
	if err := push(t, w, from,
		module.Push{Head: signedAs(t, from, gens[2].Root), Parent: gens[1].Root}); !errors.Is(err,
		module.ErrNotHead) {
		t.Errorf("a wrong parent: %v", err)
	}
	if err := push(t, w, from,
		module.Push{Head: signedAs(t, from, gens[0].Root), Parent: gens[0].Root}); !errors.Is(err,
		fs.ErrExist) {
		t.Errorf("a root that is there: %v", err)
	}
	check(t, push(t, w, from,
		module.Push{Head: signedAs(t, from, gens[1].Root), Parent: gens[0].Root}))
	s := must(w.Store(""))
	g, err := s.Latest()
	check(t, err)
	wantFiles(t, g, states[1])
	verifyAll(t, s)

	// A pending generation is stored, not visible, and promoted if its parent is the head.
	check(t, push(t, w, from,
		module.Push{Head: signedAs(t, from, gens[2].Root), Parent: gens[1].Root, Pending: true}))
	list, err := w.Pending(ctx, from.ID())
	check(t, err)
	if len(list) != 1 || list[0].Root != gens[2].Root || list[0].Number != 2 {
		t.Errorf("pending: %v", list)
	}
	if head, _ := w.Head(ctx, from.ID()); head.Root != gens[1].Root {
		t.Errorf("head %s while pending", head.Root)
	}
	if _, err := w.Module(ctx, from.ID(), gens[2].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pending module: %v", err)
	}
	if err := w.Promote(ctx, from.ID(), gens[0].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("promote what is not pending: %v", err)
	}
	_, err = s.GC(ctx, &digstore.GCOptions{Keep: 1}) // keeps what the pending one needs
	check(t, err)
	check(t, w.Promote(ctx, from.ID(), gens[2].Root))
	g, err = s.Latest()
	check(t, err)
	wantFiles(t, g, states[2])
	verifyAll(t, s)
	if head := signed(t, s); head.Root != gens[2].Root {
		t.Errorf("head %s after promotion", head.Root)
	}
	if list, _ := w.Pending(ctx, from.ID()); len(list) != 0 {
		t.Errorf("still pending: %v", list)
	}
}

func TestPendingOvertaken(t *testing.T) {
	ctx := context.Background()
	from, gens, states := history(t, 2)
	w := emptyWorkspace(t)
	check(t, push(t, w, from,
		module.Push{Head: signedAs(t, from, gens[0].Root), Pending: true})) // a first push, pending
	check(t, push(t, w, from, module.Push{Head: signedAs(t, from, gens[1].Root)}))
	if err := w.Promote(ctx, from.ID(), gens[0].Root); !errors.Is(err, module.ErrNotHead) {
		t.Errorf("promote with another head: %v", err)
	}
	check(t, w.Drop(ctx, from.ID(), gens[0].Root))
	check(t, w.Drop(ctx, from.ID(), gens[0].Root))
	s := must(w.Store(""))
	g, err := s.Latest()
	check(t, err)
	wantFiles(t, g, states[1])
	verifyAll(t, s)
}

func TestRevoke(t *testing.T) {
	ctx := context.Background()
	from, gens, _ := history(t, 2)
	key, err := from.Signer()
	check(t, err)
	w := emptyWorkspace(t)
	check(t, push(t, w, from, module.Push{Head: signedAs(t, from, gens[0].Root)}))
	id := from.ID()
	for _, stone := range []auth.Tombstone{
		{Store: id, Root: gens[0].Root, NotAfter: 5, Reason: auth.Superseded},
		{Store: id, Root: gens[0].Root, NotAfter: 6, Reason: auth.Compromise},
		{Store: id, NotAfter: 7, Reason: 99},
	} {
		stone, err := auth.SignTombstone(ctx, stone, key)
		check(t, err)
		check(t, w.Revoke(ctx, stone))
	}
	forged, err := auth.SignTombstone(ctx, auth.Tombstone{Store: id, Root: gens[1].Root},
		auth.NewKey([32]byte{5}))
	check(t, err)
	check(t, w.Revoke(ctx, forged))
	list, err := w.Tombstones(ctx, id)
	check(t, err)
	if len(list) != 2 || list[0].NotAfter != 6 || !list[1].WholeStore() || list[1].Reason != 99 {
		t.Errorf("tombstones: %+v", list)
	}
	if err := w.Revoke(ctx, auth.Tombstone{Store: auth.StoreID{1}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("revoke an unknown store: %v", err)
	}
	s := must(w.Store(""))
	check(t, s.ImportKey(ctx, key))
	stage(t, s, files{"a": "b"})
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("commit to a revoked store: %v", err)
	}
}

// TestServingSeesOthers: an open workspace sees the changes of another process.
func TestServingSeesOthers(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	writer, err := digstore.Init(dir, nil)
	check(t, err)
	defer writer.Close()
	server, err := digstore.Open(dir, nil)
	check(t, err)
	defer server.Close()
	s, err := writer.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "later"})
	check(t, err)
	for i := range 20 { // enough to merge indexes
		g := commit(t, s, files{"n": noise(uint64(i), 100)}, nil)
		head, err := server.Head(ctx, s.ID())
		check(t, err)
		if head.Root != g.Info().Root || head.Check() != nil {
			t.Fatalf("commit %d: the server's head is %s, want %s", i, head.Root, g.Info().Root)
		}
		r, err := server.Module(ctx, s.ID(), head.Root)
		check(t, err)
		n, err := r.Seek(0, 2)
		check(t, err)
		if n != g.ModuleSize() {
			t.Errorf("module of %d bytes, want %d", n, g.ModuleSize())
		}
		check(t, r.Close())
		verifyAll(t, must(server.Store("later")))
	}
	_, err = s.GC(ctx, &digstore.GCOptions{Keep: 2})
	check(t, err)
	verifyAll(t, must(server.Store("later")))
	var ids []auth.StoreID
	for id, err := range server.Stores(ctx) {
		check(t, err)
		ids = append(ids, id)
	}
	if len(ids) != 1 || ids[0] != s.ID() {
		t.Errorf("stores: %v", ids)
	}
}

// TestReceiveAnotherKey: a push with another key, which the server has accepted, makes it the key
// of the store.
func TestReceiveAnotherKey(t *testing.T) {
	from, gens, _ := history(t, 1)
	w := emptyWorkspace(t)
	check(t, push(t, w, from, module.Push{Head: signedAs(t, from, gens[0].Root)}))
	heir := auth.NewKey([32]byte{8})
	body, head, err := remotetest.Module(ctx, from.ID(), heir,
		remoteFS(files{"a": "of the heir"}), nil)
	check(t, err)
	check(t, w.Receive(ctx, module.Push{Head: head, Parent: gens[0].Root}, bytes.NewReader(body),
		deep))
	got, err := w.Head(ctx, from.ID())
	check(t, err)
	if got.PublicKey != heir.PublicKey() || got.Check() != nil {
		t.Errorf("head %+v", got)
	}
	s := must(w.Store(""))
	former := must(from.Signer())
	if err := s.ImportKey(ctx, former); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("import of the former key: %v", err)
	}
	for i, key := range []*auth.Key{former, heir} {
		stone, err := auth.SignTombstone(ctx,
			auth.Tombstone{Store: s.ID(), Root: merkle.Hash{byte(i + 1)}, NotAfter: 5}, key)
		check(t, err)
		check(t, s.Revoke(ctx, stone))
	}
	if list := must(s.Tombstones(ctx, s.ID())); len(list) != 1 || list[0].Root != (merkle.Hash{2}) {
		t.Errorf("tombstones %v", list)
	}
	check(t, s.ImportKey(ctx, heir))
	stage(t, s, files{"b": "by the heir"})
	must(s.Commit(ctx, nil, nil))
}
