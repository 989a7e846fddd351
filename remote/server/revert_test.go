package server_test

import (
	"context"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// reverting is a backend that records the calls of Revert.
type reverting struct {
	*memories
	roots []merkle.Hash
}

func (b *reverting) Revert(_ context.Context, head auth.SignedRoot, _ merkle.Hash) error {
	b.roots = append(b.roots, head.Root)
	return nil
}

// consent is an authority with a fixed answer.
type consent struct {
	settled bool
	err     error
}

func (consent) ByRoot() bool { return false }

func (c consent) Publish(context.Context, auth.SignedRoot, auth.PublicKey) (bool, error) {
	return c.settled, c.err
}

// tip is an authority whose ByRoot is true.
type tip struct{ consent }

func (tip) ByRoot() bool { return true }

// TestRevertIsSpokenFor: a root of the history becomes the head again only if MayRevert or the
// Authority allows it, not by its old signature alone.
func TestRevertIsSpokenFor(t *testing.T) {
	may := func(server.Requester, auth.StoreID) bool { return true }
	yes, no := consent{settled: true}, consent{err: auth.ErrForbidden}
	for _, c := range []struct {
		name      string
		authority server.Authority
		may       func(server.Requester, auth.StoreID) bool
		status    int
	}{
		{"nothing", nil, nil, 409},
		{"an authority of keys", yes, nil, 409},
		{"the newest root", tip{yes}, nil, 201},
		{"another newest root", tip{no}, nil, 409},
		{"one that is not settled", tip{consent{}}, nil, 503},
		{"a writer", nil, may, 201},
		{"a writer, against the authority", no, may, 403},
		{"a writer whom configuration does not name", nil, func(server.Requester, auth.StoreID) bool { return false }, 409},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, 3, nil)
			back := &reverting{memories: s.stores}
			s.serve(back, &server.Options{Authority: c.authority, MayRevert: c.may})
			want(t, s.put(s.heads[1], s.head().Root, s.modules[1]), c.status, "*")
			if n := len(back.roots); (n == 1) != (c.status == 201) ||
				n == 1 && back.roots[0] != s.heads[1].Root {
				t.Errorf("made the head again: %v", back.roots)
			}
			want(t, s.put(s.heads[1], s.heads[0].Root, s.modules[1]), 409, "non-fast-forward push")
			s.serve(struct {
				server.Backend
				server.Receiver
			}{s.stores, s.stores}, &server.Options{Authority: c.authority, MayRevert: c.may}) // no Promoter
			want(t, s.put(s.heads[1], s.head().Root, s.modules[1]), 409, "non-fast-forward push")
		})
	}
}
