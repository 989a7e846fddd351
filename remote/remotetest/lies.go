package remotetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// head is the generation that liars falsify.
const head = Generations - 1

type origin = func(context.Context, *World) (http.Handler, error)

// Liars with a false head: a real server of a store with content that the checks would refuse.

// replaced serves the store with mod as its head, signed as in signed.
func replaced(ctx context.Context, w *World, mod []byte,
	signed auth.SignedRoot) (http.Handler, error) {
	m, err := w.Memory(ctx, head)
	if err != nil {
		return nil, err
	}
	if err := m.Add(ctx, signed, bytes.NewReader(mod)); err != nil {
		return nil, err
	}
	return w.serve(NewStores(w.now, m)), nil
}

// doctored serves the head's module with changed bytes. It still decodes, with the same root.
func doctored(change func(w *World, mod []byte) error) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		mod := bytes.Clone(w.Modules[head])
		if err := change(w, mod); err != nil {
			return nil, err
		}
		return replaced(ctx, w, mod, w.Heads[head])
	}
}

func otherID(w *World, mod []byte) error {
	at, err := section(mod, module.SectionStoreID)
	if err == nil {
		mod[at.from] ^= 1
	}
	return err
}

// otherCoin embeds the coin of another store in the module.
func otherCoin(ctx context.Context, w *World) (http.Handler, error) {
	mod, signed, err := Module(ctx, w.Store, w.Publisher, w.content(head),
		&module.Options{ChainState: &module.ChainState{LauncherID: merkle.Hash{9}}})
	if err != nil {
		return nil, err
	}
	return replaced(ctx, w, mod, signed)
}

func flipChunk(w *World, mod []byte) error {
	at, err := section(mod, module.SectionChunkPool)
	if err == nil {
		mod[at.to-100] ^= 1
	}
	return err
}

func flipLeaf(w *World, mod []byte) error {
	at, err := section(mod, module.SectionMerkleNodes)
	if err == nil {
		mod[at.to-1] ^= 1
	}
	return err
}

type extent struct{ from, to int }

// section returns the bytes of a section within those of a module.
func section(mod []byte, id module.Section) (extent, error) {
	m, err := module.Open(bytes.NewReader(mod), int64(len(mod)))
	if err != nil {
		return extent{}, err
	}
	body, err := m.Section(id)
	if err != nil {
		return extent{}, err
	}
	_, from, n := body.Outer()
	return extent{int(from), int(from + n)}, nil
}

// repackaged serves a module with the attacker's key, and the attacker's signature of the head.
func repackaged(ctx context.Context, w *World) (http.Handler, error) {
	mod, err := w.rekeyed()
	if err != nil {
		return nil, err
	}
	signed, err := auth.SignRoot(ctx, w.Store, w.Heads[head].Root, w.attacker)
	if err != nil {
		return nil, err
	}
	return replaced(ctx, w, mod, signed)
}

// repackagedUnderTrueHead serves the attacker's key in the module only.
func repackagedUnderTrueHead(ctx context.Context, w *World) (http.Handler, error) {
	mod, err := w.rekeyed()
	if err != nil {
		return nil, err
	}
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.module = func(merkle.Hash) []byte { return mod }
	return w.serve(wholeModules{b, b}), nil
}

// rekeyed returns the head's module with the attacker's key in place of the publisher's.
func (w *World) rekeyed() ([]byte, error) {
	mod := bytes.Clone(w.Modules[head])
	at, err := section(mod, module.SectionPublicKey)
	if err != nil {
		return nil, err
	}
	key := w.attacker.PublicKey()
	copy(mod[at.from:at.to], key[:])
	return mod, nil
}

// signedAs serves the head with the signature of an older generation, or without one.
func signedAs(generation int) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		signed := w.Heads[head]
		signed.Tagged, signed.Untagged = auth.Signature{}, auth.Signature{}
		if generation >= 0 {
			signed.Tagged, signed.Untagged = w.Heads[generation].Tagged, w.Heads[generation].Untagged
		}
		return replaced(ctx, w, w.Modules[head], signed)
	}
}

