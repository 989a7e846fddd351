package digstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// takenApart returns a module as an untrusted origin sends it: a recipe, of which nothing is
// verified, and its chunks.
func takenApart(body []byte) (*module.Recipe, map[merkle.Hash][]byte) {
	chunks := map[merkle.Hash][]byte{}
	r := must(module.Decompose(ctx, bytes.NewReader(body), func(c module.Chunk, sealed []byte) error {
		chunks[c.ID] = bytes.Clone(sealed)
		return nil
	}))
	return must(module.ParseRecipe(must(r.MarshalBinary()))), chunks
}

// putting returns a Fetch that puts the chunks at the given indexes.
func putting(r *module.Recipe, chunks map[merkle.Hash][]byte,
	places []int) func(put func(int, []byte) error) error {
	return func(put func(int, []byte) error) error {
		for _, i := range places {
			if err := put(i, chunks[r.Pool()[i].ID]); err != nil {
				return err
			}
		}
		return nil
	}
}

// everything returns the indexes of all chunks.
func everything(r *module.Recipe) []int {
	all := make([]int, len(r.Pool()))
	for i := range all {
		all[i] = i
	}
	return all
}

func TestAssemble(t *testing.T) {
	from, gens, states := history(t, 4)
	_, to := inMemoryOf(t, from.ID())
	base := merkle.Hash{}
	for i, g := range gens {
		body := moduleOf(t, from, g.Root)
		r, chunks := takenApart(body)
		lacking := must(to.MissingChunks(ctx, r))
		if want := len(chunks); i > 0 && len(lacking) >= want {
			t.Errorf("generation %d lacks %d chunks of %d", i, len(lacking), want)
		}
		var read int64
		err := to.Assemble(ctx, []module.Generation{g}, must(from.SignedRoot(ctx, g.Root)),
			module.Assembly{Recipe: r, Base: base, Fetch: putting(r, chunks, lacking)},
			func(m *module.Module) error {
				return m.VerifyProgress(ctx, func(done, _ int64) { read = done })
			})
		check(t, err)
		if read == 0 {
			t.Error("nothing was verified")
		}
		if !bytes.Equal(moduleOf(t, to, g.Root), body) {
			t.Errorf("generation %d is not given back bit for bit", i)
		}
		got, err := to.Recipe(ctx, g.Root)
		check(t, err)
		if !bytes.Equal(must(got.MarshalBinary()), must(must(from.Recipe(ctx, g.Root)).MarshalBinary())) {
			t.Errorf("generation %d has another recipe here", i)
		}
		wantFiles(t, must(to.At(g.Root)), states[i])
		base = g.Root
	}
	verifyAll(t, to)
	if head := signed(t, to); head != signed(t, from) {
		t.Errorf("head %+v, want %+v", head, signed(t, from))
	}
}

// TestAssembleBroken: chunks received before a transfer was interrupted are not sent again, and the
// history does not change.
func TestAssembleBroken(t *testing.T) {
	from, gens, _ := history(t, 2)
	body := moduleOf(t, from, gens[1].Root)
	r, chunks := takenApart(body)
	_, to := inMemoryOf(t, from.ID())
	all, broken := must(to.MissingChunks(ctx, r)), errors.New("broken")
	if !slices.Equal(all, everything(r)) {
		t.Fatalf("an empty store lacks %v", all)
	}
	for round := 0; ; round++ {
		lacking := must(to.MissingChunks(ctx, r))
		if len(lacking) == 0 {
			break
		}
		err := to.Assemble(ctx, gens, signed(t, from),
			module.Assembly{Recipe: r, Fetch: func(put func(int, []byte) error) error {
				check(t, putting(r, chunks, lacking[:min(2, len(lacking))])(put))
				return broken
			}}, deep)
		if !errors.Is(err, broken) || round > len(all) {
			t.Fatalf("round %d: %v", round, err)
		}
		if lines := must(to.Generations(ctx)); len(lines) > 0 {
			t.Fatalf("a broken transfer shows %v", lines)
		}
	}
	check(t, to.Discard(ctx, gens[1].Root))
	if lacking := must(to.MissingChunks(ctx, r)); !slices.Equal(lacking, all) {
		t.Errorf("after a discard %v are lacking", lacking)
	}
	check(t, to.Assemble(ctx, gens, signed(t, from),
		module.Assembly{Recipe: r, Fetch: putting(r, chunks, all)}, deep))
	verifyAll(t, to)
	if err := to.Assemble(ctx, gens, signed(t, from), module.Assembly{Recipe: r},
		deep); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
}

