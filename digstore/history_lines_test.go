package digstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
)

// TestHistoryBetweenWrites: lines are ignored until their writer has finished, and seen afterwards,
// although size and time of the file stay the same.
func TestHistoryBetweenWrites(t *testing.T) {
	dir, _, gens := commitTrees(t,
		[]corpus.Tree{{"a": []byte("1")}, {"a": []byte("2")}, {"a": []byte("3")}})
	name := filepath.Join(dir, ".dig/stores/site/roots.log")
	whole := must(os.ReadFile(name))
	half := bytes.Clone(whole)
	half[bytes.IndexByte(half, '\n')+1] = 0 // the first of two lines that are being appended
	at := must(os.Stat(name)).ModTime()
	for _, proof := range []string{"roots.proof", "pins.json"} { // an earlier version writes
		check(t, os.Remove(filepath.Join(filepath.Dir(name), proof)))
	}
	w := must(digstore.Open(dir, nil))
	defer w.Close()
	s := must(w.Store(""))
	for _, c := range []struct {
		text []byte
		want int
	}{{half, 1}, {whole, len(gens)}} {
		check(t, os.WriteFile(name, c.text, 0o644))
		check(t, os.Chtimes(name, at, at))
		if got := must(s.Generations(ctx)); len(got) != c.want {
			t.Errorf("%d lines, want %d", len(got), c.want)
		}
	}
}
