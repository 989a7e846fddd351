package digstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
)

// BenchmarkHistoryIndex measures the effect of the index files on a history of 100,000 lines:
// opening a store and its head in a new process, and a commit.
func BenchmarkHistoryIndex(b *testing.B) {
	from, gens, _ := history(b, 1)
	dir := b.TempDir()
	w := must(digstore.Init(dir, nil))
	s := must(w.Create(ctx, from.ID(), &digstore.StoreOptions{Name: "site"}))
	lines := imagined(0, 100_000)
	lines[len(lines)-1].Root = gens[0].Root
	text := bytes.NewReader(moduleOf(b, from, gens[0].Root))
	check(b, s.Install(ctx, lines, must(from.SignedRoot(ctx, gens[0].Root)), text, nil))
	check(b, s.ImportKey(ctx, must(from.Signer())))
	check(b, w.Close())
	open := func() *digstore.Store {
		w := must(digstore.Open(dir, nil))
		b.Cleanup(func() { w.Close() })
		return must(w.Store("site"))
	}
	for _, files := range []string{"with", "without"} {
		drop := func() {
			if files == "without" {
				check(b, os.RemoveAll(filepath.Join(dir, ".dig/stores/site/history")))
			}
		}
		b.Run("open/"+files, func(b *testing.B) {
			drop()
			for b.Loop() {
				must(open().Latest())
			}
		})
		b.Run("commit/"+files, func(b *testing.B) {
			for b.Loop() {
				drop()
				s := open()
				check(b, s.Stage(ctx, "a", bytes.NewReader([]byte(time.Now().String()))))
				must(s.Commit(ctx, nil, nil))
			}
		})
	}
}