func TestAssembleRefuses(t *testing.T) {
	from, gens, _ := history(t, 3)
	r, chunks := takenApart(moduleOf(t, from, gens[1].Root))
	other, _ := takenApart(moduleOf(t, from, gens[2].Root))
	refused := errors.New("refused")
	put := putting(r, chunks, everything(r))
	for _, c := range []struct {
		name  string
		r     *module.Recipe
		base  merkle.Hash
		fetch func(put func(int, []byte) error) error
		check func(*module.Module) error
		want  error
	}{
		{"another chunk", r, merkle.Hash{}, func(put func(int, []byte) error) error { return put(1, chunks[r.Pool()[0].ID]) }, deep, module.ErrVerify},
		{"a changed chunk", r, merkle.Hash{}, func(put func(int, []byte) error) error {
			bad := bytes.Clone(chunks[r.Pool()[0].ID])
			bad[3] ^= 1
			return put(0, bad)
		}, deep, module.ErrVerify},
		{"a chunk that the recipe does not have", r, merkle.Hash{}, func(put func(int, []byte) error) error { return put(len(r.Pool()), nil) }, deep, module.ErrVerify},
		{"too few chunks", r, merkle.Hash{}, putting(r, chunks, everything(r)[1:]), deep, fs.ErrNotExist},
		{"its check", r, merkle.Hash{}, put, func(*module.Module) error { return refused }, refused},
		{"a base that is not held", r, merkle.Hash{9}, put, deep, fs.ErrNotExist},
		{"a recipe of another root", other, merkle.Hash{}, putting(other, must2(takenApart(moduleOf(t, from, gens[2].Root))), everything(other)), deep, module.ErrVerify},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, to := inMemoryOf(t, from.ID())
			err := to.Assemble(ctx, gens[:2], auth.SignedRoot{},
				module.Assembly{Recipe: c.r, Base: c.base, Fetch: c.fetch}, c.check)
			if !errors.Is(err, c.want) {
				t.Fatalf("assemble: %v, want %v", err, c.want)
			}
			if lines := must(to.Generations(ctx)); len(lines) > 0 {
				t.Errorf("history %v after a refusal", lines)
			}
			check(t, to.Assemble(ctx, gens[:2], signedAs(t, from, gens[1].Root),
				module.Assembly{Recipe: r, Fetch: putting(r, chunks, must(to.MissingChunks(ctx, r)))}, deep))
			verifyAll(t, to)
		})
	}
}

func must2[A, B any](_ A, b B) B { return b }

func signedAs(t *testing.T, s *digstore.Store, root merkle.Hash) auth.SignedRoot {
	t.Helper()
	r, err := s.SignedRoot(ctx, root)
	check(t, err)
	return r
}

// TestAssembleReads: chunks of a verified base are not read again. Without a base held chunks are
// read, and damage is found.
func TestAssembleReads(t *testing.T) {
	from, gens, _ := history(t, 2)
	r, chunks := takenApart(moduleOf(t, from, gens[1].Root))
	for _, c := range []struct {
		base merkle.Hash
		want error
	}{{merkle.Hash{}, module.ErrVerify}, {gens[0].Root, nil}} {
		disk := diskfs.NewCrash(home)
		w := must(digstore.Init(home, options(disk)))
		to := must(w.Create(ctx, from.ID(), &digstore.StoreOptions{Name: "copy"}))
		check(t, to.Install(ctx, gens[:1], auth.SignedRoot{},
			bytes.NewReader(moduleOf(t, from, gens[0].Root)), deep))
		packs := filepath.Join(home, ".dig/stores/copy/packs")
		list := must(disk.ReadDir(packs))
		if len(list) != 1 {
			t.Fatalf("%d files in packs/, want one pack", len(list))
		}
		f := must(disk.OpenFile(filepath.Join(packs, list[0].Name()), os.O_RDWR, 0))
		size := must(f.Stat()).Size()
		for off := int64(1000); off < size*9/10; off += 10_000 { // the order of chunks is not fixed
			must(f.WriteAt([]byte("damage"), off))
		}
		check(t, f.Close())
		err := to.Assemble(ctx, gens[1:], auth.SignedRoot{},
			module.Assembly{Recipe: r, Base: c.base,
				Fetch: putting(r, chunks, must(to.MissingChunks(ctx, r)))}, deep)
		if !errors.Is(err, c.want) {
			t.Errorf("on base %s: %v, want %v", c.base, err, c.want)
		}
		if _, err := to.Verify(ctx, gens[0].Root,
			&digstore.VerifyOptions{Deep: true}); !errors.Is(err, module.ErrVerify) {
			t.Errorf("a deep verification did not read: %v", err)
		}
		check(t, w.Close())
	}
}

