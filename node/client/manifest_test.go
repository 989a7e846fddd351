package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/client"
)

// smallPages stands before a node and asks it for so many capsules at a time.
func smallPages(t testing.TB, base string, size int) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if !q.Has("limit") {
			q.Set("limit", fmt.Sprint(size))
		}
		r.URL.RawQuery = q.Encode()
		forward(t, w, r, base)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A manifest is the same in one page and in many.
func TestManifest(t *testing.T) {
	g := capsuletest.Split(t, 1, 10_000, text(1, 95_000))
	base := startNode(t, node.Config{Storage: holding(t, g, 4)})
	if err := g.Manifest.SetStatement(sign(t, g, 4)); err != nil {
		t.Fatal(err)
	}
	want, err := g.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 3, 5, 10, 11} {
		c := newClient(t, smallPages(t, base, size),
			&client.Options{Writers: client.Keys(writerKey.PublicKey())})
		for _, root := range []merkle.Hash{{}, g.Root} {
			m, err := c.Manifest(t.Context(), g.Store, root)
			if err != nil {
				t.Fatalf("pages of %d: %v", size, err)
			}
			got, err := m.MarshalJSON()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("pages of %d: %s, %v, expected %s", size, got, err, want)
			}
		}
	}
}

// A node sends a long manifest in pages of its own.
func TestLongManifest(t *testing.T) {
	vectors.NeedLong(t)
	g := capsuletest.Split(t, 1, 4, text(1, 600_000))
	base, count := lying(t, startNode(t, node.Config{Storage: holding(t, g, 1)}), nil)
	c := newClient(t, base, &client.Options{Trust: pinned(g)})
	m, err := c.Manifest(t.Context(), g.Store, merkle.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Capsules) != 150_000 || count.Load() != 2 {
		t.Errorf("%d capsules in %d pages, expected 150,000 in 2", len(m.Capsules), count.Load())
	}
}

// member changes members of JSON answers.
func member(change func(m map[string]any)) lie {
	return func(t testing.TB, r *http.Response) {
		if r.Header.Get("Content-Type") != "application/json" {
			return
		}
		var m map[string]any
		dec := json.NewDecoder(bytes.NewReader(body(t, r)))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		setBody(r, b)
	}
}

// later changes members of the pages after the first one.
func later(change func(m map[string]any)) lie {
	return member(func(m map[string]any) {
		if m["capsules"].([]any)[0].(map[string]any)["index"] != json.Number("0") {
			change(m)
		}
	})
}

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// setCapsule changes a member of the first capsule of a page.
func setCapsule(name string, value any) func(map[string]any) {
	return func(m map[string]any) {
		first := m["capsules"].([]any)[0].(map[string]any)
		if first[name] = value; value == nil {
			delete(first, name)
		}
	}
}

// TestManifestLies: every manipulation of a manifest is detected.
func TestManifestLies(t *testing.T) {
	g := capsuletest.Split(t, 1, 10_000, text(1, 95_000))
	other := capsuletest.Split(t, 2, 10_000, text(2, 95_000))
	base := smallPages(t, startNode(t, node.Config{Storage: holding(t, g, 4)}), 4)
	hash := "0x" + strings.Repeat("ab", 32)
	wrong := capsule.ErrManifest
	tests := []struct {
		name string
		tell lie
		want error
	}{
		{"another hash", member(setCapsule("hash", hash)), wrong},
		{"another chunk root", member(setCapsule("chunk_root", hash)), wrong},
		{"another size", member(setCapsule("size", 9_999)), wrong},
		{"no chunk roots", member(setCapsule("chunk_root", nil)), wrong},
		{"another index", member(setCapsule("index", 7)), wrong},
		{"another datastore", member(set("datastore_id", "0x"+other.Store.String())), wrong},
		{"another root", member(set("merkle_root", "0x"+other.Root.String())), wrong},
		{"another root later", later(set("merkle_root", "0x"+other.Root.String())), wrong},
		{"fewer capsules", member(set("capsule_count", 9)), wrong},
		{"more capsules", member(set("capsule_count", 11)), wrong},
		{"more capsules later", later(set("capsule_count", 11)), wrong},
		{"another total", member(set("total_size", 95_001)), wrong},
		{"another total later", later(set("total_size", 95_001)), wrong},
		{"another time later", later(set("creation_time", 5)), wrong},
		{"another generation later", later(set("generation", 5)), wrong},
		{"another signature later", later(set("root_signature", strings.Repeat("00", 96))), wrong},
		{"another writer later", later(set("writer_key", strings.Repeat("00", 48))), wrong},
		{"another parent later", later(set("parent_root", hash)), wrong},
		{"the first page again", later(setCapsule("index", 0)), wrong},
		{"the same page for ever", member(func(m map[string]any) {
			m["next_offset"] = 0
		}), wrong},
		{"an end too early", member(set("next_offset", nil)), wrong},
		{"a page left out", member(func(m map[string]any) {
			if m["next_offset"] != nil {
				m["next_offset"] = 8
			}
		}), wrong},
		{"no end", member(set("next_offset", 10)), wrong},
		{"no capsules", member(set("capsules", []any{})), wrong},
		{"an empty page for ever", later(func(m map[string]any) {
			m["next_offset"], m["capsules"] = 4, []any{}
		}), wrong},
		{"another type", member(set("capsule_count", "10")), client.ErrProtocol},
		{"not JSON", func(_ testing.TB, r *http.Response) { setBody(r, []byte("<html>")) },
			client.ErrProtocol},
		{"text behind the end", func(t testing.TB, r *http.Response) {
			setBody(r, append(body(t, r), '1'))
		}, client.ErrProtocol},
		{"a page of the web", header("Content-Type", "text/html"), client.ErrProtocol},
		{"gzip", header("Content-Encoding", "gzip"), client.ErrProtocol},
		{"endless", func(_ testing.TB, r *http.Response) {
			r.Body, r.ContentLength = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(`{"x":"`), zeros{}), io.NopCloser(nil)}, -1
			r.Header.Del("Content-Length")
		}, client.ErrProtocol},
		{"redirect", func(_ testing.TB, r *http.Response) {
			r.StatusCode = http.StatusMovedPermanently
			r.Header.Set("Location", base+r.Request.URL.RequestURI())
		}, client.ErrRedirect},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, count := lying(t, base, tt.tell)
			c := newClient(t, url, &client.Options{Trust: pinned(g), Attempts: 1,
				MaxManifest: 1 << 20})
			m, err := c.Manifest(soon(t), g.Store, g.Root)
			if !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v, expected %v", m, err, tt.want)
			}
			if n := count.Load(); n > 4 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// zeros is text without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// MaxManifest bounds all pages together.
