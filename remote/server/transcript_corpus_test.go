package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// TestTranscriptsCorpus compares the routes that transfer content with testdata/transcripts, for
// stores of many files: the small corpus, and in a long run the large one.
func TestTranscriptsCorpus(t *testing.T) {
	for _, size := range []struct {
		name string
		tree func(uint64) corpus.Tree
	}{{"small", corpus.Small}, {"large", corpus.Large}} {
		t.Run(size.name, func(t *testing.T) {
			if size.name == "large" {
				vectors.NeedLong(t)
			}
			s, tree := newSite(t, 0, nil), size.tree(1)
			for n := range 3 {
				mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher, tree.FS(),
					&module.Options{TempDir: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
				if n < 2 {
					if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
						t.Fatal(err)
					}
				}
				// new content, then bytes at the front, in every large file
				tree = corpus.Edits()[2+n].Apply(tree, uint64(n))
			}
			s.serve(s.stores, &server.Options{Resources: withSecret(s.stores), Limits: noLimit})
			s.transcript = new(bytes.Buffer)
			first, second, third := s.heads[0], s.heads[1], s.heads[2]
			at := s.path("/module?root=" + second.Root.String())
			s.do("GET", s.path(""), nil)
			s.do("GET", s.path("/roots"), nil)
			s.do("GET", at, nil)
			s.do("GET", at, nil, set("Range", "bytes=1000000-"))
			s.do("GET", at, nil, set("Accept", "application/vnd.dig.recipe"))
			s.do("GET", at, nil, set("Accept", "application/vnd.dig.recipe"),
				set("X-Dig-Recipe-Base", first.Root.String()))
			s.do("GET", s.path(fmt.Sprintf("/delta?from=%s&to=%s", first.Root, second.Root)), nil)
			for _, name := range []string{"media/clip-03.bin", "sizes/zeros.bin", "sizes/empty",
				"index.html", "missing"} {
				key := urn.RetrievalKey(s.id, name)
				s.do("POST", s.path("/content"), strings.NewReader(contentBody(key, second.Root, "")), asJSON)
				s.do("POST", s.path("/content"), strings.NewReader(contentBody(key, second.Root, `{"start":10,"end":100000}`)), asJSON)
				s.do("POST", s.path("/proof"), strings.NewReader(contentBody(key, second.Root, "")), asJSON)
			}
			s.put(third, second.Root, s.modules[2][:len(s.modules[2])/2])
			s.put(third, second.Root, s.modules[2], set("X-Dig-Push-Mode", "pending"))
			want(t, s.put(third, second.Root, s.modules[2]), http.StatusCreated, "*")
			s.do("GET", s.path(""), nil)
			golden(t, filepath.Join("transcripts", "corpus-"+size.name+".txt"), s.transcript.Bytes())
		})
	}
}
