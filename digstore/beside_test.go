package digstore_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// shared is a store on the disk that several workspaces are opened on, like several processes.
type shared struct {
	dir   string
	from  *digstore.Store // has the generations to push or pull
	gens  []module.Generation
	trees []corpus.Tree

	mu    sync.Mutex
	next  int                         // index in gens of the next generation to send
	roots map[merkle.Hash]corpus.Tree // acknowledged generations
	count int                         // commits
}

const sharedAtFirst = 5 // generations that are in the store when it is made

// source makes the generations that shared stores begin with, and those to send.
func source(t testing.TB, n int) (*digstore.Store, []module.Generation, []corpus.Tree) {
	t.Helper()
	trees := []corpus.Tree{corpus.Small(3)}
	for i := 1; i < n; i++ {
		trees = append(trees, numbered(trees[i/2], i))
	}
	_, s, gens := commitTrees(t, trees)
	return s, gens, trees
}

// numbered returns an edit of a tree that is unique for n.
func numbered(tree corpus.Tree, n int) corpus.Tree {
	tree = corpus.RandomEdit(tree, uint64(n))
	tree["number"] = fmt.Append(nil, n)
	return tree
}

func newShared(t testing.TB, from *digstore.Store, gens []module.Generation,
	trees []corpus.Tree) *shared {
	t.Helper()
	s := &shared{dir: t.TempDir(), from: from, gens: gens, trees: trees,
		roots: map[merkle.Hash]corpus.Tree{}}
	w := must(digstore.Init(s.dir, nil))
	defer w.Close()
	must(w.Create(ctx, from.ID(),
		&digstore.StoreOptions{Name: "site", Key: must(from.Signer()), ContentRoot: "content"}))
	for range sharedAtFirst {
		check(t, s.receive(w))
	}
	return s
}

// open opens a workspace on the store and reads everything, so that its caches are full.
func (s *shared) open(t testing.TB) *digstore.Workspace {
	t.Helper()
	w := must(digstore.Open(s.dir, nil))
	t.Cleanup(func() { w.Close() })
	check(t, s.verify(w))
	return w
}

// send returns the next generation to send.
func (s *shared) send() (g module.Generation, tree corpus.Tree, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == len(s.gens) {
		return g, nil, errors.New("all generations were sent")
	}
	s.next++
	return s.gens[s.next-1], s.trees[s.next-1], nil
}

func (s *shared) acknowledged(root merkle.Hash, tree corpus.Tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roots[root] = tree
}

// onHead calls f with the root of the head, again if the head has changed meanwhile.
func onHead(w *digstore.Workspace, id digstore.StoreID, f func(head merkle.Hash) error) error {
	for {
		head, err := w.Head(ctx, id)
		if err != nil {
			return err
		}
		if err := f(head.Root); !errors.Is(err, module.ErrNotHead) {
			return err
		}
	}
}

// receive pushes the next generation as a module.
func (s *shared) receive(w *digstore.Workspace) error {
	g, tree, err := s.send()
	if err != nil {
		return err
	}
	signed, err := s.from.SignedRoot(ctx, g.Root)
	if err != nil {
		return err
	}
	err = onHead(w, s.from.ID(), func(head merkle.Hash) error {
		r, err := s.from.Module(ctx, g.Root)
		if err != nil {
			return err
		}
		defer r.Close()
		return w.Receive(ctx, module.Push{Head: signed, Parent: head}, r, deep)
	})
	if err == nil {
		s.acknowledged(g.Root, tree)
	}
	return err
}

// apart returns the next generation as its recipe and its chunks.
func (s *shared) apart(g module.Generation) (*module.Recipe, map[merkle.Hash][]byte, error) {
	r, err := s.from.Module(ctx, g.Root)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	recipe, chunks := takenApart(body)
	return recipe, chunks, nil
}

// receiveRecipe pushes the next generation as a recipe and the chunks that the head lacks.
func (s *shared) receiveRecipe(w *digstore.Workspace) error {
	g, tree, err := s.send()
	if err != nil {
		return err
	}
	signed, err := s.from.SignedRoot(ctx, g.Root)
	if err != nil {
		return err
	}
	recipe, chunks, err := s.apart(g)
	if err != nil {
		return err
	}
	err = onHead(w, s.from.ID(), func(head merkle.Hash) error {
		base, err := w.Recipe(ctx, s.from.ID(), head)
		if err != nil {
			return err
		}
		had := map[merkle.Hash]bool{}
		for _, c := range base.Pool() {
			had[c.ID] = true
		}
		var places []int
		for i, c := range recipe.Pool() {
			if !had[c.ID] {
				places = append(places, i)
			}
		}
		return w.ReceiveRecipe(ctx, module.Push{Head: signed, Parent: head},
			module.Assembly{Recipe: recipe, Base: head, Fetch: putting(recipe, chunks, places)}, deep)
	})
	if err == nil {
		s.acknowledged(g.Root, tree)
	}
	return err
}

