package remote_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// documented returns the bytes that RECIPES.md lists under a name.
func documented(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("RECIPES.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```hex " + name + "\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("RECIPES.md has no block %s", name)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(found[1]), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// documentedSite returns a site with generation 0 of the example in RECIPES.md, and the signatures
// of both generations.
func documentedSite(t *testing.T) (s *site, recipes [2]*module.Recipe) {
	t.Helper()
	s = newSite(t, 0, nil)
	for g, b := range []string{"two", "two, changed"} {
		mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher,
			fstest.MapFS{"a": {Data: []byte("one")},
				"b": {Data: []byte(b)}}, &module.Options{Padding: module.None()})
		if err != nil {
			t.Fatal(err)
		}
		if recipes[g], err = module.Decompose(t.Context(), bytes.NewReader(mod),
			func(module.Chunk, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		s.heads = append(s.heads, head)
		if g == 0 {
			if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s, recipes
}

// TestRecipesDocument compares the example in RECIPES.md with the code.
func TestRecipesDocument(t *testing.T) {
	s, recipes := documentedSite(t)
	if got := documented(t, "encoding-0"); !bytes.Equal(got, encoded(t, recipes[0])) {
		t.Errorf("encoding-0 is not %x", encoded(t, recipes[0]))
	}
	base, err := module.ParseRecipe(documented(t, "encoding-0"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := wire.UnpackRecipe(documented(t, "packed-1"), known(base))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, next), encoded(t, recipes[1])) {
		t.Errorf("packed-1 is not generation 1")
	}
	want(t, s.putRecipe(documented(t, "body-1")), 201, "")
	if got := headOf(t, s.memory); got != s.heads[1].Root {
		t.Errorf("head %s after body-1, want %s", got, s.heads[1].Root)
	}
}

// TestRecipeTranscripts compares requests and answers of the extension with testdata/transcripts.
func TestRecipeTranscripts(t *testing.T) {
	wanted := set("Accept", "application/vnd.dig.recipe, application/wasm;q=0.5")
	bases := func(roots ...merkle.Hash) header {
		return func(r *http.Request) {
			for _, root := range roots {
				r.Header.Add("X-Dig-Recipe-Base", root.String())
			}
		}
	}
	for _, tc := range []struct {
		name string
		play func(s *site, at string)
	}{
		{"recipe-push", func(s *site, at string) {
			s.putRecipe(documented(t, "body-1"), bases(merkle.Hash{1}))
			s.putRecipe(documented(t, "body-1"), set("X-Dig-Recipe-Base", merkle.Hash{1}.String()))
			s.putRecipe([]byte("no recipe"))
			s.putRecipe(documented(t, "body-1")[:190])
			s.putRecipe(documented(t, "body-1"), set("X-Dig-Push-Mode", "pending"))
			s.putRecipe(documented(t, "body-1"))
			s.putRecipe(documented(t, "body-1"))
		}},
		{"recipe-pull", func(s *site, at string) {
			s.transcript = nil
			s.putRecipe(documented(t, "body-1"))
			s.transcript = new(bytes.Buffer)
			s.do("GET", at, nil, wanted, bases(merkle.Hash{1}, s.heads[0].Root))
			s.do("GET", at, nil, wanted, set("X-Dig-Recipe-Base", "12"))
			s.do("HEAD", at, nil, wanted, bases(s.heads[0].Root))
			s.do("GET", at, nil, wanted, bases(s.heads[0].Root), set("If-None-Match", `"`+s.heads[1].Root.String()+`"`))
			s.do("GET", at, nil, set("Accept", "*/*"), set("Range", "bytes=0-3"), set("If-Range", `"`+s.heads[1].Root.String()+`"`))
			s.do("GET", s.path("/module?root="+merkle.Hash{1}.String()), nil, wanted)
			s.serve(plainBackend{s.stores, s.stores, s.stores}, nil)
			s.do("GET", s.path(""), nil)
			s.putRecipe(documented(t, "body-1"))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := documentedSite(t)
			s.transcript = new(bytes.Buffer)
			tc.play(s, s.path("/module?root="+s.heads[1].Root.String()))
			golden(t, filepath.Join("transcripts", tc.name+".txt"), s.transcript.Bytes())
		})
	}
}

// TestServedRecipe checks which requests for a module are answered with its recipe.
func TestServedRecipe(t *testing.T) {
	s, _, _ := grown(t, 30, 1, nil)
	head := s.path("/module?root=" + s.head().Root.String())
	const recipe, wasm = "application/vnd.dig.recipe", "application/wasm"
	for _, tc := range []struct {
		name, method, accept, want string
		hs                         []header
	}{
		{"by name", "GET", recipe, recipe, nil},
		{"rather than the module", "GET", recipe + ", " + wasm + ";q=0.5", recipe, nil},
		{"rather the module", "GET", recipe + ";q=0.5, " + wasm, wasm, nil},
		{"both alike", "GET", recipe + ", " + wasm, wasm, nil},
		{"anything", "GET", "*/*", wasm, nil},
		{"nothing said", "GET", "", wasm, nil},
		{"refused by name", "GET", recipe + ";q=0", wasm, nil},
		{"HEAD", "HEAD", recipe, wasm, nil},
		{"a range", "GET", recipe, wasm, []header{set("Range", "bytes=0-3")}},
		{"conditional", "GET", recipe, wasm, []header{set("If-None-Match", `"other"`)}},
		{"bases that are not here", "GET", recipe, recipe, []header{set("X-Dig-Recipe-Base", merkle.Hash{1}.String())}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := s.do(tc.method, head, nil, append(tc.hs, set("Accept", tc.accept))...)
			if got := res.Header.Get("Content-Type"); got != tc.want {
				t.Errorf("%d %s, want %s", res.StatusCode, got, tc.want)
			}
			if (res.Header.Get("ETag") == "") != (tc.want == recipe) {
				t.Errorf("ETag %q on %s", res.Header.Get("ETag"), tc.want)
			}
			if got := res.Header.Get("Vary"); got != "Accept, X-Dig-Recipe-Base" {
				t.Errorf("Vary %q", got)
			}
		})
	}
	for _, bad := range []string{"12", strings.Repeat("0", 64),
		strings.Repeat(s.head().Root.String()+",", 8) + s.head().Root.String()} {
		want(t, s.do("GET", head, nil, set("Accept", recipe), set("X-Dig-Recipe-Base", bad)), 400,
			"bad request: bad recipe base")
	}
	t.Run("of a module that is too long for GET", func(t *testing.T) {
		s.serve(s.stores, &server.Options{MaxInlineModule: 5000})
		want(t, s.do("GET", head, nil), 413, "*")
		want(t, s.do("GET", head, nil, set("Accept", recipe)), 200, "*")
		want(t, s.do("GET", head, nil, set("Range", "bytes=0-1,9-4999")), 206, "*")
		want(t, s.do("GET", head, nil, set("Range", "bytes=0-5000")), 413, "*")
		want(t, s.do("GET", head, nil, set("Range", "bytes=0-3"), set("If-Range", `"other"`)), 413, "*")
		want(t, s.do("GET", head, nil, set("Range", "bytes=0-")), 413, "*")
	})
	t.Run("of a pending root", func(t *testing.T) {
		s, _, local := pushed(t, 30)
		s.putRecipe(recipeBody(t, s.recipe(1), s.recipe(0), local), set("X-Dig-Push-Mode", "pending"))
		want(t, s.do("GET", s.path("/module?root="+s.head().Root.String()), nil, set("Accept", recipe)),
			404, "unknown root")
		res := s.do("GET", s.path("/module?root="+s.heads[0].Root.String()), nil, set("Accept", recipe),
			set("X-Dig-Recipe-Base", s.head().Root.String()))
		body := make([]byte, 40)
		if _, err := io.ReadFull(res.Body, body); err != nil || !bytes.Equal(body[8:], make([]byte, 32)) {
			t.Errorf("a pending root is a base: %x, %v", body, err)
		}
	})
}
