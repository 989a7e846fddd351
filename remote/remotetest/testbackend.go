package remotetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// TestBackend tests an implementation of [server.Backend], and of Receiver, Promoter,
// RecipeBackend, Revoker and Catalog if it implements them. It pushes the generations of w. open
// returns a backend without stores, for each subtest. A backend that is no [server.Receiver]
// cannot be filled, so only its answers for unknown stores are tested.
func TestBackend(t *testing.T, w *World, open func(t *testing.T) server.Backend) {
	b := &backendTest{World: w, open: open}
	t.Run("unknown store", b.unknownStore)
	if _, ok := open(t).(server.Receiver); !ok {
		return
	}
	t.Run("receive", b.receive)
	t.Run("refuse", b.refuse)
	t.Run("race", b.race)
	if _, ok := open(t).(server.Promoter); ok {
		t.Run("pending", b.pending)
		t.Run("revert", b.revert)
	}
	if _, ok := open(t).(server.RecipeBackend); ok {
		t.Run("recipes", b.recipes)
	}
	if _, ok := open(t).(server.Revoker); ok {
		t.Run("revoke", b.revoke)
	}
	if _, ok := open(t).(server.Catalog); ok {
		t.Run("list", b.list)
		t.Run("owners", b.owners)
	}
}

type backendTest struct {
	*World
	open func(t *testing.T) server.Backend
}

func (w *backendTest) unknownStore(t *testing.T) {
	ctx, b := t.Context(), w.open(t)
	_, err := b.Head(ctx, w.Store)
	absence(t, "Head", err)
	_, err = b.Generations(ctx, w.Store)
	absence(t, "Generations", err)
	_, err = b.Module(ctx, w.Store, w.Heads[0].Root)
	absence(t, "Module", err)
	if r, ok := b.(server.Revoker); ok {
		absence(t, "Revoke", r.Revoke(ctx, auth.Tombstone{Store: w.Store}))
	}
	if p, ok := b.(server.Promoter); ok {
		_, err := p.Pending(ctx, w.Store)
		absence(t, "Pending", err)
		absence(t, "Promote", p.Promote(ctx, w.Store, w.Heads[0].Root))
	}
}

func absence(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s of what is not there: %v, want fs.ErrNotExist", what, err)
	}
}

// push pushes generation n on the one before it.
func (w *World) push(t *testing.T, b server.Backend, n int, pending bool) error {
	t.Helper()
	parent := merkle.Hash{}
	if n > 0 {
		parent = w.Heads[n-1].Root
	}
	return b.(server.Receiver).Receive(t.Context(),
		module.Push{Head: w.Heads[n], Parent: parent, Pending: pending}, bytes.NewReader(w.Modules[n]),
		func(m *module.Module) error {
			if id := (module.ID{Store: w.Store, Root: w.Heads[n].Root}); m.ID() != id {
				t.Errorf("check is given %s, want %s", m.ID(), id)
			}
			return m.Verify(t.Context())
		})
}