// unsigned serves the attacker's key in the module of the head, without a signature, and
// optionally that key's tombstones of head and store.
func unsigned(revoked bool) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		mod, err := w.rekeyed()
		if err != nil {
			return nil, err
		}
		m, err := w.Memory(ctx, head)
		if err != nil {
			return nil, err
		}
		bare := auth.SignedRoot{Store: w.Store, Root: w.Heads[head].Root,
			PublicKey: w.attacker.PublicKey()}
		if err := m.Add(ctx, bare, bytes.NewReader(mod)); err != nil {
			return nil, err
		}
		if revoked {
			if err := w.revoke(ctx, m, w.attacker, bare.Root, merkle.Hash{}); err != nil {
				return nil, err
			}
		}
		return w.serve(NewStores(w.now, m)), nil
	}
}

// unsignedDescriptor serves the attacker's key in the descriptor only, without a signature.
func unsignedDescriptor(ctx context.Context, w *World) (http.Handler, error) {
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.head = func(r auth.SignedRoot) auth.SignedRoot {
		r.PublicKey, r.Tagged, r.Untagged = w.attacker.PublicKey(), auth.Signature{}, auth.Signature{}
		return r
	}
	return w.serve(b), nil
}

// unsignedRevoked serves the publisher's module and tombstone, without a signature.
func unsignedRevoked(ctx context.Context, w *World) (http.Handler, error) {
	m, err := w.Memory(ctx, head)
	if err != nil {
		return nil, err
	}
	bare := w.Heads[head]
	bare.Tagged, bare.Untagged = auth.Signature{}, auth.Signature{}
	if err := m.Add(ctx, bare, bytes.NewReader(w.Modules[head])); err != nil {
		return nil, err
	}
	return w.serve(NewStores(w.now, m)), w.revoke(ctx, m, w.Publisher, bare.Root)
}

// revoke stores tombstones of roots signed by by. The zero root means the whole store.
func (w *World) revoke(ctx context.Context, m *Memory, by *auth.Key, roots ...merkle.Hash) error {
	for _, root := range roots {
		t, err := auth.SignTombstone(ctx,
			auth.Tombstone{Store: w.Store, Root: root, Reason: auth.Takedown}, by)
		if err != nil {
			return err
		}
		if err := m.Revoke(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// signedByAttacker serves the publisher's module with the attacker's key and signature of the
// head.
func signedByAttacker(ctx context.Context, w *World) (http.Handler, error) {
	signed, err := auth.SignRoot(ctx, w.Store, w.Heads[head].Root, w.attacker)
	if err != nil {
		return nil, err
	}
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.head = func(auth.SignedRoot) auth.SignedRoot { return signed }
	return w.serve(b), nil
}

// infinite serves the point at infinity as key. If it were valid, every signature would verify
// under it.
func infinite(ctx context.Context, w *World) (http.Handler, error) {
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.head = func(r auth.SignedRoot) auth.SignedRoot {
		r.PublicKey, r.Tagged, r.Untagged = auth.PublicKey{0xc0}, auth.Signature{0xc0}, auth.Signature{}
		return r
	}
	return w.serve(b), nil
}

func firstGenerations(n int) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) { return w.Honest(ctx, n) }
}

// forked serves two other generations after the first, with valid signatures.
func forked(ctx context.Context, w *World) (http.Handler, error) {
	m, err := w.Memory(ctx, 1)
	if err != nil {
		return nil, err
	}
	for n := range 2 {
		_, err := m.Publish(ctx, w.Publisher, fstest.MapFS{"fork": {Data: []byte{byte(n)}}})
		if err != nil {
			return nil, err
		}
	}
	return w.serve(NewStores(w.now, m)), nil
}

// revoking serves the revoked head, or store, together with the tombstone.
func revoking(whole bool) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		m, err := w.Memory(ctx, Generations)
		if err != nil {
			return nil, err
		}
		t := auth.Tombstone{Store: w.Store, NotAfter: 1_700_000_000, Reason: auth.Compromise}
		if !whole {
			t.Root = w.Heads[head].Root
		}
		if t, err = auth.SignTombstone(ctx, t, w.Publisher); err != nil {
			return nil, err
		}
		return w.serve(NewStores(w.now, m)), m.Revoke(ctx, t)
	}
}

