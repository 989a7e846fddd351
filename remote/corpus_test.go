package remote_test

import (
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// TestCorpus pulls and pushes every kind of change that users make to many files at once, and
// compares every file byte for byte.
func TestCorpus(t *testing.T) {
	tree := corpus.Small(1)
	if vectors.Long(t) {
		tree = corpus.Large(1)
	}
	s, host := newSite(t, 0, nil), newSite(t, 0, &server.Options{Policy: server.TrustOnFirstUse{}})
	host.stores = remotetest.NewStores(host.now)
	host.serve(host.stores, &server.Options{Policy: server.TrustOnFirstUse{}})
	from, to := s.client(s.listen(), nil), host.client(host.listen(), nil)
	publish := func(tree corpus.Tree) merkle.Hash {
		t.Helper()
		head, err := s.memory.Publish(t.Context(), s.publisher, tree.FS())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Push(t.Context(), to, s.memory); err != nil {
			t.Fatal(err)
		}
		there, err := host.stores.Store(s.id)
		if err != nil {
			t.Fatal(err)
		}
		sameModule(t, s.memory, there, head.Root)
		return head.Root
	}
	publish(tree)
	clone := remotetest.NewMemory(s.id, nil)
	if _, err := remote.Clone(t.Context(), clone, from, remote.Trust{FirstUse: true}); err != nil {
		t.Fatal(err)
	}
	for i, e := range corpus.Edits() {
		t.Run(e.Name, func(t *testing.T) {
			s.clock.Add(600) // past the request limits
			host.clock.Add(600)
			root := publish(e.Apply(tree, uint64(i)))
			if _, err := remote.Pull(t.Context(), clone, from, remote.Trust{}); err != nil {
				t.Fatal(err)
			}
			sameModule(t, s.memory, clone, root)
			r, err := clone.Module(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			recipe, err := module.Decompose(t.Context(), r, func(module.Chunk, []byte) error { return nil })
			if err != nil || recipe.Root() != root {
				t.Errorf("the clone's module of root %s: %v", root, err)
			}
		})
	}
}