// pull installs the next generation from the chunks that the store lacks.
func (s *shared) pull(w *digstore.Workspace) error {
	g, tree, err := s.send()
	if err != nil {
		return err
	}
	signed, err := s.from.SignedRoot(ctx, g.Root)
	if err != nil {
		return err
	}
	recipe, chunks, err := s.apart(g)
	if err != nil {
		return err
	}
	here, err := w.Store("site")
	if err != nil {
		return err
	}
	err = onHead(w, s.from.ID(), func(head merkle.Hash) error {
		at, err := here.Line(ctx, head)
		if err != nil {
			return err
		}
		lacking, err := here.MissingChunks(ctx, recipe)
		if err != nil {
			return err
		}
		g.Number = at.Number + 1
		err = here.Assemble(ctx, []module.Generation{g}, signed,
			module.Assembly{Recipe: recipe, Base: head, Fetch: putting(recipe, chunks, lacking)}, deep)
		if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, digstore.ErrCorrupt) {
			// a gc came between the two calls
			err = fmt.Errorf("%w: %w", module.ErrNotHead, err)
		}
		return err
	})
	if err == nil {
		s.acknowledged(g.Root, tree)
	}
	return err
}

// commit makes a generation of a tree of its own.
func (s *shared) commit(w *digstore.Workspace) error {
	here, err := w.Store("site")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock() // all commits share one content root
	s.count++
	tree := numbered(s.trees[0], 1000+s.count)
	if err := tree.Write(filepath.Join(s.dir, "content")); err != nil {
		return err
	}
	r, err := here.Commit(ctx, nil, &digstore.CommitOptions{Rehash: true})
	if err != nil {
		return err
	}
	s.roots[r.Generation.ID().Root] = tree
	return nil
}

// names keeps the names of every held generation.
func (s *shared) names(w *digstore.Workspace) error {
	return s.eachHeld(w, func(g *digstore.Generation) error {
		s.mu.Lock()
		tree := s.roots[g.ID().Root]
		s.mu.Unlock()
		if _, err := g.WithNames(tree.Names()).KeepNames(ctx); err != nil {
			return err
		}
		here, err := w.Store("site")
		if err != nil {
			return err
		}
		if g, err = here.At(g.ID().Root); err != nil {
			return err
		}
		if _, unnamed, err := g.Names(); unnamed > 0 || err != nil {
			return fmt.Errorf("%d resources of generation %d have no name: %w", unnamed,
				g.Info().Number, err)
		}
		return here.CheckNames()
	})
}

func (s *shared) gc(w *digstore.Workspace) error {
	here, err := w.Store("site")
	if err != nil {
		return err
	}
	_, err = here.GC(ctx, &digstore.GCOptions{Keep: 1})
	return err
}

// eachHeld calls f with every held generation. A gc may drop the generation during f.
func (s *shared) eachHeld(w *digstore.Workspace, f func(g *digstore.Generation) error) error {
	here, err := w.Store("site")
	if err != nil {
		return err
	}
	lines, err := here.Generations(ctx)
	if err != nil {
		return err
	}
	for i, line := range lines {
		g, err := here.At(line.Root)
		if err == nil {
			err = f(g)
		}
		if errors.Is(err, fs.ErrNotExist) && i < len(lines)-1 {
			continue
		}
		if err != nil {
			head, herr := here.Latest()
			if errors.Is(err, fs.ErrNotExist) && herr == nil && head.ID().Root != line.Root {
				continue // it was the head when the lines were read
			}
			return fmt.Errorf("generation %d: %w", line.Number, err)
		}
	}
	return nil
}

func (s *shared) verify(w *digstore.Workspace) error {
	return s.eachHeld(w, func(g *digstore.Generation) error { return g.Module().Verify(ctx) })
}

func (s *shared) cat(w *digstore.Workspace) error {
	return s.eachHeld(w, func(g *digstore.Generation) error {
		s.mu.Lock()
		tree := s.roots[g.ID().Root]
		s.mu.Unlock()
		for name, want := range tree {
			p, err := g.Resource(name)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(p)
			if err != nil {
				return err
			}
			if string(b) != string(want) {
				return fmt.Errorf("%s is another one", name)
			}
		}
		return nil
	})
}