// holds checks that the backend has exactly the first n generations of the store.
func (w *World) holds(t *testing.T, b server.Backend, n int) {
	t.Helper()
	ctx := t.Context()
	lines, err := b.Generations(ctx, w.Store)
	if n == 0 && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || len(lines) != n {
		t.Fatalf("history %v, %v: want %d lines", lines, err, n)
	}
	for i, g := range lines {
		if g.Number != uint64(i) || g.Root != w.Heads[i].Root || g.Time.IsZero() {
			t.Errorf("line %d is %+v", i, g)
		}
	}
	head, err := b.Head(ctx, w.Store)
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 && !head.Root.IsZero() || n > 0 && head != w.Heads[n-1] {
		t.Errorf("head %+v", head)
	}
	for i := range w.Modules {
		m, err := b.Module(ctx, w.Store, w.Heads[i].Root)
		if i >= n {
			absence(t, "Module", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, m, w.Modules[i])
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// sameBytes reads a module in the ways that servers do and compares the bytes.
func sameBytes(t *testing.T, m io.ReadSeeker, want []byte) {
	t.Helper()
	if n, err := m.Seek(0, io.SeekEnd); err != nil || n != int64(len(want)) {
		t.Fatalf("%d bytes long, %v: want %d", n, err, len(want))
	}
	for _, from := range []int{0, 1, len(want) / 2, len(want) - 1, len(want)} {
		if _, err := m.Seek(int64(from), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(struct{ io.Reader }{m})
		if err != nil || !bytes.Equal(got, want[from:]) {
			t.Fatalf("from byte %d: %d bytes that differ, %v", from, len(got), err)
		}
		wt, ok := m.(io.WriterTo)
		if !ok {
			continue
		}
		if _, err := m.Seek(int64(from), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if n, err := wt.WriteTo(&out); err != nil || n != int64(out.Len()) ||
			!bytes.Equal(out.Bytes(), want[from:]) {
			t.Fatalf("WriteTo from byte %d: %d bytes that differ, %v", from, n, err)
		}
	}
}

func (w *backendTest) receive(t *testing.T) {
	b := w.open(t)
	for n := range w.Modules {
		if err := w.push(t, b, n, false); err != nil {
			t.Fatal(err)
		}
		w.holds(t, b, n+1)
	}
	for i, h := range w.Heads {
		line, err := b.(server.Receiver).Line(t.Context(), w.Store, h.Root)
		if err != nil || line.Root != h.Root || line.Number != uint64(i) {
			t.Errorf("line of generation %d: %+v, %v", i, line, err)
		}
	}
	_, err := b.(server.Receiver).Line(t.Context(), w.Store, merkle.Hash{1})
	absence(t, "Line of an unknown root", err)
}

func (w *backendTest) refuse(t *testing.T) {
	ctx, b := t.Context(), w.open(t)
	r := b.(server.Receiver)
	mine := errors.New("mine")
	for n := range 2 { // without the store, then with it
		mod, head, parent := w.Modules[n], w.Heads[n], merkle.Hash{}
		if n > 0 {
			parent = w.Heads[n-1].Root
		}
		accept := func(*module.Module) error { return nil }
		for name, tc := range map[string]struct {
			parent merkle.Hash
			r      io.Reader
			check  func(*module.Module) error
			want   error // nil: any
		}{
			"check":  {parent, bytes.NewReader(mod), func(*module.Module) error { return mine }, mine},
			"reader": {parent, io.MultiReader(bytes.NewReader(mod[:len(mod)/2]), iotest.ErrReader(mine)), accept, mine},
			"cut":    {parent, bytes.NewReader(mod[:len(mod)/2]), accept, module.ErrFormat},
			"noise":  {parent, bytes.NewReader(make([]byte, 10_000)), accept, module.ErrFormat},
			"parent": {merkle.Hash{1}, bytes.NewReader(mod), accept, module.ErrNotHead},
		} {
			if err := r.Receive(ctx, module.Push{Head: head, Parent: tc.parent}, tc.r,
				tc.check); err == nil ||
				!errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v in it", name, err, tc.want)
			}
			w.holds(t, b, n)
		}
		if err := w.push(t, b, n, false); err != nil {
			t.Fatal(err)
		}
		if err := r.Receive(ctx, module.Push{Head: head, Parent: head.Root}, bytes.NewReader(mod),
			accept); !errors.Is(err, fs.ErrExist) {
			t.Errorf("the head again: %v, want fs.ErrExist", err)
		}
		w.holds(t, b, n+1)
	}
	if err := r.Receive(ctx, module.Push{Head: w.Heads[0], Parent: w.Heads[1].Root},
		bytes.NewReader(w.Modules[0]),
		func(*module.Module) error { return nil }); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an old root again: %v, want fs.ErrExist", err)
	}
	w.holds(t, b, 2)
}

// race pushes generations with the same parent concurrently, including first pushes.
func (w *backendTest) race(t *testing.T) {
	b := w.open(t)
	r := b.(server.Receiver)
	ctx := t.Context()
	for _, parent := range []merkle.Hash{{}, w.Heads[0].Root} {
		roots := []int{0, 0, 0}
		if !parent.IsZero() {
			roots = []int{1, 2, 1, 2}
		}
		errs := make([]error, len(roots))
		var wg sync.WaitGroup
		for i, n := range roots {
			wg.Go(func() {
				errs[i] = r.Receive(ctx, module.Push{Head: w.Heads[n], Parent: parent},
					bytes.NewReader(w.Modules[n]), func(*module.Module) error { return nil })
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, module.ErrNotHead) && !errors.Is(err, fs.ErrExist):
				t.Errorf("push of generation %d: %v", roots[i], err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d pushes on %s won", won, len(roots), parent)
		}
	}
	lines, err := b.Generations(ctx, w.Store)
	if err != nil || len(lines) != 2 || lines[0].Root != w.Heads[0].Root {
		t.Fatalf("history %v, %v", lines, err)
	}
	m, err := b.Module(ctx, w.Store, lines[1].Root)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	sameBytes(t, m,
		w.Modules[slices.IndexFunc(w.Heads[:], func(h auth.SignedRoot) bool {
			return h.Root == lines[1].Root
		})])
}

func (w *backendTest) pending(t *testing.T) {
	ctx, b := t.Context(), w.open(t)
	p := b.(server.Promoter)
	wait := func(n int) {
		t.Helper()
		if err := w.push(t, b, n, true); err != nil {
			t.Fatal(err)
		}
		w.holds(t, b, n)
		all, err := p.Pending(ctx, w.Store)
		if err != nil || len(all) != 1 || all[0].Root != w.Heads[n].Root || all[0].Number != uint64(n) ||
			all[0].Time.IsZero() {
			t.Fatalf("pending %+v, %v", all, err)
		}
	}
	none := func() {
		t.Helper()
		if all, err := p.Pending(ctx, w.Store); err != nil || len(all) != 0 {
			t.Fatalf("pending %+v, %v: want none", all, err)
		}
	}
	wait(0)
	if err := p.Promote(ctx, w.Store, w.Heads[0].Root); err != nil {
		t.Fatal(err)
	}
	none()
	w.holds(t, b, 1)

	wait(1)
	if err := p.Drop(ctx, w.Store, w.Heads[1].Root); err != nil {
		t.Fatal(err)
	}
	none()
	absence(t, "Promote", p.Promote(ctx, w.Store, w.Heads[1].Root))
	if err := p.Drop(ctx, w.Store, w.Heads[1].Root); err != nil {
		t.Errorf("drop what is not pending: %v", err)
	}

	wait(1)
	if err := w.push(t, b, 1, false); err != nil { // promotion by a push, as clients do it
		t.Fatal(err)
	}
	none()
	w.holds(t, b, 2)

	aside := w.Heads[2]
	if err := b.(server.Receiver).Receive(ctx,
		module.Push{Head: aside, Parent: w.Heads[1].Root, Pending: true}, bytes.NewReader(w.Modules[2]),
		func(*module.Module) error { return nil }); err != nil {
		t.Fatal(err)
	}
	mod, head, err := Module(ctx, w.Store, w.Publisher, w.content(7), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.(server.Receiver).Receive(ctx, module.Push{Head: head, Parent: w.Heads[1].Root},
		bytes.NewReader(mod), func(*module.Module) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.Promote(ctx, w.Store, aside.Root); !errors.Is(err, module.ErrNotHead) {
		t.Errorf("promote on what is not the head any more: %v, want module.ErrNotHead", err)
	}
}

func (w *backendTest) revoke(t *testing.T) {
	b := w.open(t)
	if err := w.push(t, b, 0, false); err != nil {
		t.Fatal(err)
	}
	keepsTombstones(t, b.(server.Revoker), w.World)
	w.holds(t, b, 1)
}

// keepsTombstones tests what backends and locals have in common.
func keepsTombstones(t *testing.T, r server.Revoker, w *World) {
	t.Helper()
	ctx := t.Context()
	var want []auth.Tombstone
	for _, k := range []auth.Tombstone{
		{Root: w.Heads[0].Root, Reason: auth.Superseded}, {Root: merkle.Hash{1}}, {Reason: auth.Takedown},
		{Root: w.Heads[0].Root, NotAfter: 5, Reason: auth.Compromise}, // replaces the first one
	} {
		k.Store = w.Store
		k, err := auth.SignTombstone(ctx, k, w.Publisher)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Revoke(ctx, k); err != nil {
			t.Fatal(err)
		}
		want = append(slices.DeleteFunc(want, func(o auth.Tombstone) bool { return o.Root == k.Root }), k)
	}
	got, err := r.Tombstones(ctx, w.Store)
	if err != nil || len(got) != len(want) {
		t.Fatalf("tombstones %v, %v: want %d", got, err, len(want))
	}
	for _, k := range want {
		if !slices.Contains(got, k) {
			t.Errorf("%+v is not kept", k)
		}
	}
}

func (w *backendTest) list(t *testing.T) {
	b := w.open(t)
	if err := w.push(t, b, 0, false); err != nil {
		t.Fatal(err)
	}
	var ids []auth.StoreID
	for id, err := range b.(server.Catalog).Stores(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if !slices.Equal(ids, []auth.StoreID{w.Store}) {
		t.Errorf("stores %v", ids)
	}
	if err := b.(server.Catalog).CheckStore(t.Context(), w.Store); err != nil {
		t.Errorf("check a store that is not damaged: %v", err)
	}
}

// revert makes the first generation the head again.
func (w *backendTest) revert(t *testing.T) {
	ctx, b := t.Context(), w.open(t)
	for n := range 2 {
		if err := w.push(t, b, n, false); err != nil {
			t.Fatal(err)
		}
	}
	p := b.(server.Promoter)
	if err := p.Revert(ctx, w.Heads[0], w.Heads[0].Root); !errors.Is(err, module.ErrNotHead) {
		t.Errorf("on a parent that is not the head: %v, want module.ErrNotHead", err)
	}
	absence(t, "Revert", p.Revert(ctx, w.Heads[2], w.Heads[1].Root))
	w.holds(t, b, 2)
	if err := p.Revert(ctx, w.Heads[0], w.Heads[1].Root); err != nil {
		t.Fatal(err)
	}
	lines, err := b.Generations(ctx, w.Store)
	if err != nil || len(lines) != 3 || lines[2].Root != w.Heads[0].Root || lines[2].Number != 2 {
		t.Errorf("history %v, %v: want generation 0 as the third line", lines, err)
	}
	if head, err := b.Head(ctx, w.Store); err != nil || head != w.Heads[0] {
		t.Errorf("head %+v, %v: want generation 0", head, err)
	}
}

// owners tests the owner of a store.
func (w *backendTest) owners(t *testing.T) {
	ctx, b := t.Context(), w.open(t)
	if err := w.push(t, b, 0, false); err != nil {
		t.Fatal(err)
	}
	c, owner := b.(server.Catalog), w.Publisher.PublicKey()
	err := c.SetOwner(ctx, w.Store, owner)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no owners are recorded")
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []module.Owned
	for o, err := range c.Owned(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	if len(all) != 1 || all[0].Store != w.Store || all[0].Owner != owner || all[0].Bytes <= 0 {
		t.Errorf("stores with an owner: %+v", all)
	}
}