// revokedByAttacker serves tombstones of head and store that are signed by another key.
func revokedByAttacker(ctx context.Context, w *World) (http.Handler, error) {
	m, err := w.Memory(ctx, Generations)
	if err != nil {
		return nil, err
	}
	return w.serve(NewStores(w.now, m)), w.revoke(ctx, m, w.attacker,
		w.Heads[head].Root, merkle.Hash{})
}

// Liars with false answers of the backend.

// A liarBackend answers like Stores, except for the functions that are set.
type liarBackend struct {
	*Stores
	head    func(auth.SignedRoot) auth.SignedRoot
	history func([]module.Generation) []module.Generation
	module  func(merkle.Hash) []byte
}

// liar returns a liarBackend of all generations, with no function set.
func (w *World) liar(ctx context.Context) (*liarBackend, error) {
	m, err := w.Memory(ctx, Generations)
	return &liarBackend{Stores: NewStores(w.now, m)}, err
}

func (b *liarBackend) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	r, err := b.Stores.Head(ctx, s)
	if err == nil && b.head != nil {
		r = b.head(r)
	}
	return r, err
}

func (b *liarBackend) Generations(ctx context.Context,
	s auth.StoreID) ([]module.Generation, error) {
	g, err := b.Stores.Generations(ctx, s)
	if err == nil && b.history != nil {
		g = b.history(g)
	}
	return g, err
}

func (b *liarBackend) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	if b.module == nil {
		return b.Stores.Module(ctx, s, root)
	}
	return nopCloser{bytes.NewReader(b.module(root))}, nil
}

// wholeModules is a backend without recipes, so that clients request its modules.
type wholeModules struct {
	server.Backend
	server.Revoker
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// swapped serves the same other bytes as the module of every root.
func swapped(other func(ctx context.Context, w *World) ([]byte, error)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		mod, err := other(ctx, w)
		if err != nil {
			return nil, err
		}
		b, err := w.liar(ctx)
		if err != nil {
			return nil, err
		}
		b.module = func(merkle.Hash) []byte { return mod }
		return w.serve(wholeModules{b, b}), nil
	}
}

func foreign(ctx context.Context, w *World) ([]byte, error) {
	mod, _, err := Module(ctx, auth.StoreIDFromKey(w.attacker.PublicKey()), w.attacker,
		w.content(head), nil)
	return mod, err
}

func older(_ context.Context, w *World) ([]byte, error) { return w.Modules[0], nil }

func half(_ context.Context, w *World) ([]byte, error) {
	return w.Modules[head][:len(w.Modules[head])/2], nil
}

func noise(context.Context, *World) ([]byte, error) {
	return bytes.Repeat([]byte("this is no module "), 1000), nil
}

func rolledBack(ctx context.Context, w *World) (http.Handler, error) {
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.head = func(auth.SignedRoot) auth.SignedRoot { return w.Heads[0] }
	return w.serve(b), nil
}

func history(change func([]module.Generation) []module.Generation) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		b, err := w.liar(ctx)
		if err != nil {
			return nil, err
		}
		b.history = change
		return w.serve(b), nil
	}
}

// reverted serves the first generation once more at the end of the history.
func reverted(ctx context.Context, w *World) (http.Handler, error) {
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.head = func(auth.SignedRoot) auth.SignedRoot { return w.Heads[0] }
	b.history = func(g []module.Generation) []module.Generation {
		again := g[0]
		again.Number = uint64(len(g))
		return append(g, again)
	}
	return w.serve(b), nil
}

func withZero(g []module.Generation) []module.Generation {
	g[0].Root = merkle.Hash{}
	return g
}

func withoutSecond(g []module.Generation) []module.Generation {
	return append(g[:1:1], g[2:]...)
}

func withTwice(g []module.Generation) []module.Generation {
	again := append(g[:2:2], g[0])
	again[2].Number = 2
	last := g[len(g)-1]
	last.Number = 3
	return append(again, last)
}

func fromOne(g []module.Generation) []module.Generation {
	for i := range g {
		g[i].Number++
	}
	return g
}

func exchanged(g []module.Generation) []module.Generation {
	g[0], g[1] = g[1], g[0]
	return g
}
