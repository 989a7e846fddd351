package remotetest

import (
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
)

// TestPersistence tests that an implementation of [remote.Local] keeps its content when it is
// reopened: history and modules, and pins, tombstones and evidence if it is a TrustStore. It uses
// the generations of w. open creates an empty store with that ID; each call of the returned
// function closes the store and reopens it.
func TestPersistence(t *testing.T, w *World,
	open func(t *testing.T, id auth.StoreID) (reopen func() remote.Local)) {
	trust := remote.Trust{Publisher: w.Publisher.PublicKey()}

	t.Run("rollback", func(t *testing.T) {
		reopen := open(t, w.Store)
		pull(t, w, reopen(), 2, trust)
		w.has(t, reopen(), 2, 0, 1)
		// A rollback is refused after reopening as well, and the evidence is there after reopening
		// again.
		stale, err := w.Honest(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = remote.Pull(t.Context(), reopen(), w.clientOf(t, stale), remote.Trust{})
			if !errors.Is(err, remote.ErrRollback) {
				t.Fatalf("got %v, want remote.ErrRollback", err)
			}
		}
		l := reopen()
		if s, ok := l.(remote.TrustStore); ok {
			docs, err := s.Evidence(t.Context())
			if err != nil || len(docs) != 1 {
				t.Fatalf("%d documents, %v: want one, since both say the same", len(docs), err)
			}
			e, err := remote.ParseEvidence(docs[0])
			if err != nil || e.Kind != remote.CheckRollback || e.Held.Root != w.Heads[1].Root ||
				e.Offered.Root != w.Heads[0].Root || e.Check() != nil {
				t.Errorf("%+v, %v, %v", e, err, e.Check())
			}
		}
		w.has(t, l, 2, 0, 1)
	})
	t.Run("revoked", func(t *testing.T) {
		reopen := open(t, w.Store)
		l := reopen()
		if _, ok := l.(remote.TrustStore); !ok {
			return // it stores no tombstones
		}
		pull(t, w, l, 2, trust)
		revoking, err := revoking(true)(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		_, err = remote.Pull(t.Context(), reopen(), w.clientOf(t, revoking), trust)
		if !errors.Is(err, auth.ErrRevoked) {
			t.Fatalf("got %v, want auth.ErrRevoked", err)
		}
		// After reopening, a pull from an origin that withholds the tombstone fails without a request.
		hiding, err := w.Honest(t.Context(), Generations)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = remote.Pull(t.Context(), reopen(), w.clientOf(t, hiding), remote.Trust{})
			if !errors.Is(err, auth.ErrRevoked) {
				t.Fatalf("got %v, want auth.ErrRevoked", err)
			}
		}
	})
}

// pull pulls the first n generations into a store.
func pull(t *testing.T, w *World, l remote.Local, n int, trust remote.Trust) {
	t.Helper()
	for i := range n {
		if err := w.put(t, l, w.lines(i + 1)[i:], i); err != nil {
			t.Fatal(err)
		}
	}
	h, err := w.Honest(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Pull(t.Context(), l, w.clientOf(t, h), trust); err != nil {
		t.Fatal(err)
	}
}