func TestManifestBound(t *testing.T) {
	g := capsuletest.Split(t, 1, 100, text(1, 5_000))
	base := smallPages(t, startNode(t, node.Config{Storage: holding(t, g, 0)}), 10)
	for _, tt := range []struct {
		max  int64
		want error
	}{{5_000, client.ErrProtocol}, {50_000, nil}} {
		c := newClient(t, base, &client.Options{Trust: pinned(g), MaxManifest: tt.max})
		if _, err := c.Manifest(t.Context(), g.Store, g.Root); !errors.Is(err, tt.want) {
			t.Errorf("at most %d bytes: %v, expected %v", tt.max, err, tt.want)
		}
	}
}

// TestSignedRoots: a statement is accepted if its signature and its key are valid.
func TestSignedRoots(t *testing.T) {
	g := capsuletest.Split(t, 1, 10_000, text(1, 35_000))
	base := startNode(t, node.Config{Storage: holding(t, g, 4)})
	stranger := auth.NewKey([32]byte{9})
	forged, err := capsule.SignRoot(t.Context(), g.Manifest, 4, stranger)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		tell lie
	}{
		{"no statement", member(func(m map[string]any) { delete(m, "root_signature") })},
		{"another generation", member(set("generation", 5))},
		{"another key", member(set("writer_key", stranger.PublicKey().String()))},
		{"another signature", member(set("root_signature", forged.Signature.String()))},
		{"the statement of another", member(func(m map[string]any) {
			m["root_signature"], m["writer_key"] = forged.Signature, forged.Writer
		})},
		{"no key", member(func(m map[string]any) { delete(m, "writer_key") })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := lying(t, base, tt.tell)
			c := newClient(t, url, &client.Options{Writers: client.Keys(writerKey.PublicKey())})
			_, err := c.Manifest(t.Context(), g.Store, merkle.Hash{})
			_, serr := c.Stat(t.Context(), g.Ref(0))
			if !errors.Is(err, capsule.ErrUntrusted) || !errors.Is(serr, capsule.ErrUntrusted) {
				t.Errorf("manifest: %v; stat: %v; expected capsule.ErrUntrusted", err, serr)
			}
		})
	}
}

// TestStatement: an invalid statement is not cached, and a missing one is fs.ErrNotExist.
func TestStatement(t *testing.T) {
	g := capsuletest.Split(t, 1, 10_000, text(1, 35_000))
	var lies atomic.Int64
	base, _ := lying(t, startNode(t, node.Config{Storage: holding(t, g, 4)}),
		func(t testing.TB, r *http.Response) {
			if lies.Add(-1) >= 0 {
				member(set("generation", 5))(t, r)
			}
		})
	c := newClient(t, base, &client.Options{Writers: client.Keys(writerKey.PublicKey())})
	lies.Store(2) // the manifest, and the statement
	if _, err := c.Manifest(t.Context(), g.Store, g.Root); !errors.Is(err, capsule.ErrUntrusted) {
		t.Errorf("%v, expected capsule.ErrUntrusted", err)
	}
	if _, err := c.Manifest(t.Context(), g.Store, g.Root); err != nil {
		t.Errorf("after the node has told the truth: %v", err)
	}
	unsigned := newClient(t, startNode(t, node.Config{Storage: holding(t, g, 0)}), nil)
	if _, err := unsigned.Statement(t.Context(), g.Store, g.Root); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("%v, expected fs.ErrNotExist", err)
	}
}

// Malformed manifests are refused, whatever root is trusted. Those of the vectors that are well
// formed have no chunk roots, which shows nothing about the root.
func TestHostileManifests(t *testing.T) {
	var f struct {
		Cases []struct{ Name, JSON, Verdict string }
	}
	const file = "dig/hostile-manifests.json"
	vectors.Load(t, file, &f)
	for _, tt := range f.Cases {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, tt.JSON)
		}))
		c := newClient(t, srv.URL, &client.Options{Trust: anyRoot{}, Attempts: 1})
		store, err := auth.ParseStoreID(strings.Repeat("11", 32))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Manifest(soon(t), store, merkle.Hash{})
		var m *capsule.ManifestError
		wellFormed := errors.As(err, &m) && m.Member == "chunk_root"
		if !errors.Is(err, capsule.ErrManifest) ||
			tt.Verdict == "accept" && !wellFormed || tt.Verdict == "refuse" && wellFormed {
			t.Errorf("%s: %v, verdict %s", tt.Name, err, tt.Verdict)
		}
		srv.Close()
	}
	vectors.Count(t, file, len(f.Cases), 0)
}
