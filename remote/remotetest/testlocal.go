package remotetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// TestLocal tests an implementation of [remote.Local], and of Resumer, Assembler, TrustStore and
// History if it implements them. It installs the generations of w. open returns an empty store
// with that ID, for each subtest.
func TestLocal(t *testing.T, w *World, open func(t *testing.T, id auth.StoreID) remote.Local) {
	l := &localTest{World: w, open: func(t *testing.T) remote.Local { return open(t, w.Store) }}
	t.Run("empty", l.empty)
	t.Run("install", l.install)
	t.Run("refuse", l.refuse)
	t.Run("repeat", l.repeat)
	if _, ok := l.open(t).(remote.Resumer); ok {
		t.Run("resume", l.resume)
	}
	if _, ok := l.open(t).(remote.Assembler); ok {
		t.Run("assemble", l.assemble)
	}
	if _, ok := l.open(t).(remote.TrustStore); ok {
		t.Run("pin", l.pin)
		t.Run("revoke", l.revoke)
		t.Run("witness", l.witness)
	}
	if _, ok := l.open(t).(remote.History); ok {
		t.Run("signatures", l.signatures)
		t.Run("lines", l.single)
	}
}

type localTest struct {
	*World
	open func(t *testing.T) remote.Local
}

// lines returns the lines of the first n generations.
func (w *World) lines(n int) (all []module.Generation) {
	for i := range n {
		all = append(all, module.Generation{Number: uint64(i), Root: w.Heads[i].Root,
			Time: time.Unix(1_750_000_000+int64(i), 0).UTC()})
	}
	return all
}

// put installs generation n with the given lines.
func (w *World) put(t *testing.T, l remote.Local, lines []module.Generation, n int) error {
	t.Helper()
	return l.Install(t.Context(), lines, w.Heads[n], bytes.NewReader(w.Modules[n]),
		func(m *module.Module) error {
			if id := (module.ID{Store: w.Store, Root: w.Heads[n].Root}); m.ID() != id {
				t.Errorf("check is given %s, want %s", m.ID(), id)
			}
			return m.Verify(t.Context())
		})
}