func (s *shared) serve(w *digstore.Workspace) error {
	return s.eachHeld(w, func(g *digstore.Generation) error {
		r, err := w.Module(ctx, g.ID().Store, g.ID().Root)
		if err != nil {
			return err
		}
		defer r.Close()
		recipe, err := module.Decompose(ctx, r, func(module.Chunk, []byte) error { return nil })
		if err == nil && recipe.ID() != g.ID() {
			err = fmt.Errorf("it is %v", recipe.ID())
		}
		return err
	})
}

func (s *shared) checkout(w *digstore.Workspace) error {
	here, err := w.Store("site")
	if err != nil {
		return err
	}
	for {
		g, err := here.Latest()
		if err != nil {
			return err
		}
		s.mu.Lock()
		tree := s.roots[g.ID().Root]
		dir := filepath.Join(s.dir, fmt.Sprint("out", s.count))
		s.count++
		s.mu.Unlock()
		_, err = g.WithNames(tree.Names()).Checkout(ctx, dir,
			&digstore.CheckoutOptions{Partial: tree == nil})
		if now, herr := here.Latest(); herr == nil && now.ID() != g.ID() {
			continue
		}
		if err == nil && tree != nil {
			got, rerr := corpus.Read(dir)
			if diff := corpus.Diff(tree, got); rerr != nil || diff != "" {
				return fmt.Errorf("checkout: %s %v", diff, rerr)
			}
		}
		return err
	}
}

// want opens the store again and checks that its history has every acknowledged generation, and
// that held generations are undamaged.
func (s *shared) want(t testing.TB) {
	t.Helper()
	w := must(digstore.Open(s.dir, nil))
	defer w.Close()
	here := must(w.Store("site"))
	for root := range s.roots {
		if _, err := here.Line(ctx, root); err != nil {
			t.Errorf("an acknowledged generation is lost: %v", err)
		}
	}
	lines := must(here.Generations(ctx))
	if len(lines) != len(s.roots) {
		t.Errorf("%d generations, want %d", len(lines), len(s.roots))
	}
	check(t, s.verify(w))
	check(t, s.cat(w))
	if _, err := here.Verify(ctx, lines[len(lines)-1].Root,
		&digstore.VerifyOptions{Deep: true}); err != nil {
		t.Errorf("head: %v", err)
	}
}

type operation struct {
	name string
	do   func(s *shared, w *digstore.Workspace) error
}

var operations = []operation{
	{"gc", (*shared).gc},
	{"receive", (*shared).receive},
	{"receive recipe", (*shared).receiveRecipe},
	{"pull", (*shared).pull},
	{"commit", (*shared).commit},
	{"names", (*shared).names},
	{"verify", (*shared).verify},
	{"cat", (*shared).cat},
	{"checkout", (*shared).checkout},
	{"serve", (*shared).serve},
}

// pairs selects the pairs of operations of a run: all pairs with gc, and in a long run a part of
// the others.
func pairs(t *testing.T) func(a, b string) bool {
	part, parts := vectors.Part(t)
	long, others := vectors.Long(t), 0
	return func(a, b string) bool {
		if a == "gc" || b == "gc" {
			return true
		}
		others++
		return long && others%parts == part
	}
}

// TestAfterAnother: an operation of an open process succeeds after any operation of another
// process, and the resulting store is right.
func TestAfterAnother(t *testing.T) {
	from, gens, trees := source(t, sharedAtFirst+4)
	taken := pairs(t)
	for _, first := range operations[:6] { // those that change the store
		for _, then := range operations {
			if !taken(first.name, then.name) {
				continue
			}
			t.Run(first.name+", "+then.name, func(t *testing.T) {
				s := newShared(t, from, gens, trees)
				a, b := s.open(t), s.open(t)
				for range 2 {
					check(t, first.do(s, b))
					check(t, then.do(s, a))
				}
				s.want(t)
			})
		}
	}
}

// TestBesideAnother: two processes can work on a store at the same time.
func TestBesideAnother(t *testing.T) {
	rounds := 2
	if vectors.Long(t) {
		rounds = 30
	}
	from, gens, trees := source(t, sharedAtFirst+2*rounds)
	taken := pairs(t)
	for i, one := range operations[:6] {
		for _, other := range operations[i:] {
			if !taken(one.name, other.name) {
				continue
			}
			t.Run(one.name+", "+other.name, func(t *testing.T) {
				s := newShared(t, from, gens, trees)
				var both sync.WaitGroup
				for _, o := range []operation{one, other} {
					w := s.open(t)
					both.Go(func() {
						for range rounds {
							if err := o.do(s, w); err != nil {
								t.Errorf("%s: %v", o.name, err)
								return
							}
						}
					})
				}
				both.Wait()
				s.want(t)
			})
		}
	}
}
