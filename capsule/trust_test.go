package capsule_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

func TestRootTrust(t *testing.T) {
	m := manifestOf(1, pattern(1, 100), pattern(2, 200))
	other := merkle.Hash{9}
	owner, stranger := auth.NewKey([32]byte{1}), auth.NewKey([32]byte{2})
	down := errors.New("down")

	pinned := capsule.PinnedRoots{m.Store: {m.Root: 2}}
	signed := func(s capsule.RootStatement, serr, werr error) capsule.RootTrust {
		return &capsule.SignedRoots{
			Statement: func(context.Context, auth.StoreID, merkle.Hash) (capsule.RootStatement,
				error) {
				return s, serr
			},
			CanWrite: func(_ context.Context, _ auth.StoreID, key auth.PublicKey) error {
				if werr == nil && key != owner.PublicKey() {
					return auth.ErrForbidden
				}
				return werr
			},
		}
	}
	right := must(capsule.SignRoot(t.Context(), m, 3, owner))
	changed := func(change func(*capsule.RootStatement)) capsule.RootStatement {
		s := right
		change(&s)
		return s
	}
	for _, c := range []struct {
		name  string
		trust capsule.RootTrust
		root  merkle.Hash
		want  error
	}{
		{"pinned", pinned, m.Root, nil},
		{"pinned, another root", pinned, other, capsule.ErrUntrusted},
		{"nothing pinned", capsule.PinnedRoots(nil), m.Root, capsule.ErrUntrusted},
		{"signed", signed(right, nil, nil), m.Root, nil},
		{"signed, another root", signed(right, nil, nil), other, capsule.ErrUntrusted},
		{"another store", signed(changed(func(s *capsule.RootStatement) { s.Store[0]++ }), nil,
			nil), m.Root, capsule.ErrUntrusted},
		{"another count", signed(changed(func(s *capsule.RootStatement) { s.Capsules++ }), nil,
			nil), m.Root, capsule.ErrUntrusted},
		{"another generation", signed(changed(func(s *capsule.RootStatement) { s.Generation++ }),
			nil, nil), m.Root, capsule.ErrUntrusted},
		{"another key",
			signed(changed(func(s *capsule.RootStatement) { s.Writer = stranger.PublicKey() }), nil,
				nil), m.Root, capsule.ErrUntrusted},
		{"no signature",
			signed(changed(func(s *capsule.RootStatement) { s.Signature = auth.Signature{} }), nil,
				nil), m.Root, capsule.ErrUntrusted},
		{"signed by a stranger", signed(must(capsule.SignRoot(t.Context(), m, 3, stranger)), nil,
			nil), m.Root, capsule.ErrUntrusted},
		{"no statement", signed(right, fs.ErrNotExist, nil), m.Root, capsule.ErrUntrusted},
		{"statements are down", signed(right, down, nil), m.Root, down},
		{"writers are down", signed(right, nil, down), m.Root, down},
	} {
		n, err := c.trust.Trusted(t.Context(), m.Store, c.root)
		if c.want == nil && (err != nil || n != 2) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
		if c.want != nil {
			wantError(t, c.name, err, c.want)
			if errors.Is(err, down) && errors.Is(err, capsule.ErrUntrusted) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if err := m.SetStatement(changed(func(s *capsule.RootStatement) { s.Capsules++ })); err == nil {
		t.Error("a statement about another manifest is set")
	}
}

func TestModuleRoots(t *testing.T) {
	contents := map[merkle.Hash][]byte{{1}: pattern(1, 100), {2}: pattern(2, 200),
		{3}: pattern(3, 300)}
	var opened []byte
	down := errors.New("down")
	var failing error
	trust := func(most int) *capsule.ModuleRoots {
		opened = nil
		return &capsule.ModuleRoots{
			MaxGenerations: most,
			Generations: func(_ context.Context, s auth.StoreID) ([]merkle.Hash, error) {
				if s != (auth.StoreID{1}) {
					return nil, fs.ErrNotExist
				}
				return []merkle.Hash{{3}, {4}, {2}, {1}}, nil // 4 cannot be had
			},
			Module: func(_ context.Context, _ auth.StoreID, g merkle.Hash) (io.ReadCloser, error) {
				opened = append(opened, g[0])
				if failing != nil {
					return nil, failing
				}
				b, ok := contents[g]
				if !ok {
					return nil, fs.ErrNotExist
				}
				return io.NopCloser(bytes.NewReader(b)), nil
			},
		}
	}
	root := func(g byte) merkle.Hash { return manifestOf(1, contents[merkle.Hash{g}]).Root }
	r := trust(0)
	for _, g := range []byte{3, 3, 2, 1, 1} {
		if n, err := r.Trusted(t.Context(), auth.StoreID{1}, root(g)); err != nil || n != 1 {
			t.Errorf("generation %d: %d, %v", g, n, err)
		}
	}
	// 4 is tried again each time that it is in the way
	if !bytes.Equal(opened, []byte{3, 4, 2, 4, 1, 4}) {
		t.Errorf("opened %v", opened)
	}
	_, err := r.Trusted(t.Context(), auth.StoreID{1}, merkle.Hash{9})
	wantError(t, "another root", err, capsule.ErrUntrusted)
	_, err = r.Trusted(t.Context(), auth.StoreID{2}, root(1))
	wantError(t, "another store", err, capsule.ErrUntrusted)

	r = trust(1)
	_, err = r.Trusted(t.Context(), auth.StoreID{1}, root(1))
	wantError(t, "too old", err, capsule.ErrUntrusted)
	if len(opened) != 1 {
		t.Errorf("opened %v, want one", opened)
	}
	r, failing = trust(0), down
	_, err = r.Trusted(t.Context(), auth.StoreID{1}, root(3))
	wantError(t, "down", err, down)
	failing = nil
	if _, err := r.Trusted(t.Context(), auth.StoreID{1}, root(3)); err != nil {
		t.Errorf("up again: %v", err)
	}
}