// has checks that the store has n lines and holds exactly these generations.
func (w *World) has(t *testing.T, l remote.Local, n int, held ...int) {
	t.Helper()
	ctx := t.Context()
	lines, err := l.Generations(ctx)
	if err != nil || len(lines) != n {
		t.Fatalf("history %v, %v: want %d lines", lines, err, n)
	}
	for i, g := range lines {
		if want := w.lines(n)[i]; g.Number != want.Number || g.Root != want.Root ||
			!g.Time.Equal(want.Time) {
			t.Errorf("line %d is %+v, want %+v", i, g, want)
		}
	}
	head, err := l.Head(ctx)
	if err != nil || n == 0 && !head.Root.IsZero() || n > 0 && head != w.Heads[n-1] {
		t.Errorf("head %+v, %v", head, err)
	}
	wanted := map[int]bool{}
	for _, i := range held {
		wanted[i] = true
	}
	for i := range w.Modules {
		if held, err := l.Has(ctx, w.Heads[i].Root); err != nil || held != wanted[i] {
			t.Errorf("Has of generation %d: %v, %v, want %v", i, held, err, wanted[i])
		}
		m, err := l.Module(ctx, w.Heads[i].Root)
		if !wanted[i] {
			absence(t, "Module", err)
			continue
		}
		if err != nil {
			t.Fatalf("generation %d: %v", i, err)
		}
		sameBytes(t, m, w.Modules[i])
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (w *localTest) empty(t *testing.T) {
	l := w.open(t)
	if l.ID() != w.Store {
		t.Errorf("id %s", l.ID())
	}
	w.has(t, l, 0)
}

func (w *localTest) install(t *testing.T) {
	l := w.open(t)
	steps := []struct {
		lines []module.Generation
		n     int
		held  []int
	}{
		{w.lines(2), 1, []int{1}},           // two lines, of which only the head is held
		{w.lines(3)[2:], 2, []int{1, 2}},    // one more
		{w.lines(3)[:1], 0, []int{0, 1, 2}}, // then the one not held
	}
	for i, s := range steps {
		if err := w.put(t, l, s.lines, s.n); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		w.has(t, l, max(2, min(i+2, 3)), s.held...)
	}
}

func (w *localTest) refuse(t *testing.T) {
	ctx, l := t.Context(), w.open(t)
	mine := errors.New("mine")
	accept := func(*module.Module) error { return nil }
	for n, held := range [][]int{nil, {0}} {
		mod, next := w.Modules[n], w.lines(n + 1)[n:]
		for name, tc := range map[string]struct {
			lines []module.Generation
			r     io.Reader
			check func(*module.Module) error
			want  error // nil: any
		}{
			"check":  {next, bytes.NewReader(mod), func(*module.Module) error { return mine }, mine},
			"reader": {next, io.MultiReader(bytes.NewReader(mod[:100]), iotest.ErrReader(mine)), accept, mine},
			"noise":  {next, bytes.NewReader(make([]byte, 10_000)), accept, module.ErrFormat},
			"gap":    {w.lines(n + 2)[n+1:], bytes.NewReader(w.Modules[n+1]), accept, nil},
		} {
			head := w.Heads[n]
			if name == "gap" {
				head = w.Heads[n+1]
			}
			err := l.Install(ctx, tc.lines, head, tc.r, tc.check)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v in it", name, err, tc.want)
			}
			if r, ok := l.(remote.Resumer); ok {
				if err := r.Discard(ctx, head.Root); err != nil {
					t.Fatal(err)
				}
			}
			w.has(t, l, n, held...)
		}
		if err := w.put(t, l, next, n); err != nil {
			t.Fatal(err)
		}
	}
}

// repeat tests histories in which roots occur more than once.
func (w *localTest) repeat(t *testing.T) {
	ctx, l := t.Context(), w.open(t)
	accept := func(*module.Module) error { return nil }
	line := func(number, n int) module.Generation {
		g := w.lines(n + 1)[n]
		g.Number = uint64(number)
		return g
	}
	// The lines are 0 1 0. Only the last is held at first, then the others.
	history := []module.Generation{line(0, 0), line(1, 1), line(2, 0)}
	if err := w.put(t, l, history, 0); err != nil {
		t.Fatal(err)
	}
	w.wantHistory(t, l, history...)
	if err := w.put(t, l, history[1:2], 1); err != nil {
		t.Fatal(err)
	}
	w.wantHistory(t, l, history...)
	// New lines name a held generation: nothing is read, and an error of check counts.
	mine, unread := errors.New("mine"), iotest.ErrReader(errors.New("it is read"))
	history = append(history, line(3, 1))
	if err := l.Install(ctx, history[3:], w.Heads[1], unread, func(*module.Module) error {
		return mine
	}); !errors.Is(err, mine) {
		t.Errorf("got %v, want the error of check", err)
	}
	w.wantHistory(t, l, history[:3]...)
	checked := false
	err := l.Install(ctx, history[3:], w.Heads[1], unread, func(m *module.Module) error {
		checked = m.ID() == module.ID{Store: w.Store, Root: w.Heads[1].Root}
		return m.Verify(ctx)
	})
	if err != nil || !checked {
		t.Fatalf("checked %v, %v", checked, err)
	}
	w.wantHistory(t, l, history...)
	// Numbers still follow by 1, and a held generation is not installed for an old line.
	for _, g := range []module.Generation{line(5, 0), line(2, 0)} {
		if err := l.Install(ctx, []module.Generation{g}, w.Heads[0], bytes.NewReader(w.Modules[0]),
			accept); err == nil && g.Number == 5 {
			t.Errorf("line %+v is taken after 4 lines", g)
		}
	}
	w.wantHistory(t, l, history...)
	history = append(history, line(4, 2))
	if err := w.put(t, l, history[4:], 2); err != nil {
		t.Fatal(err)
	}
	w.wantHistory(t, l, history...)
}

// wantHistory checks that l has these lines, with the last as head, and which modules it holds.
func (w *localTest) wantHistory(t *testing.T, l remote.Local, lines ...module.Generation) {
	t.Helper()
	ctx := t.Context()
	got, err := l.Generations(ctx)
	if err != nil || len(got) != len(lines) {
		t.Fatalf("history %v, %v: want %v", got, err, lines)
	}
	for i, g := range got {
		if g.Number != lines[i].Number || g.Root != lines[i].Root {
			t.Errorf("line %d is %+v, want %+v", i, g, lines[i])
		}
	}
	last := lines[len(lines)-1]
	if head, err := l.Head(ctx); err != nil || head.Root != last.Root {
		t.Errorf("head %s, %v: want %s", head.Root, err, last.Root)
	}
	if s, ok := l.(remote.History); ok {
		if g, err := s.Line(ctx, last.Root); err != nil || g.Number != last.Number {
			t.Errorf("line of the head %+v, %v: want number %d", g, err, last.Number)
		}
	}
	for n, mod := range w.Modules {
		m, err := l.Module(ctx, w.Heads[n].Root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, m, mod)
		m.Close()
	}
}

func (w *localTest) resume(t *testing.T) {
	ctx, l := t.Context(), w.open(t)
	r := l.(remote.Resumer)
	mod, head, broken := w.Modules[0], w.Heads[0], errors.New("the line is down")
	held := func() int64 {
		t.Helper()
		n, err := r.Held(ctx, head.Root)
		if err != nil || n < 0 || n > int64(len(mod)) {
			t.Fatalf("%d bytes held, %v", n, err)
		}
		return n
	}
	if n := held(); n != 0 {
		t.Errorf("%d bytes held before anything came", n)
	}
	broken3 := func() {
		t.Helper()
		for _, part := range []int{3, 2, 1} {
			from := held()
			to := max(from, int64(len(mod)-len(mod)*part/4))
			in := io.MultiReader(bytes.NewReader(mod[from:to]), iotest.ErrReader(broken))
			err := l.Install(ctx, w.lines(1), head, in, func(*module.Module) error { return nil })
			if !errors.Is(err, broken) {
				t.Fatalf("got %v, want the reader's error", err)
			}
			w.has(t, l, 0)
			if n := held(); n < from {
				t.Errorf("%d bytes held, %d were before", n, from)
			}
		}
	}
	broken3()
	if err := r.Discard(ctx, head.Root); err != nil {
		t.Fatal(err)
	}
	if n := held(); n != 0 {
		t.Errorf("%d bytes held after Discard", n)
	}
	if err := r.Discard(ctx, head.Root); err != nil {
		t.Errorf("discard nothing: %v", err)
	}
	broken3()
	err := l.Install(ctx, w.lines(1), head, bytes.NewReader(mod[held():]),
		func(m *module.Module) error { return m.Verify(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	w.has(t, l, 1, 0)
	if n := held(); n != 0 {
		t.Errorf("%d bytes held of what is installed", n)
	}
}

func (w *localTest) pin(t *testing.T) {
	ctx := t.Context()
	p := w.open(t).(remote.TrustStore)
	if got, err := p.Pins(ctx); err != nil || got.Root != (merkle.Hash{}) {
		t.Errorf("pins of an empty store: %+v, %v", got, err)
	}
	for n := range w.Heads {
		want := module.Pins{Publisher: w.Publisher.PublicKey(), Root: w.Heads[n].Root,
			Generation: uint64(n)}
		if err := p.Pin(ctx, want); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Pins(ctx); err != nil || got != want {
			t.Errorf("pins %+v, %v: want %+v", got, err, want)
		}
	}
}

func (w *localTest) revoke(t *testing.T) {
	l := w.open(t)
	if err := w.put(t, l, w.lines(1), 0); err != nil {
		// so that the key that tombstones are checked under is known
		t.Fatal(err)
	}
	keepsTombstones(t, l.(remote.TrustStore), w.World)
	w.has(t, l, 1, 0)
}

func (w *localTest) signatures(t *testing.T) {
	ctx, l := t.Context(), w.open(t)
	s := l.(remote.History)
	if err := w.put(t, l, w.lines(2), 1); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SignedRoot(ctx, w.Heads[1].Root); err != nil || got != w.Heads[1] {
		t.Errorf("signatures of the head: %+v, %v", got, err)
	}
	if got, err := s.SignedRoot(ctx, w.Heads[0].Root); err != nil || !got.Tagged.IsZero() ||
		!got.Untagged.IsZero() {
		t.Errorf("signatures of a line that is not held: %+v, %v", got, err)
	}
	if _, err := s.SignedRoot(ctx, w.Heads[2].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("signatures of what is not in the history: %v", err)
	}
	if err := s.KeepSigned(ctx, w.Heads[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SignedRoot(ctx, w.Heads[0].Root); err != nil || got.Tagged != w.Heads[0].Tagged ||
		got.Untagged != w.Heads[0].Untagged {
		t.Errorf("signatures that were kept: %+v, %v", got, err)
	}
}

func (w *localTest) single(t *testing.T) {
	ctx, l := t.Context(), w.open(t)
	s := l.(remote.History)
	tail := func(n, from, to int) {
		t.Helper()
		got, err := s.Tail(ctx, n)
		if err != nil || len(got) != to-from {
			t.Fatalf("the last %d lines: %v, %v: want %d to %d", n, got, err, from, to)
		}
		for i, g := range got {
			if want := w.lines(to)[from+i]; g.Number != want.Number || g.Root != want.Root ||
				!g.Time.Equal(want.Time) {
				t.Errorf("line %d is %+v, want %+v", from+i, g, want)
			}
		}
	}
	tail(3, 0, 0)
	if err := w.put(t, l, w.lines(2), 1); err != nil {
		t.Fatal(err)
	}
	tail(0, 2, 2)
	tail(1, 1, 2)
	tail(2, 0, 2)
	tail(9, 0, 2)
	for n, want := range w.lines(2) {
		if g, err := s.Line(ctx, want.Root); err != nil || g.Number != uint64(n) || g.Root != want.Root ||
			!g.Time.Equal(want.Time) {
			t.Errorf("line %d is %+v, %v: want %+v", n, g, err, want)
		}
	}
	_, err := s.Line(ctx, w.Heads[2].Root)
	absence(t, "Line", err)
}

func (w *localTest) witness(t *testing.T) {
	ctx, l := t.Context(), w.open(t)
	s := l.(remote.TrustStore)
	doc := func(n int) []byte { return fmt.Appendf(nil, "{\"n\":%d}\n", n) }
	kept := func(from, to int) {
		t.Helper()
		got, err := s.Evidence(ctx)
		if err != nil || len(got) != to-from {
			t.Fatalf("%d documents, %v: want %d", len(got), err, to-from)
		}
		for i, d := range got {
			if !bytes.Equal(d, doc(from+i)) {
				t.Errorf("document %d is %s, want %s", i, d, doc(from+i))
			}
		}
	}
	kept(0, 0)
	names := map[string]bool{}
	for n := range remote.MaxEvidence {
		name, err := s.PutEvidence(ctx, doc(n))
		if err != nil || name == "" || names[name] {
			t.Fatalf("document %d is kept as %q, %v", n, name, err)
		}
		names[name] = true
	}
	if name, err := s.PutEvidence(ctx, doc(1)); err != nil || !names[name] {
		t.Errorf("the same again is kept as %q, %v", name, err)
	}
	kept(0, remote.MaxEvidence)
	if _, err := s.PutEvidence(ctx, doc(remote.MaxEvidence)); err != nil {
		t.Fatal(err)
	}
	kept(1, remote.MaxEvidence+1)
	if _, err := s.PutEvidence(ctx, make([]byte, remote.MaxEvidenceSize+1)); err == nil {
		t.Error("a document that is too long is kept")
	}
	w.has(t, l, 0)
}
