package remote_test

import (
	"net/http"
	"testing"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

// TestPullRecipeLarge checks that the missing chunks of a module that the origin sends neither by
// GET nor in ranges are read over JSON-RPC.
func TestPullRecipeLarge(t *testing.T) {
	s := newSite(t, 0, nil)
	l := s.listen()
	tree := corpus.Small(1)
	tree["b"] = noise(7, 12<<20)
	for g := range 2 {
		tree["a"] = noise(uint64(g), 9000)
		head, err := s.memory.Publish(t.Context(), s.publisher, tree.FS())
		if err != nil {
			t.Fatal(err)
		}
		s.heads = append(s.heads, head)
	}
	to := remotetest.NewMemory(s.id, nil)
	if err := s.memoryInto(to, 0); err != nil {
		t.Fatal(err)
	}
	s.serve(s.stores, &server.Options{MaxInlineModule: 1000})
	tier := serverrpc.NewHandler(s.server.Resources(), nil)
	windows := 0
	l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
		if tail == "/" {
			windows++
			tier.ServeHTTP(w, r)
			return true
		}
		return false
	}
	report, err := remote.Pull(t.Context(), to, s.client(l,
		&remote.ClientOptions{WindowFetcher: rpc.WindowFetcher{}}),
		remote.Trust{FirstUse: true})
	if err != nil {
		t.Fatal(err)
	}
	sameModule(t, s.memory, to, s.head().Root)
	if windows != 1 || report.Bytes > 20_000 {
		t.Errorf("%d windows, %d bytes of use", windows, report.Bytes)
	}
}
