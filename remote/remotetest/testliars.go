package remotetest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
)

// TestLiars clones and pulls what w holds from every liar into a local store: the check that the
// lie is made for has to refuse it, nothing may become visible, and what was there before has to
// read as before. open returns an empty store with that id, for each visit; it is called in a
// testing/synctest bubble, where the clock stands still while anything moves. With a large World it
// only pulls, and only from those that change modules, parts of them, recipes or chunks.
func TestLiars(t *testing.T, w *World, open func(t *testing.T, id auth.StoreID) remote.Local) {
	for _, group := range []struct {
		liars []Liar
		trust remote.Trust
		taken func(t *testing.T, w *World, l remote.Local, holds bool) // looks at what was not refused
	}{
		{Liars(), remote.Trust{Publisher: w.Publisher.PublicKey()}, nil},
		{UnsignedLiars(), remote.Trust{Root: w.Heads[head].Root}, holdsNoKey},
	} {
		for _, liar := range group.liars {
			if w.large && !liar.ofContent() {
				continue
			}
			t.Run(liar.Name+"/clone", func(t *testing.T) {
				if w.large {
					t.Skip("a large World is pulled only")
				}
				synctest.Test(t, func(t *testing.T) {
					local := open(t, w.Store)
					if !liar.prepared(t, w, local) {
						return
					}
					_, err := remote.Clone(t.Context(), local, liar.client(t, w), group.trust)
					if refused(t, err, liar.Clone) {
						w.has(t, local, 0)
					} else if group.taken != nil {
						group.taken(t, w, local, false)
					}
				})
			})
			t.Run(liar.Name+"/pull", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					local := open(t, w.Store)
					for n := range 2 {
						if err := w.put(t, local, w.lines(n + 1)[n:], n); err != nil {
							t.Fatal(err)
						}
					}
					if !liar.prepared(t, w, local) {
						return
					}
					_, err := remote.Pull(t.Context(), local, liar.client(t, w), group.trust)
					want := liar.Pull
					if _, ok := local.(remote.Assembler); !ok && liar.Whole != nil {
						want = *liar.Whole
					}
					if refused(t, err, want) {
						w.has(t, local, 2, 0, 1)
					} else if group.taken != nil {
						group.taken(t, w, local, true)
					}
				})
			})
		}
	}
}

// ofContent reports whether the lie is about the bytes of a module.
func (l Liar) ofContent() bool {
	return slices.ContainsFunc(slices.Concat(moduleLiars(), rangeLiars(), recipeLiars()),
		func(o Liar) bool { return o.Name == l.Name })
}

// holdsNoKey looks at a store that has taken a head without a signature: the root is the right one,
// no key is held that was not before, and no tombstone is kept.
func holdsNoKey(t *testing.T, w *World, l remote.Local, holds bool) {
	t.Helper()
	got, err := l.Head(t.Context())
	if err != nil || got.Root != w.Heads[head].Root {
		t.Errorf("head %s, %v: want %s", got.Root, err, w.Heads[head].Root)
	}
	if p, ok := l.(remote.TrustStore); ok {
		pins, err := p.Pins(t.Context())
		if err != nil || pins.Root != got.Root || pins.Publisher.IsZero() == holds {
			t.Errorf("pins %+v, %v: a key was held before: %v", pins, err, holds)
		}
		if stones, err := p.Tombstones(t.Context(), w.Store); err != nil || len(stones) != 0 {
			t.Errorf("%d tombstones are kept, %v", len(stones), err)
		}
	}
	// Another visit, without the root, has no key to go by.
	if !holds {
		origin, err := w.Honest(t.Context(), Generations)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Pull(t.Context(), l, w.talk(t, origin),
			remote.Trust{}); !errors.Is(err, remote.ErrUntrusted) {
			t.Errorf("a pull without a reason to believe: %v", err)
		}
	}
}

// prepared brings the local store to where the lie matters.
func (l Liar) prepared(t *testing.T, w *World, local remote.Local) bool {
	t.Helper()
	ok, err := l.Prepare(t.Context(), w, local)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// client is one that talks to the liar until the test ends.
func (l Liar) client(t *testing.T, w *World) *remote.Client {
	t.Helper()
	h, err := l.Handler(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return w.talk(t, h)
}

// talk is a client for the store at an origin that answers with h, until the test ends.
func (w *World) talk(t *testing.T, h http.Handler) *remote.Client {
	t.Helper()
	origin := NewOrigin(h)
	t.Cleanup(func() { origin.Close() })
	c, err := origin.Client(w.Store,
		&remote.ClientOptions{MaxModule: int64(len(w.Modules[head])) + 1<<20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// refused holds an error to what it has to be, and reports whether there had to be one.
func refused(t *testing.T, err error, want Refusal) bool {
	t.Helper()
	if want.IsZero() {
		if err != nil {
			t.Fatalf("what cannot be known to be a lie is refused: %v", err)
		}
		return false
	}
	if err == nil {
		t.Fatal("it was believed")
	}
	var v *remote.VerificationError
	if found := errors.As(err, &v); found != (want.Check != "") || found && v.Check != want.Check {
		t.Errorf("refused by %v\nwant check %q", err, want.Check)
	}
	if want.Err != nil && !errors.Is(err, want.Err) {
		t.Errorf("refused by %v\nwant %v in it", err, want.Err)
	}
	if !strings.Contains(err.Error(), want.Says) {
		t.Errorf("refused by %v\nwant it to say %q", err, want.Says)
	}
	return true
}