func TestReceiveRecipe(t *testing.T) {
	from, gens, states := history(t, 4)
	w := emptyWorkspace(t)
	id := from.ID()
	send := func(i int, parent merkle.Hash, pending bool, base merkle.Hash,
		places func(*module.Recipe) []int) error {
		r, chunks := takenApart(moduleOf(t, from, gens[i].Root))
		return w.ReceiveRecipe(ctx,
			module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parent, Pending: pending},
			module.Assembly{Recipe: r, Base: base, Fetch: putting(r, chunks, places(r))}, deep)
	}
	fresh := func(base merkle.Hash) func(*module.Recipe) []int { // what the base does not have
		return func(r *module.Recipe) []int {
			had := map[merkle.Hash]bool{}
			for _, c := range must(w.Recipe(ctx, id, base)).Pool() {
				had[c.ID] = true
			}
			var out []int
			for i, c := range r.Pool() {
				if !had[c.ID] {
					out = append(out, i)
				}
			}
			return out
		}
	}
	none := func(*module.Recipe) []int { return nil }
	if _, err := w.Recipe(ctx, id, gens[0].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("recipe of an unknown store: %v", err)
	}
	if err := send(0, merkle.Hash{}, false, gens[0].Root,
		everything); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a base in an unknown store: %v", err)
	}
	if err := send(0, merkle.Hash{}, false, merkle.Hash{}, none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a first push without chunks: %v", err)
	}
	if _, err := w.Store(""); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a refused push made a store: %v", err)
	}
	check(t, send(0, merkle.Hash{}, false, merkle.Hash{}, everything))
	if err := send(1, gens[0].Root, false, gens[3].Root, everything); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a base that is not held: %v", err)
	}
	if err := send(1, gens[2].Root, false, gens[0].Root,
		fresh(gens[0].Root)); !errors.Is(err, module.ErrNotHead) {
		t.Errorf("behind another head: %v", err)
	}
	check(t, send(1, gens[0].Root, true, gens[0].Root, fresh(gens[0].Root)))
	if _, err := must(w.Store("")).Recipe(ctx, gens[1].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pending generation is taken for a confirmed one: %v", err)
	}
	// Push another generation on top of the pending one's chunks, then promote both.
	check(t, send(2, gens[0].Root, true, gens[1].Root, fresh(gens[1].Root)))
	check(t, send(1, gens[0].Root, false, gens[1].Root, none))
	check(t, send(2, gens[1].Root, false, gens[2].Root, none))
	if err := send(2, gens[2].Root, false, gens[2].Root, none); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
	check(t, send(3, gens[2].Root, false, gens[2].Root, fresh(gens[2].Root)))
	s := must(w.Store(""))
	for i, g := range gens {
		wantFiles(t, must(s.At(g.Root)), states[i])
		if !bytes.Equal(moduleOf(t, s, g.Root), moduleOf(t, from, g.Root)) {
			t.Errorf("generation %d is not given back bit for bit", i)
		}
	}
	verifyAll(t, s)
	if got := must(w.Pending(ctx, id)); len(got) > 0 {
		t.Errorf("still pending: %v", got)
	}
	if fmt.Sprint(signed(t, s)) != fmt.Sprint(signed(t, from)) {
		t.Errorf("head %+v", signed(t, s))
	}
}

// TestAdvanceAnother: a push of the pending generation with another layout is refused.
func TestAdvanceAnother(t *testing.T) {
	from, gens, _ := history(t, 2)
	w := emptyWorkspace(t)
	r0, chunks := takenApart(moduleOf(t, from, gens[0].Root))
	head := signedAs(t, from, gens[0].Root)
	check(t, w.ReceiveRecipe(ctx, module.Push{Head: head, Pending: true},
		module.Assembly{Recipe: r0, Fetch: putting(r0, chunks, everything(r0))}, deep))
	g := must(from.At(gens[0].Root))
	again := must(module.Compose(from.ID(), g.PublicKey(), slices.Collect(r0.Entries()),
		&module.Options{Padding: module.None()}))
	err := w.ReceiveRecipe(ctx, module.Push{Head: head},
		module.Assembly{Recipe: again, Base: gens[0].Root,
			Fetch: func(func(int, []byte) error) error { return nil }}, deep)
	if !errors.Is(err, module.ErrVerify) {
		t.Errorf("another module of the same root: %v", err)
	}
	if got := must(w.Pending(ctx, from.ID())); len(got) != 1 {
		t.Errorf("pending: %v", got)
	}
}
