package digstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// scenarios returns the scenarios of the sweeps: all with a few small files, and those that move
// content also with the corpus.
func scenarios(t *testing.T) []scenario {
	out := append(smallScenarios(), versions(version).scenarios(t)...)
	for _, sc := range corpusVersions().scenarios(t) {
		sc.name, sc.large = "corpus "+sc.name, true
		out = append(out, sc)
	}
	return out
}

// scenarios returns the scenarios that move content.
func (v versions) scenarios(t *testing.T) []scenario {
	rel := v.releases(3)
	old, young := t.TempDir(), t.TempDir()
	for dir, v := range map[string]files{old: v(0), young: v(1)} {
		for name, text := range v {
			check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
	}
	key := auth.NewKey([auth.SeedSize]byte{9})
	return []scenario{
		{name: "first commit", setup: setups(v.commit(0, 0), onSite(stageAll(v(0)))), steps: []step{committing()}},
		{name: "later commit", setup: setups(v.commit(0, 3), onSite(stageAll(v(3)))), steps: []step{committing()}},
		{name: "eighth commit", setup: setups(v.commit(0, 7), onSite(stageAll(v(7)))), steps: []step{committing()}},
		{name: "commit content root", setup: v.commit(0, 0), steps: []step{
			{what: "set content root", do: onSite(func(s *digstore.Store) error { return s.SetContentRoot(ctx, old) })},
			committing(),
			{what: "set content root", do: onSite(func(s *digstore.Store) error { return s.SetContentRoot(ctx, young) })},
			committing(),
		}},
		{name: "commit listed", setup: func(w *digstore.Workspace) error {
			s, err := w.Create(ctx, siteID,
				&digstore.StoreOptions{Name: "site", Key: publisher, Listed: true, ContentRoot: old})
			if err == nil {
				_, err = s.Commit(ctx, nil, nil)
			}
			return err
		}, steps: []step{
			{what: "set content root", do: onSite(func(s *digstore.Store) error { return s.SetContentRoot(ctx, young) })},
			committing(),
		}},
		{name: "clone", setup: emptySite, steps: []step{install(rel[:1])}},
		{name: "clone with history", setup: emptySite, steps: []step{
			install(rel[:3]),
			fill(rel[1]),
			fill(rel[0]),
			{what: "pin", do: onSite(func(s *digstore.Store) error {
				return s.Pin(ctx, module.Pins{Publisher: publisher.PublicKey(), Root: rel[2].line.Root, Generation: 2})
			})},
		}},
		{name: "pull", setup: setups(emptySite, install(rel[:1]).do), steps: []step{install(rel[1:2]), install(rel[2:3])}},
		{name: "roots that come back", setup: setups(emptySite, install(rel[:2]).do), steps: []step{
			fill(rel[0]),
			install([]release{renumbered(rel[0], 2)}),
			install([]release{renumbered(rel[1], 3), renumbered(rel[0], 4)}),
			install([]release{renumbered(rel[1], 5), renumbered(rel[2], 6)}),
		}},
		{name: "first push", steps: []step{receive(rel[0], merkle.Hash{}, false)}},
		{name: "push", setup: setups(emptySite, install(rel[:1]).do), steps: []step{receive(rel[1], rel[0].line.Root, false)}},
		{name: "push pending", setup: setups(emptySite, install(rel[:1]).do), steps: []step{
			receive(rel[1], rel[0].line.Root, true),
			{what: "promote", do: func(w *digstore.Workspace) error { return w.Promote(ctx, siteID, rel[1].line.Root) }, since: []error{fs.ErrNotExist}},
			receive(rel[2], rel[1].line.Root, true),
			{what: "drop", do: func(w *digstore.Workspace) error { return w.Drop(ctx, siteID, rel[2].line.Root) }},
		}},
		{name: "first push pending", steps: []step{
			receive(rel[0], merkle.Hash{}, true),
			{what: "promote", do: func(w *digstore.Workspace) error { return w.Promote(ctx, siteID, rel[0].line.Root) }, since: []error{fs.ErrNotExist}},
		}},
		{name: "pull by recipe", setup: setups(emptySite, install(rel[:1]).do), steps: []step{
			assembleSome(rel[1]), assemble(rel[1], rel[0].line.Root), assemble(rel[2], rel[1].line.Root)}},
		{name: "clone by recipe", setup: emptySite, steps: []step{assemble(rel[0], merkle.Hash{}), assemble(rel[1], merkle.Hash{})}},
		{name: "first push by recipe", steps: []step{receiveRecipe(rel[0], merkle.Hash{}, false, merkle.Hash{})}},
		{name: "push by recipe", setup: setups(emptySite, install(rel[:1]).do), steps: []step{
			receiveRecipe(rel[1], rel[0].line.Root, false, rel[0].line.Root)}},
		{name: "push pending by recipe", setup: setups(emptySite, install(rel[:1]).do), steps: []step{
			receiveRecipe(rel[1], rel[0].line.Root, true, rel[0].line.Root),
			receiveRecipe(rel[2], rel[0].line.Root, true, rel[1].line.Root),
			receiveRecipe(rel[1], rel[0].line.Root, false, rel[1].line.Root),
			receiveRecipe(rel[2], rel[1].line.Root, false, rel[2].line.Root),
		}},
		{name: "writer", setup: setups(emptySite, install(rel[:1]).do, onSite(stageAll(v(5)))), steps: []step{
			{what: "adopt", do: onSite(func(s *digstore.Store) error { return s.AdoptKey(ctx, key) })},
			committing(),
		}},
		{name: "import", setup: emptySite, steps: []step{
			importing(rel[0]),
			importing(rel[1]),
		}},
		{name: "names", setup: setups(emptySite, install(rel[:1]).do), steps: []step{
			keepNames(rel[0], v(0), "a"),
			keepNames(rel[0], v(0), ""),
			install(rel[1:2]),
			keepNames(rel[1], v(1), ""),
		}},
		{name: "clone of a listed store", setup: emptySite, steps: []step{
			importing(listedRelease(t, v(0))),
			{what: "import key", do: onSite(func(s *digstore.Store) error { return s.ImportKey(ctx, publisher) })},
			{what: "stage", do: staging("one more", 10)},
			committing(),
			gc(&digstore.GCOptions{Keep: 1}),
		}},
		{name: "gc and install again", setup: v.commit(0, 10), steps: []step{
			gc(&digstore.GCOptions{Keep: 8}),
			fill(rel[0]),
			gc(&digstore.GCOptions{Keep: 1, Roots: []merkle.Hash{rel[2].line.Root}}),
			fill(rel[1]),
		}},
	}
}

// smallScenarios returns the scenarios that do not depend on the content.
func smallScenarios() []scenario {
	rel := releases(3)
	key := auth.NewKey([auth.SeedSize]byte{9})
	return []scenario{
		{name: "init", empty: true, steps: []step{
			{what: "init", since: []error{fs.ErrExist}},
		}},
		{name: "create", steps: []step{
			{what: "create", do: func(w *digstore.Workspace) error {
				_, err := w.Create(ctx, digstore.StoreID{},
					&digstore.StoreOptions{Name: "new", Key: key, Label: "x"})
				return err
			}, since: []error{fs.ErrExist}},
			{what: "create private", do: func(w *digstore.Workspace) error {
				_, err := w.Create(ctx, digstore.StoreID{3},
					&digstore.StoreOptions{Name: "secret", Private: true, MaxSize: 1000, Activate: true})
				return err
			}, since: []error{fs.ErrExist}},
			{what: "use", do: func(w *digstore.Workspace) error { return w.Use(ctx, "new") }},
		}},
		{name: "stage and unstage", setup: commitVersions(0, 0), steps: []step{
			{what: "stage", do: staging("a", 2000)},
			{what: "stage", do: staging("b", 10)},
			{what: "stage over", do: staging("a", 3000)},
			{what: "unstage", do: onSite(func(s *digstore.Store) error { _, err := s.Unstage(ctx, "b"); return err }), since: []error{fs.ErrNotExist}},
			{what: "unstage all", do: onSite(func(s *digstore.Store) error { _, err := s.Unstage(ctx); return err })},
		}},
		{name: "clone of a long history", setup: emptySite, steps: []step{installAfter(300, rel[0]), installAfter(301, rel[1])}},
		{name: "growing into an index", setup: setups(emptySite, installAfter(254, rel[0]).do), steps: []step{
			installAfter(255, rel[1]), installAfter(256, rel[2])}},
		{name: "remove", setup: commitVersions(0, 1), steps: []step{
			{what: "remove", removes: true, do: func(w *digstore.Workspace) error { return w.Remove(ctx, "site") }, since: []error{fs.ErrNotExist}},
			{what: "create", do: func(w *digstore.Workspace) error {
				_, err := w.Create(ctx, siteID, &digstore.StoreOptions{Name: "site", Key: publisher})
				return err
			}, since: []error{fs.ErrExist}},
		}},
		{name: "small things", setup: setups(emptySite, install(rel[:1]).do), steps: []step{
			{what: "import salt", do: onSite(func(s *digstore.Store) error { return s.ImportSalt(ctx, &urn.Salt{1}) }), since: []error{fs.ErrExist}},
			{what: "import another salt", do: onSite(func(s *digstore.Store) error { return s.ImportSalt(ctx, &urn.Salt{2}) }), since: []error{fs.ErrExist}},
			{what: "import key", do: onSite(func(s *digstore.Store) error { return s.ImportKey(ctx, publisher) })},
			{what: "add remote", do: onSite(func(s *digstore.Store) error { return s.AddRemote(ctx, "origin", "https://example.org/stores/1") })},
			{what: "add remote", do: onSite(func(s *digstore.Store) error { return s.AddRemote(ctx, "other", "https://example.net/stores/1") })},
			{what: "remove remote", do: onSite(func(s *digstore.Store) error { return s.RemoveRemote(ctx, "origin") }), since: []error{fs.ErrNotExist}},
			{what: "pin", do: onSite(func(s *digstore.Store) error {
				return s.Pin(ctx, module.Pins{Publisher: publisher.PublicKey(), Root: rel[0].line.Root})
			})},
			{what: "sign", do: onSite(func(s *digstore.Store) error { _, err := s.Head(ctx); return err })},
			{what: "revoke", do: func(w *digstore.Workspace) error {
				t, err := auth.SignTombstone(ctx, auth.Tombstone{Store: siteID, Root: rel[0].line.Root, NotAfter: 1}, publisher)
				return errors.Join(err, w.Revoke(ctx, t))
			}},
			{what: "revoke all", do: func(w *digstore.Workspace) error {
				t, err := auth.SignTombstone(ctx, auth.Tombstone{Store: siteID, NotAfter: 2}, publisher)
				return errors.Join(err, w.Revoke(ctx, t))
			}},
		}},
	}
}

func setups(all ...func(*digstore.Workspace) error) func(*digstore.Workspace) error {
	return func(w *digstore.Workspace) error {
		for _, f := range all {
			if err := f(w); err != nil {
				return err
			}
		}
		return nil
	}
}

func onSite(f func(*digstore.Store) error) func(*digstore.Workspace) error {
	return func(w *digstore.Workspace) error {
		s, err := w.Store("site")
		if err != nil {
			return err
		}
		return f(s)
	}
}

func emptySite(w *digstore.Workspace) error {
	_, err := w.Create(ctx, siteID, &digstore.StoreOptions{Name: "site"})
	return err
}

func staging(name string, size int) func(*digstore.Workspace) error {
	return onSite(func(s *digstore.Store) error {
		return s.Stage(ctx, name, strings.NewReader(noise(5, size)))
	})
}

func gc(o *digstore.GCOptions) step {
	return step{what: "gc", piecemeal: true,
		do: onSite(func(s *digstore.Store) error { _, err := s.GC(ctx, o); return err })}
}

func committing() step {
	return step{what: "commit", do: onSite(func(s *digstore.Store) error {
		_, err := s.Commit(ctx, nil, &digstore.CommitOptions{Message: "new"})
		return err
		// staging may be torn
	}), since: []error{digstore.ErrUnchanged, digstore.ErrNothingStaged, digstore.ErrCorrupt}}
}

// keepNames stores the names of a generation that begin with prefix.
func keepNames(r release, content files, prefix string) step {
	return step{what: "keep names", do: onSite(func(s *digstore.Store) error {
		g, err := s.At(r.line.Root)
		if err != nil {
			return err
		}
		var list digstore.Names
		for name := range content {
			if strings.HasPrefix(name, prefix) {
				list = append(list, name)
			}
		}
		_, err = g.WithNames(list).KeepNames(ctx)
		return err
	})}
}

// listedRelease returns a generation that lists its names.
func listedRelease(t *testing.T, content files) release {
	w := must(digstore.Init("/ws", options(diskfs.NewCrash("/ws"))))
	defer w.Close()
	s := must(w.Create(ctx, siteID,
		&digstore.StoreOptions{Name: "site", Key: publisher, Listed: true}))
	g := commit(t, s, content, nil)
	return release{g.Info(), must(s.Head(ctx)), moduleOf(t, s, g.Info().Root)}
}

// transfer calls Install with a module, from where an earlier attempt was interrupted.
func transfer(s *digstore.Store, lines []module.Generation, r release) error {
	at, err := s.Held(ctx, r.line.Root)
	if err != nil {
		return err
	}
	return s.Install(ctx, lines, r.head, bytes.NewReader(r.module[at:]), deep)
}

// install is a clone or a pull: the last of rel is transferred.
func install(rel []release) step {
	var lines []module.Generation
	for _, r := range rel {
		lines = append(lines, r.line)
	}
	return step{what: "install", do: onSite(func(s *digstore.Store) error {
		return transfer(s, lines, rel[len(rel)-1])
	}), since: []error{fs.ErrExist}}
}

// renumbered returns a release with another number.
func renumbered(r release, n uint64) release {
	r.line.Number = n
	return r
}

// installAfter installs a generation as number n, with the missing lines before it.
func installAfter(n int, r release) step {
	r.line.Number = uint64(n)
	return step{what: "install", do: onSite(func(s *digstore.Store) error {
		had, err := s.Generations(ctx)
		if err != nil {
			return err
		}
		lines := []module.Generation{r.line}
		if len(had) <= n {
			lines = append(imagined(len(had), n), r.line)
		}
		return transfer(s, lines, r)
	}), since: []error{fs.ErrExist}}
}

// fill transfers a generation whose line exists.
func fill(r release) step { return install([]release{r}) }

func receive(r release, parent merkle.Hash, pending bool) step {
	return step{what: "receive", do: func(w *digstore.Workspace) error {
		return w.Receive(ctx, module.Push{Head: r.head, Parent: parent, Pending: pending},
			bytes.NewReader(r.module), deep)
	}, since: []error{fs.ErrExist}}
}

func importing(r release) step {
	return step{what: "import", do: onSite(func(s *digstore.Store) error {
		_, err := s.Import(ctx, bytes.NewReader(r.module), r.head, nil)
		return err
	}), since: []error{fs.ErrExist}}
}

// assemble is a pull of one generation by its recipe.
func assemble(r release, base merkle.Hash) step {
	return step{what: "assemble", do: onSite(func(s *digstore.Store) error {
		recipe, chunks := takenApart(r.module)
		lacking, err := s.MissingChunks(ctx, recipe)
		if err != nil {
			return err
		}
		return s.Assemble(ctx, []module.Generation{r.line}, r.head,
			module.Assembly{Recipe: recipe, Base: base, Fetch: putting(recipe, chunks, lacking)}, deep)
	}), since: []error{fs.ErrExist}}
}

// assembleSome is an interrupted assemble.
func assembleSome(r release) step {
	return step{what: "assemble some", do: onSite(func(s *digstore.Store) error {
		recipe, chunks := takenApart(r.module)
		lacking, err := s.MissingChunks(ctx, recipe)
		if err != nil {
			return err
		}
		broken := errors.New("broken")
		err = s.Assemble(ctx, []module.Generation{r.line}, r.head,
			module.Assembly{Recipe: recipe, Fetch: func(put func(int, []byte) error) error {
				if err := putting(recipe, chunks, lacking[:len(lacking)/2])(put); err != nil {
					return err
				}
				return broken
			}}, deep)
		if errors.Is(err, broken) {
			err = nil
		}
		return err
	})}
}

func receiveRecipe(r release, parent merkle.Hash, pending bool, base merkle.Hash) step {
	return step{what: "receive by recipe", do: func(w *digstore.Workspace) error {
		recipe, chunks := takenApart(r.module)
		return w.ReceiveRecipe(ctx, module.Push{Head: r.head, Parent: parent, Pending: pending},
			module.Assembly{Recipe: recipe, Base: base, Fetch: putting(recipe, chunks, everything(recipe))},
			deep)
	}, since: []error{fs.ErrExist}}
}
