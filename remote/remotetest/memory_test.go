package remotetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newWorld(t *testing.T) *remotetest.World {
	t.Helper()
	w, err := remotetest.NewWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// lines is the history of the first n generations.
func lines(w *remotetest.World, n int) (all []module.Generation) {
	for i := range n {
		all = append(all, module.Generation{Number: uint64(i), Root: w.Heads[i].Root})
	}
	return all
}

func accept(*module.Module) error { return nil }

func TestInstall(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	m := remotetest.NewMemory(w.Store, nil)
	refuse := errors.New("not this one")
	install := func(lines []module.Generation, n int, check func(*module.Module) error) error {
		return m.Install(ctx, lines, w.Heads[n], bytes.NewReader(w.Modules[n]), check)
	}
	if err := install(lines(w, 3), 2, func(*module.Module) error { return refuse }); !errors.Is(err, refuse) {
		t.Fatalf("got %v, want check's error", err)
	}
	unchanged(t, w, m, 0)
	if err := install(lines(w, 3)[1:], 2, accept); err == nil {
		t.Fatal("a gap in the history is taken")
	}
	var seen module.ID
	if err := install(lines(w, 3), 2, func(mod *module.Module) error { seen = mod.ID(); return mod.Verify(ctx) }); err != nil {
		t.Fatal(err)
	}
	if seen != (module.ID{Store: w.Store, Root: w.Heads[2].Root}) {
		t.Errorf("check saw %v", seen)
	}
	for i := range 3 { // earlier lines are there, their modules are not
		r, err := m.Module(ctx, w.Heads[i].Root)
		if i < 2 && !errors.Is(err, fs.ErrNotExist) || i == 2 && err != nil {
			t.Errorf("generation %d: %v", i, err)
		}
		if err == nil {
			r.Close()
		}
	}
	if err := install(lines(w, 3)[:1], 0, accept); err != nil { // filling one in
		t.Fatal(err)
	}
	if r, err := m.Module(ctx, w.Heads[0].Root); err != nil {
		t.Error(err)
	} else if got, _ := io.ReadAll(r); !bytes.Equal(got, w.Modules[0]) {
		t.Error("another module came back")
	}
	if head, err := m.Head(ctx); err != nil || head != w.Heads[2] {
		t.Errorf("head %v, %v", head, err)
	}
}

func TestResume(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	m := remotetest.NewMemory(w.Store, nil)
	mod, head, broken := w.Modules[0], w.Heads[0], errors.New("line is down")
	for _, from := range []int{0, 1, 5000, len(mod) - 1} {
		held, err := m.Held(ctx, head.Root)
		if err != nil {
			t.Fatal(err)
		}
		r := io.MultiReader(bytes.NewReader(mod[held:from]), iotest.ErrReader(broken))
		if err := m.Install(ctx, lines(w, 1), head, r, accept); !errors.Is(err, broken) {
			t.Fatalf("got %v, want the reader's error", err)
		}
		if held, _ = m.Held(ctx, head.Root); held != int64(from) {
			t.Fatalf("%d bytes held, want %d", held, from)
		}
		unchanged(t, w, m, 0)
	}
	held, _ := m.Held(ctx, head.Root)
	if err := m.Install(ctx, lines(w, 1), head, bytes.NewReader(mod[held:]), func(mod *module.Module) error { return mod.Verify(ctx) }); err != nil {
		t.Fatal(err)
	}
	unchanged(t, w, m, 1)
	if held, _ = m.Held(ctx, head.Root); held != 0 {
		t.Errorf("%d bytes still held", held)
	}
	if err := m.Install(ctx, lines(w, 2)[1:], w.Heads[1], io.MultiReader(bytes.NewReader(w.Modules[1][:100]), iotest.ErrReader(broken)), accept); err == nil {
		t.Fatal("taken")
	}
	if err := m.Discard(ctx, w.Heads[1].Root); err != nil {
		t.Fatal(err)
	}
	if held, _ = m.Held(ctx, w.Heads[1].Root); held != 0 {
		t.Errorf("%d bytes held after Discard", held)
	}
}

func TestReceiveRace(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	b := remotetest.NewStores(nil)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs { // three first pushes at once
		wg.Go(func() {
			errs[i] = b.Receive(ctx, w.Heads[i], merkle.Hash{}, false, bytes.NewReader(w.Modules[i]), accept)
		})
	}
	wg.Wait()
	won := slices.IndexFunc(errs, func(err error) bool { return err == nil })
	if won < 0 {
		t.Fatal(errs)
	}
	for i, err := range errs {
		if i != won && !errors.Is(err, module.ErrNotHead) {
			t.Errorf("push %d: %v", i, err)
		}
	}
	if head, err := b.Head(ctx, w.Store); err != nil || head != w.Heads[won] {
		t.Errorf("head %v, %v", head, err)
	}
	if err := b.Receive(ctx, w.Heads[won], merkle.Hash{}, false, bytes.NewReader(w.Modules[won]), accept); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same again: %v", err)
	}
}

func TestUnknownStores(t *testing.T) {
	ctx := context.Background()
	b, s := remotetest.NewStores(nil), auth.StoreID{1}
	calls := map[string]error{}
	_, calls["Head"] = b.Head(ctx, s)
	_, calls["Generations"] = b.Generations(ctx, s)
	_, calls["Module"] = b.Module(ctx, s, merkle.Hash{})
	_, calls["Tombstones"] = b.Tombstones(ctx, s)
	_, calls["Pending"] = b.Pending(ctx, s)
	calls["Revoke"] = b.Revoke(ctx, auth.Tombstone{Store: s})
	calls["Promote"] = b.Promote(ctx, s, merkle.Hash{})
	calls["Drop"] = b.Drop(ctx, s, merkle.Hash{})
	m := remotetest.NewMemory(auth.StoreID{2}, nil)
	_, calls["Memory.Tombstones"] = m.Tombstones(ctx, s)
	calls["Memory.Revoke"] = m.Revoke(ctx, auth.Tombstone{Store: s})
	_, calls["Memory.SignedRoot"] = m.SignedRoot(ctx, merkle.Hash{})
	for name, err := range calls {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPins(t *testing.T) {
	m := remotetest.NewMemory(auth.StoreID{1}, nil)
	want := remote.Pins{Publisher: auth.PublicKey{1}, Root: merkle.Hash{2}, Generation: 3}
	if err := m.Pin(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Pins(t.Context()); err != nil || got != want {
		t.Errorf("pins %v, %v", got, err)
	}
}
