package digstore_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/remote/server"
	"github.com/dig-network/digstore/remote/server/rpc"
)

// TestServedBesideRemove: a store that is removed by another process in the middle of a request, at
// whichever of its operations, is answered as it was or as unknown. It is no error of the host, and
// it is not set aside as damaged.
func TestServedBesideRemove(t *testing.T) {
	part, parts := vectors.Part(t)
	base := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(base)))
	s := must(w.Create(ctx, siteID, &digstore.StoreOptions{Name: "site", Key: publisher}))
	stage(t, s, files{"index.html": "one", "large": noise(1, 200_000)})
	root := must(s.Commit(ctx, nil, nil)).Generation.ID().Root
	check(t, w.Close())
	path, key := "/stores/"+siteID.String(), urn.RetrievalKey(siteID, "large")
	for _, c := range []struct{ method, path, body string }{
		{"GET", path, ""},
		{"GET", path + "/roots", ""},
		{"GET", path + "/module?root=" + root.String(), ""},
		{"POST", path + "/content", fmt.Sprintf(`{"retrieval_key":"%s","root":"%s"}`, key, root)},
		{"POST", path + "/delta", fmt.Sprintf(`{"to":"%s","have":[]}`, root)},
		{"POST", "/", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"dig.getContent","params":{"store_id":"%s","root":"%s","retrieval_key":"%s"}}`, siteID, root, key)},
	} {
		t.Run(c.method+" "+strings.TrimPrefix(strings.SplitN(c.path, "?", 2)[0], path),
			func(t *testing.T) {
				for n, fired := 1+part, true; fired; n += parts {
					disk := base.Recover(1)
					during := &trigger{act: func() {
						w := must(digstore.Open(home, sweepOptions(disk)))
						defer w.Close()
						check(t, w.Remove(ctx, "site"))
					}}
					w := must(digstore.Open(home, sweepOptions(during.on(disk))))
					srv := server.New(w, &server.Options{Anonymous: true})
					tier := rpc.NewHandler(srv.Resources(), nil)
					ask := func() *httptest.ResponseRecorder {
						r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
						r.Header.Set("Content-Type", "application/json")
						r.Header.Set("User-Agent", "test/1")
						answer := httptest.NewRecorder()
						defer func() { _ = recover() }() // a body that is cut off
						if c.path == "/" {
							tier.ServeHTTP(answer, r)
						} else {
							srv.ServeHTTP(answer, r)
						}
						return answer
					}
					during.at.Store(during.calls.Load() + int64(n))
					if got := ask(); got != nil &&
						(got.Code != 200 && got.Code != 404 || strings.Contains(got.Body.String(), "internal")) {
						t.Errorf("beside operation %d: %d %.200s", n, got.Code, got.Body)
					}
					fired = during.fired.Load()
					during.at.Store(0)
					if got := ask(); fired && got != nil && c.path != "/" && got.Code != 404 {
						t.Errorf("after operation %d: %d %.200s", n, got.Code, got.Body)
					}
					check(t, w.Close())
				}
			})
	}
}
