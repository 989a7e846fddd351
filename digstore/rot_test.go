package digstore_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/remote/server"
)

// TestRotWhileServing: a bit of a pack flips after its chunk was hashed, without a change of size
// or time. A request for the chunk at most ten minutes later detects it, and the store is set
// aside.
func TestRotWhileServing(t *testing.T) {
	dir, _, gens := commitTrees(t, []corpus.Tree{corpus.Small(3)})
	packs := must(filepath.Glob(filepath.Join(dir, ".dig/stores/site/packs/*.pack")))
	old := time.Now().Add(-time.Hour)
	check(t, os.Chtimes(packs[0], old, old))
	start := time.Now()
	now := start
	w := must(digstore.Open(dir, &digstore.Options{Now: func() time.Time { return now }}))
	defer w.Close()
	s := must(w.Store(""))
	host := server.New(w, &server.Options{Anonymous: true})
	health := server.Health(host)
	get := func(h http.Handler, path string) *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		defer func() { _ = recover() }() // as net/http does after an aborted response
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		return r
	}
	module := "/stores/" + s.ID().String() + "/module"
	if got := get(host, module); got == nil || got.Code != http.StatusOK {
		t.Fatalf("before: %+v", got)
	}

	pack := must(os.ReadFile(packs[0]))
	pack[100] ^= 1
	check(t, os.WriteFile(packs[0], pack, 0o644))
	check(t, os.Chtimes(packs[0], old, old))
	read := func() error {
		m := must(w.Module(ctx, s.ID(), gens[0].Root))
		defer m.Close()
		_, err := io.Copy(io.Discard, m)
		return err
	}
	now = start.Add(9 * time.Minute)
	if err := read(); err != nil {
		t.Errorf("each chunk is hashed each time: %v", err)
	}
	now = start.Add(10 * time.Minute)
	if err := read(); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("after ten minutes: %v, want ErrCorrupt", err)
	}
	if got := get(host, module); got != nil && got.Code == http.StatusOK {
		t.Error("a damaged module looks whole")
	}
	if got := get(host, module); got == nil || got.Code != http.StatusServiceUnavailable {
		t.Errorf("the store is not set aside: %+v", got)
	}
	if got := get(health, "/readyz"); !strings.Contains(got.Body.String(), `"damaged":1`) {
		t.Errorf("/readyz: %s", got.Body)
	}
}
