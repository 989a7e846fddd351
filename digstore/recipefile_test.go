package digstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
)

// TestRecipeOfAnotherRoot: the recipe file of one generation under the name of another is damage.
func TestRecipeOfAnotherRoot(t *testing.T) {
	dir, _, gens := commitTrees(t, []corpus.Tree{corpus.Small(7), {"alone": []byte("another tree")}})
	file := func(i int) string {
		return filepath.Join(dir, ".dig", "stores", "site", "recipes", gens[i].Root.String()+".recipe")
	}
	var kept [2][]byte
	for i := range kept {
		kept[i] = must(os.ReadFile(file(i)))
	}
	for i := range kept {
		check(t, os.WriteFile(file(i), kept[1-i], 0o644))
		w := must(digstore.Open(dir, nil))
		s := must(w.Store("site"))
		if _, err := s.At(gens[i].Root); !errors.Is(err, digstore.ErrCorrupt) {
			t.Errorf("generation %d with the recipe of %d: %v", i, 1-i, err)
		}
		check(t, w.Close())
		check(t, os.WriteFile(file(i), kept[i], 0o644))
	}
	w := must(digstore.Open(dir, nil))
	defer w.Close()
	verifyAll(t, must(w.Store("site")))
}
