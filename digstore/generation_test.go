package digstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/corpus"
)

var tree = among(corpus.Small(2),
	files{"index.html": "<h1>hi</h1>", "a/b/c.txt": "c", "a/b.txt": "b",
		"a.txt": "a", "empty": "", "big": noise(3, 300_000)})

func TestGenerationIsFS(t *testing.T) {
	_, s := inMemory(t, nil)
	g := commit(t, s, tree, nil)
	var names []string
	for n := range tree {
		names = append(names, n)
	}
	check(t, fstest.TestFS(g, names...))

	srv := httptest.NewServer(http.FileServerFS(g))
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/a/b/c.txt")
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.Body.Close(); string(body) != "c" {
		t.Errorf("served %q", body)
	}
}

// TestOddNames: a resource whose name is invalid in fs.FS can be read by Resource and is not
// listed. A name that is also a directory is listed as a directory.
func TestOddNames(t *testing.T) {
	_, s := inMemory(t, nil)
	odd := files{"a": "file", "a/b": "below", "/abs": "1", "x//y": "2", "z/": "3",
		"../up": "4", ".": "5"}
	g := commit(t, s, odd, new(digstore.CommitOptions).AnyNames())
	wantFiles(t, g, odd)
	var seen []string
	check(t, fs.WalkDir(g, ".", func(p string, d fs.DirEntry, err error) error {
		seen = append(seen, p)
		return err
	}))
	if !slices.Equal(seen, []string{".", "a", "a/b"}) {
		t.Errorf("walked %q", seen)
	}
}

// strip returns the same generation without its names, as in a clone.
func strip(t *testing.T, from *digstore.Store,
	g *digstore.Generation) (*digstore.Store, *digstore.Generation) {
	t.Helper()
	_, to := inMemoryOf(t, from.ID())
	line := g.Info()
	line.Number = 0
	check(t, to.Install(context.Background(), []module.Generation{line}, signed(t, from),
		strings.NewReader(string(moduleOf(t, from, line.Root))), deep))
	c, err := to.At(line.Root)
	check(t, err)
	return to, c
}

func TestNames(t *testing.T) {
	discovery, err := json.Marshal(map[string]any{"schema_version": 1,
		"resources": []map[string]string{
			{"key": "index.html", "label": "x", "type": "text/html"}, {"key": "not there",
				"label": "", "type": ""}}})
	check(t, err)
	for _, c := range []struct {
		name    string
		o       *digstore.StoreOptions
		content files
		give    string // input of ParseNames
		want    string
		unnamed int
	}{
		{"none", nil, files{"a": "1", "b": "2"}, "", "", 2},
		{"section 13", &digstore.StoreOptions{Listed: true}, files{"a": "1", "b": "2"}, "", "a b", 0},
		{"discovery", nil, files{"index.html": "1", "b": "2", digstore.DiscoveryResource: string(discovery)}, "", digstore.DiscoveryResource + " index.html", 1},
		{"lines", nil, files{"a": "1", "b c": "2"}, "a\turn:x\nb c\nother\n", "a b c", 0},
		{"json strings", nil, files{"a": "1", "b": "2"}, `["a"]`, "a", 1},
		{"json objects", nil, files{"a": "1", "b": "2"}, `[{"key":"a"},{"key":"b"}]`, "a b", 0},
		{"urns.json", nil, files{"a": "1", "b": "2"}, `{"store":"x","resources":[{"key":"a","urn":"…"},{"key":"b","size":3}]}`, "a b", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s := inMemory(t, c.o)
			_, g := strip(t, s, commit(t, s, c.content, nil))
			wantFiles(t, g, c.content)
			given, err := digstore.ParseNames(strings.NewReader(c.give))
			check(t, err)
			if len(given) > 0 {
				g = g.WithNames(given)
			}
			names, unnamed, err := g.Names()
			check(t, err)
			if strings.Join(names, " ") != c.want || unnamed != c.unnamed {
				t.Errorf("names %q and %d without, want %q and %d", names, unnamed, c.want, c.unnamed)
			}
			_, err = g.ReadDir(".")
			var pe *fs.PathError
			var un *digstore.UnnamedError
			if unnamed > 0 && !(errors.Is(err, errors.ErrUnsupported) && errors.As(err, &pe) &&
				errors.As(err, &un) && un.Missing == unnamed) {
				t.Errorf("ReadDir without names: %v", err)
			}
			if unnamed == 0 {
				check(t, err)
			}
		})
	}
	for _, bad := range []string{"{", `["a"`, `{"resources":3}`} {
		if _, err := digstore.ParseNames(strings.NewReader(bad)); err == nil {
			t.Errorf("ParseNames(%q) took it", bad)
		}
	}
}

func TestURNs(t *testing.T) {
	_, s := inMemory(t, nil)
	g := commit(t, s, files{"index.html": "i", "a b/ü": "x"}, nil)
	urns, err := g.URNs()
	check(t, err)
	var lines strings.Builder
	for _, u := range urns {
		p, err := g.OpenURN(u)
		check(t, err)
		_, err = io.ReadAll(p)
		check(t, err)
		fmt.Fprintf(&lines, "%s\t%s\n", u.Resource, u)
		proof, err := g.Prove(u.Resource)
		check(t, err)
		check(t, proof.Check(proof.Leaf, g.Info().Root))
	}
	names, err := digstore.ParseNames(strings.NewReader(lines.String()))
	check(t, err)
	if !slices.Equal(names, digstore.Names{"a b/ü", "index.html"}) {
		t.Errorf("what urn --all prints reads as %q", names)
	}
	p, err := g.OpenURN(urn.URN{Store: s.ID(), Whole: true})
	check(t, err)
	if b, _ := io.ReadAll(p); string(b) != "i" {
		t.Errorf("the URN of the store gives %q, want index.html", b)
	}
	if _, err := g.OpenURN(urn.URN{Store: auth.StoreID{1},
		Resource: "a"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another store's URN: %v", err)
	}
	if _, err := g.Open("a b"); err != nil {
		t.Errorf("open a directory: %v", err)
	}
	if _, err := g.Open("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what is not there: %v", err)
	}
}
