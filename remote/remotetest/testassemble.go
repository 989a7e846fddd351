package remotetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// A decomposed is a generation of a World as recipe and chunks.
type decomposed struct {
	recipe *module.Recipe
	chunks map[merkle.Hash][]byte
}

// decompose returns generation n as recipe and chunks.
func (w *World) decompose(t *testing.T, n int) decomposed {
	t.Helper()
	d := decomposed{chunks: map[merkle.Hash][]byte{}}
	var err error
	d.recipe, err = module.Decompose(t.Context(), bytes.NewReader(w.Modules[n]),
		func(c module.Chunk, sealed []byte) error {
			d.chunks[c.ID] = bytes.Clone(sealed)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fetch returns a function that puts the chunks at the given indexes of the pool.
func (d decomposed) fetch(places []int) func(put func(int, []byte) error) error {
	return func(put func(int, []byte) error) error {
		for _, i := range places {
			if err := put(i, d.chunks[d.recipe.Pool()[i].ID]); err != nil {
				return err
			}
		}
		return nil
	}
}

// checkRecipe checks that a recipe has the encoding of the module's recipe.
func (d decomposed) checkRecipe(t *testing.T, r *module.Recipe, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got, err1 := r.MarshalBinary()
	want, err2 := d.recipe.MarshalBinary()
	if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
		t.Errorf("the recipe of %s is written in %d bytes, want those %d of its module; %v, %v",
			d.recipe.ID(), len(got), len(want), err1, err2)
	}
}

// assemble tests a Local as [remote.Assembler].
func (w *localTest) assemble(t *testing.T) {
	ctx := t.Context()
	l := w.open(t)
	a := l.(remote.Assembler)
	if _, err := a.Recipe(ctx, w.Heads[0].Root); err == nil {
		t.Error("an empty store has a recipe")
	} else {
		absence(t, "Recipe", err)
	}
	if err := w.put(t, l, w.lines(1), 0); err != nil {
		t.Fatal(err)
	}
	first, next := w.decompose(t, 0), w.decompose(t, 1)
	r, err := a.Recipe(ctx, w.Heads[0].Root)
	first.checkRecipe(t, r, err)
	if lacking, err := a.MissingChunks(ctx, first.recipe); err != nil || len(lacking) != 0 {
		t.Errorf("of what is held %v is lacking, %v", lacking, err)
	}
	lacking, err := a.MissingChunks(ctx, next.recipe)
	if err != nil || len(lacking) == 0 || !slices.IsSorted(lacking) {
		t.Fatalf("of the next generation %v is lacking, %v", lacking, err)
	}

	base := w.Heads[0].Root
	verify := func(m *module.Module) error { return m.Verify(ctx) }
	broken, refused := errors.New("broken"), errors.New("refused")
	all := next.fetch(lacking)
	for _, tc := range []struct {
		name  string
		base  merkle.Hash
		fetch func(put func(int, []byte) error) error
		check func(*module.Module) error
		want  error
	}{
		{"fetch breaks", base, func(func(int, []byte) error) error { return broken }, verify, broken},
		{"a chunk of other bytes", base, func(put func(int, []byte) error) error {
			sealed := bytes.Clone(next.chunks[next.recipe.Pool()[lacking[0]].ID])
			sealed[0] ^= 1
			return put(lacking[0], sealed)
		}, verify, module.ErrVerify},
		{"a chunk of another length", base, func(put func(int, []byte) error) error { return put(lacking[0], []byte("short")) }, verify, module.ErrVerify},
		{"no such chunk", base, func(put func(int, []byte) error) error { return put(len(next.recipe.Pool()), nil) }, verify, module.ErrVerify},
		{"check refuses", base, all, func(*module.Module) error { return refused }, refused},
	} {
		err := a.Assemble(ctx, w.lines(2)[1:], w.Heads[1],
			module.Assembly{Recipe: next.recipe, Base: tc.base, Fetch: tc.fetch}, tc.check)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		w.has(t, l, 1, 0)
	}
	err = a.Assemble(ctx, w.lines(2)[1:], w.Heads[1],
		module.Assembly{Recipe: next.recipe, Base: w.Heads[2].Root, Fetch: all}, verify)
	absence(t, "Assemble on a base that is not held", err)
	if lacking, err = a.MissingChunks(ctx, next.recipe); err != nil {
		t.Fatal(err)
	}
	if len(lacking) > 0 { // chunks of the failed attempts may be held now
		err = a.Assemble(ctx, w.lines(2)[1:], w.Heads[1],
			module.Assembly{Recipe: next.recipe, Base: base,
				Fetch: func(func(int, []byte) error) error { return nil }}, verify)
		absence(t, "Assemble without the chunks", err)
	}
	w.has(t, l, 1, 0)

	if err := a.Assemble(ctx, w.lines(2)[1:], w.Heads[1],
		module.Assembly{Recipe: next.recipe, Base: base,
			Fetch: next.fetch(lacking)}, verify); err != nil {
		t.Fatal(err)
	}
	w.has(t, l, 2, 0, 1)
	r, err = a.Recipe(ctx, w.Heads[1].Root)
	next.checkRecipe(t, r, err)
}

// recipes tests a Backend as [server.RecipeBackend].
func (w *backendTest) recipes(t *testing.T) {
	ctx := t.Context()
	b := w.open(t)
	back := b.(server.RecipeBackend)
	if err := w.push(t, b, 0, false); err != nil {
		t.Fatal(err)
	}
	first, next := w.decompose(t, 0), w.decompose(t, 1)
	r, err := back.Recipe(ctx, w.Store, w.Heads[0].Root)
	first.checkRecipe(t, r, err)
	_, err = back.Recipe(ctx, w.Store, w.Heads[1].Root)
	absence(t, "Recipe of an unknown root", err)
	_, err = back.Recipe(ctx, auth.StoreID{9}, w.Heads[0].Root)
	absence(t, "Recipe of an unknown store", err)

	var missing []int
	for i, c := range next.recipe.Pool() {
		if !slices.Contains(first.recipe.Pool(), c) {
			missing = append(missing, i)
		}
	}
	receive := func(ctx context.Context, pending bool, base merkle.Hash, places []int) error {
		return back.ReceiveRecipe(ctx,
			module.Push{Head: w.Heads[1], Parent: w.Heads[0].Root, Pending: pending},
			module.Assembly{Recipe: next.recipe, Base: base, Fetch: next.fetch(places)},
			func(m *module.Module) error { return m.Verify(ctx) })
	}
	err = receive(ctx, false, w.Heads[0].Root, nil)
	absence(t, "ReceiveRecipe without the chunks", err)
	w.holds(t, b, 1)
	if err := receive(ctx, true, w.Heads[0].Root, missing); err != nil {
		t.Fatal(err)
	}
	w.holds(t, b, 1)
	r, err = back.Recipe(ctx, w.Store, w.Heads[1].Root) // pending
	next.checkRecipe(t, r, err)
	if err := receive(ctx, false, w.Heads[1].Root, nil); err != nil {
		t.Fatalf("promote: %v", err)
	}
	w.holds(t, b, 2)
	if p, ok := b.(server.Promoter); ok {
		if left, err := p.Pending(ctx, w.Store); err != nil || len(left) != 0 {
			t.Errorf("pending after the promotion: %v, %v", left, err)
		}
	}
}
