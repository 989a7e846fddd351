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

// TestLiars clones and pulls the store of w from every liar into a local store. The liar's check
// must refuse it, nothing may become visible, and the previous content must be unchanged. open
// returns an empty store with that ID, for each sync; it is called in a testing/synctest bubble,
// where time advances only while all goroutines are blocked. With a large World TestLiars only
// pulls, and only from liars that change modules, parts, recipes or chunks.
func TestLiars(t *testing.T, w *World, open func(t *testing.T, id auth.StoreID) remote.Local) {
	for _, group := range []struct {
		liars []Liar
		trust remote.Trust
		taken func(t *testing.T, w *World, l remote.Local, holds bool) // called if nothing was refused
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

// ofContent reports whether the falsehood is in the bytes of a module.
func (l Liar) ofContent() bool {
	return slices.ContainsFunc(slices.Concat(moduleLiars(), rangeLiars(), recipeLiars()),
		func(o Liar) bool { return o.Name == l.Name })
}

// holdsNoKey checks a store that accepted a head without a signature: it has the right root, no
// new key is pinned, and no tombstone is stored.
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
	// A pull without Trust.Root then has no key to trust.
	if !holds {
		origin, err := w.Honest(t.Context(), Generations)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Pull(t.Context(), l, w.clientOf(t, origin),
			remote.Trust{}); !errors.Is(err, remote.ErrUntrusted) {
			t.Errorf("a pull without a reason to believe: %v", err)
		}
	}
}

// prepared sets up the state that the liar needs in the local store.
func (l Liar) prepared(t *testing.T, w *World, local remote.Local) bool {
	t.Helper()
	ok, err := l.Prepare(t.Context(), w, local)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// client returns a client of the liar. It is closed at the end of the test.
func (l Liar) client(t *testing.T, w *World) *remote.Client {
	t.Helper()
	h, err := l.Handler(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return w.clientOf(t, h)
}

// clientOf returns a client for the store at an origin that serves h. It is closed at the end of
// the test.
func (w *World) clientOf(t *testing.T, h http.Handler) *remote.Client {
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

// refused checks an error against a Refusal, and reports whether an error was required.
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
