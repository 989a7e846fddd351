package digstore_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// TestQuotaOfModules: the quota applies to a push of a module as to that of a recipe, whether its
// length is announced by push-init, by the request alone, or by neither. Chunks that the store
// already holds count once.
func TestQuotaOfModules(t *testing.T) {
	trees := []corpus.Tree{corpus.Small(2), nil, nil}
	trees[1] = corpus.RandomEdit(trees[0], 1)
	trees[2] = corpus.Small(3) // twice as much, all of it new
	for name, content := range corpus.Small(4) {
		trees[2]["more/"+name] = content
	}
	_, from, gens := commitTrees(t, trees)
	size := int64(len(moduleOf(t, from, gens[0].Root)))
	const init, request, neither = "push-init", "request", "neither"
	for _, announced := range []string{init, request, neither} {
		w := must(digstore.Init(t.TempDir(), nil))
		defer w.Close()
		origin := server.New(w, &server.Options{Policy: server.TrustOnFirstUse{},
			Quota: &server.Quota{TotalBytes: size + size/2}})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if announced != init && strings.HasSuffix(r.URL.Path, "/upload") {
				http.NotFound(w, r)
				return
			}
			if announced == neither && r.Method == http.MethodPut {
				r.ContentLength = -1
			}
			origin.ServeHTTP(w, r)
		}))
		defer srv.Close()
		u := must(remote.ParseURL(srv.URL + "/stores/" + from.ID().String()))
		client := must(remote.NewClient(u, &remote.ClientOptions{Identity: auth.NewKey([32]byte{8})}))
		defer client.Close()
		put := func(n int) error {
			body := moduleOf(t, from, gens[n].Root)
			_, err := client.Put(ctx, remote.PutRequest{
				Head: signedAs(t, from, gens[n].Root), Parent: parentOf(gens,
					n), Size: int64(len(body)), Hash: merkle.Sum(body),
			}, bytes.NewReader(body))
			return err
		}
		check(t, put(0))
		check(t, put(1)) // most chunks exist already
		if err := put(2); err == nil || !strings.Contains(err.Error(), "quota exceeded") {
			t.Errorf("a module of new content, announced by %s: %v", announced, err)
		}
	}
}
