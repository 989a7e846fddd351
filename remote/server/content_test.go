package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// withSecret returns a ResourceIndex with a fixed secret, so that decoys are reproducible.
func withSecret(b server.Backend) *server.ResourceIndex {
	return server.NewResourceIndex(b,
		&server.ResourceIndexOptions{Secret: []byte("a secret of the tests")})
}

// newContentSite returns a site with reproducible decoys.
func newContentSite(t testing.TB, generations int) *site {
	s := newSite(t, generations, nil)
	s.serve(s.stores, &server.Options{Resources: withSecret(s.stores), Limits: noLimit})
	return s
}

// A contentAnswer is the response of POST content, decoded independently of package wire.
type contentAnswer struct {
	Ciphertext []byte   `json:"ciphertext_b64"`
	Proof      []byte   `json:"merkle_proof_b64"`
	Root       string   `json:"roothash"`
	ChunkLens  []uint32 `json:"chunk_lens"`
	Total      int64    `json:"total_length"`
}

func contentBody(key, root merkle.Hash, rng string) string {
	if rng != "" {
		rng = `,"range":` + rng
	}
	return fmt.Sprintf(`{"retrieval_key":"%s","root":"%s"%s}`, key, root, rng)
}

func (s *site) content(t testing.TB, key, root merkle.Hash,
	rng string) (contentAnswer, http.Header) {
	t.Helper()
	res := s.do("POST", s.path("/content"), strings.NewReader(contentBody(key, root, rng)), asJSON)
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("content: %d %s %v", res.StatusCode, clip(text), err)
	}
	var a contentAnswer
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		t.Fatalf("content: %v: %s", err, clip(text))
	}
	if got := res.Header.Get("Content-Length"); got != fmt.Sprint(len(text)) {
		t.Errorf("Content-Length %s, the body has %d bytes", got, len(text))
	}
	return a, res.Header
}

func TestContentOfEveryGeneration(t *testing.T) {
	s := newContentSite(t, 3)
	for n, head := range s.heads {
		m, err := module.Open(bytes.NewReader(s.modules[n]), int64(len(s.modules[n])))
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range files(n) {
			a, _ := s.content(t, urn.RetrievalKey(s.id, name), head.Root, "")
			res, err := m.Find(urn.RetrievalKey(s.id, name))
			if err != nil {
				t.Fatal(err)
			}
			sealed, _ := io.ReadAll(res.Sealed())
			proof, _ := res.Proof()
			encoded, _ := proof.MarshalBinary()
			if !bytes.Equal(a.Ciphertext, sealed) || !bytes.Equal(a.Proof, encoded) ||
				a.Root != head.Root.String() ||
				a.Total != res.SealedSize() || len(a.ChunkLens) != len(res.Chunks()) {
				t.Errorf("generation %d, %s: not what the module has", n, name)
			}
			var p merkle.Proof
			if err := p.UnmarshalBinary(a.Proof); err != nil {
				t.Fatal(err)
			}
			plain, err := remote.OpenContent(&module.ContentResponse{Sealed: a.Ciphertext, Proof: p,
				ChunkLens: a.ChunkLens},
				head.Root, urn.NewKey(s.id, name, nil))
			if err != nil || !bytes.Equal(plain, file.Data) {
				t.Errorf("generation %d, %s: %v", n, name, err)
			}
		}
	}
}

func TestContentRanges(t *testing.T) {
	s := newContentSite(t, 1)
	root := s.head().Root
	for name, key := range map[string]merkle.Hash{
		"a resource": urn.RetrievalKey(s.id, "deep/in/here"),
		"a decoy":    urn.RetrievalKey(s.id, "nowhere"),
	} {
		whole, _ := s.content(t, key, root, "")
		size := int64(len(whole.Ciphertext))
		if size != whole.Total {
			t.Fatalf("%s: %d bytes of %d", name, size, whole.Total)
		}
		for _, tc := range []struct{ start, end, from, to int64 }{
			{0, size, 0, size}, {0, size + 1, 0, size}, {0, 1 << 40, 0, size}, {0, 0, 0, 0}, {5, 5, 5, 5}, {1, 2, 1, 2}, {0, 1, 0, 1},
			{size - 1, size, size - 1, size}, {size, size, size, size}, {size + 5, size + 9, size, size}, {7, size - 1, 7, size - 1}, {15, 33, 15, min(33, size)},
		} {
			part, _ := s.content(t, key, root, fmt.Sprintf(`{"start":%d,"end":%d}`, tc.start, tc.end))
			if !bytes.Equal(part.Ciphertext, whole.Ciphertext[tc.from:tc.to]) {
				t.Errorf("%s: bytes %d to %d of %d are wrong", name, tc.start, tc.end, size)
			}
			if !bytes.Equal(part.Proof, whole.Proof) || part.Total != whole.Total {
				t.Errorf("%s: bytes %d to %d: proof or length differ", name, tc.start, tc.end)
			}
		}
		if null, _ := s.content(t, key, root, "null"); !bytes.Equal(null.Ciphertext, whole.Ciphertext) {
			t.Errorf("%s: a range of null is none", name)
		}
	}
}

func TestContentAndProofRefusals(t *testing.T) {
	s := newContentSite(t, 1)
	key, root := urn.RetrievalKey(s.id, "index.html").String(), s.head().Root.String()
	other := merkle.Hash{1}.String()
	good := contentBody(urn.RetrievalKey(s.id, "index.html"), s.head().Root, "")
	body := func(key, root string) string { return `{"retrieval_key":"` + key + `","root":"` + root + `"}` }
	const shape = "module failed validation: body is not a content request"
	for _, tc := range []struct {
		name, kind, body string
		status           int
		text             string // "*": any
	}{
		{"no type", "", good, 415, "unsupported media type: send application/json"},
		{"other type", "text/plain", good, 415, "unsupported media type: send application/json"},
		{"with a charset", "application/json; charset=utf-8", good, 200, "*"},
		{"no body", "application/json", "", 400, "bad request: body is not JSON"},
		{"no JSON", "application/json", "{", 400, "bad request: body is not JSON"},
		{"two values", "application/json", good + good, 400, "bad request: body is not JSON"},
		{"an array", "application/json", "[]", 422, "*"},
		{"no members", "application/json", "{}", 422, shape},
		{"a number for a key", "application/json", `{"retrieval_key":1,"root":"` + root + `"}`, 422, "*"},
		{"half a range", "application/json", contentBody(merkle.Hash{}, s.head().Root, `{"start":1}`), 422, shape},
		{"a negative range", "application/json", contentBody(merkle.Hash{}, s.head().Root, `{"start":-1,"end":2}`), 422, "*"},
		{"a fraction", "application/json", contentBody(merkle.Hash{}, s.head().Root, `{"start":0.5,"end":2}`), 422, "*"},
		{"range that ends before it begins", "application/json", contentBody(merkle.Hash{}, s.head().Root, `{"start":2,"end":1}`), 400, "bad request: bad range"},
		{"bad key", "application/json", body("zz", root), 400, "bad request: bad retrieval key"},
		{"bad root", "application/json", body(key, "latest"), 400, "bad request: bad root"},
		{"unknown root", "application/json", body(key, other), 404, "unknown root"},
		{"members that nobody knows", "application/json", `{"x":[{}],` + good[1:], 200, "*"},
		{"upper case", "application/json", body(strings.ToUpper(key), strings.ToUpper(root)), 200, "*"},
		{"2 MiB and a byte", "application/json", good + strings.Repeat(" ", 2<<20+1-len(good)), 413, "body too large: over 2097152 bytes"},
		{"2 MiB", "application/json", good + strings.Repeat(" ", 2<<20-len(good)), 200, "*"},
	} {
		for _, tail := range []string{"/content", "/proof"} {
			t.Run(tail+" "+tc.name, func(t *testing.T) {
				want(t, s.do("POST", s.path(tail), strings.NewReader(tc.body), set("Content-Type", tc.kind)),
					tc.status, tc.text)
			})
		}
	}
	for _, tail := range []string{"/content", "/proof"} {
		want(t, s.do("POST", "/stores/"+strings.Repeat("ab", 32)+tail, strings.NewReader(good), asJSON),
			404, "unknown store")
	}
}

func TestContentOfRevokedAndNarrowed(t *testing.T) {
	s := newSite(t, 2, nil)
	tomb, err := auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: s.id, Root: s.heads[0].Root}, s.publisher)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.memory.Revoke(t.Context(), tomb); err != nil {
		t.Fatal(err)
	}
	ask := func(root merkle.Hash) *http.Response {
		return s.do("POST", s.path("/content"),
			strings.NewReader(contentBody(merkle.Hash{}, root, "")), asJSON)
	}
	want(t, ask(s.heads[0].Root), 200, "*")
	s.serve(s.stores, &server.Options{WithholdRevoked: true})
	want(t, ask(s.heads[0].Root), 410, "revoked")
	want(t, ask(s.heads[1].Root), 200, "*")
	want(t, s.do("GET", s.path(fmt.Sprintf("/delta?from=%s&to=%s", s.heads[1].Root, s.heads[0].Root)),
		nil), 410, "revoked")
	s.serve(s.stores, &server.Options{Only: []auth.StoreID{{1}}})
	want(t, ask(s.heads[1].Root), 404, "unknown store")
	if _, err := s.server.Resources().Open(t.Context(), module.ID{Store: s.id, Root: s.heads[1].Root},
		merkle.Hash{}); err == nil {
		t.Error("Contents serves what the server does not")
	}
}

// gated returns a site whose only generation requires a token.
func gated(t testing.TB) *site {
	s := newSite(t, 0, nil)
	mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher, files(0),
		&module.Options{TempDir: t.TempDir(), AuthInfo: &module.AuthInfo{RequiresJWT: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
		t.Fatal(err)
	}
	s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
	return s
}

func TestGatedModulesAnswerDecoys(t *testing.T) {
	s := gated(t)
	key := urn.RetrievalKey(s.id, "index.html")
	for _, kind := range []server.DecoyKind{server.DecoyKeyed, server.DecoyReference,
		server.DecoyGuest} {
		s.serve(s.stores,
			&server.Options{Resources: server.NewResourceIndex(s.stores,
				&server.ResourceIndexOptions{Decoys: kind})})
		a, _ := s.content(t, key, s.head().Root, "")
		var p merkle.Proof
		if len(a.Proof) > 0 {
			if err := p.UnmarshalBinary(a.Proof); err != nil {
				t.Fatal(err)
			}
		}
		_, err := remote.OpenContent(&module.ContentResponse{Sealed: a.Ciphertext, Proof: p,
			ChunkLens: a.ChunkLens}, s.head().Root, urn.NewKey(s.id, "index.html", nil))
		if !errors.Is(err, remote.ErrVerification) {
			t.Errorf("decoys of kind %d: a gated module gave what it has: %v", kind, err)
		}
	}
	s.serve(s.stores, nil)
	m, err := module.Open(bytes.NewReader(s.modules[0]), int64(len(s.modules[0])))
	if err != nil {
		t.Fatal(err)
	}
	request := module.ContentRequest{Key: key}
	encoded, _ := request.MarshalBinary()
	answer, err := remotetest.Guest{Module: m}.Content(t.Context(), encoded)
	if err != nil {
		t.Fatal(err)
	}
	var r module.ContentResponse
	if err := r.UnmarshalBinary(answer); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.OpenContent(&r, s.head().Root,
		urn.NewKey(s.id, "index.html", nil)); !errors.Is(err, remote.ErrVerification) {
		t.Errorf("a gated guest gave what it has: %v", err)
	}
}

// A prover implements server.Prover by a function.
type prover func(ctx context.Context, id module.ID, key merkle.Hash,
	served *server.SealedResource) (*module.ExecutionProof, error)

func (p prover) Prove(ctx context.Context, id module.ID, key merkle.Hash,
	served *server.SealedResource) (*module.ExecutionProof, error) {
	return p(ctx, id, key, served)
}

func TestProofRoute(t *testing.T) {
	s := newContentSite(t, 1)
	body := contentBody(urn.RetrievalKey(s.id, "index.html"), s.head().Root, "")
	ask := func() *http.Response {
		return s.do("POST", s.path("/proof"), strings.NewReader(body), asJSON)
	}
	want(t, ask(), 200, `{"proof_b64":"","roothash":"`+s.head().Root.String()+`"}`)

	made := module.ExecutionProof{ProgramHash: merkle.Hash{7}, Proof: []byte("proof")}
	encoded, err := made.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var asked []merkle.Hash
	s.serve(s.stores,
		&server.Options{Prover: prover(func(ctx context.Context, id module.ID, key merkle.Hash,
			served *server.SealedResource) (*module.ExecutionProof, error) {
			if id != (module.ID{Store: s.id, Root: s.head().Root}) || served.Size() == 0 {
				t.Errorf("asked about %v, %d bytes", id, served.Size())
			}
			asked = append(asked, key)
			return &made, nil
		})})
	want(t, ask(), 200, `{"proof_b64":"`+base64.StdEncoding.EncodeToString(encoded)+`","roothash":"`+s.head().Root.String()+`"}`)
	body = contentBody(urn.RetrievalKey(s.id, "nowhere"), s.head().Root, "")
	want(t, ask(), 200, "*") // the prover is called for a miss too
	if len(asked) != 2 {
		t.Errorf("asked %d times", len(asked))
	}
	s.serve(s.stores,
		&server.Options{Prover: prover(func(context.Context, module.ID, merkle.Hash,
			*server.SealedResource) (*module.ExecutionProof, error) {
			return nil, errors.New("the secret prover is out of order")
		})})
	want(t, ask(), 500, "internal server error")
}

// TestHitsAndMissesLookAlike: the status, the headers and the order of the members are the same.
func TestHitsAndMissesLookAlike(t *testing.T) {
	s := newContentSite(t, 1)
	shape := func(name string) (headers []string, members []string) {
		res := s.do("POST", s.path("/content"),
			strings.NewReader(contentBody(urn.RetrievalKey(s.id, name), s.head().Root, "")), asJSON)
		dec := json.NewDecoder(res.Body)
		for depth := 0; ; {
			token, err := dec.Token()
			if err != nil {
				break
			}
			switch v := token.(type) {
			case json.Delim:
				if v == '{' || v == '[' {
					depth++
				} else {
					depth--
				}
			case string:
				if depth == 1 &&
					strings.Contains("ciphertext_b64 merkle_proof_b64 roothash chunk_lens total_length", v) {
					members = append(members, v)
				}
			}
		}
		return slices.Sorted(maps.Keys(res.Header)), members
	}
	h1, m1 := shape("index.html")
	h2, m2 := shape("nowhere")
	if !slices.Equal(h1, h2) || !slices.Equal(m1, m2) || len(m1) != 5 {
		t.Errorf("hit %v %v, miss %v %v", h1, m1, h2, m2)
	}
}

// TestContentsReopens: the cache of a ResourceIndex does not outlive a generation and does not keep
// its reader open.
func TestContentsReopens(t *testing.T) {
	s := newSite(t, 1, nil)
	b := &countingBackend{Backend: s.stores}
	contents := withSecret(b)
	id := module.ID{Store: s.id, Root: s.head().Root}
	one, err := contents.Open(t.Context(), id, merkle.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := contents.Open(t.Context(), id, merkle.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	one.Close()
	one.Close()
	if b.open != 1 {
		t.Errorf("%d readers are open: want one for two users", b.open)
	}
	two.Close()
	if b.open != 0 {
		t.Errorf("%d readers are open after the last user has left", b.open)
	}
	b.gone = true
	if _, err := contents.Open(t.Context(), id, merkle.Hash{}); err == nil {
		t.Error("a generation that is gone is served from memory")
	}
}

type countingBackend struct {
	server.Backend
	open, opened int
	gone         bool
}

func (b *countingBackend) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	if b.gone {
		return nil, fs.ErrNotExist
	}
	r, err := b.Backend.Module(ctx, s, root)
	if err == nil {
		b.open++
		b.opened++
	}
	return &countingReader{struct{ io.ReadSeeker }{r}, b}, err // no io.ReaderAt
}

type countingReader struct {
	io.ReadSeeker
	b *countingBackend
}

func (r *countingReader) Close() error { r.b.open--; return nil }

// TestLargeModulesAreForElsewhere: the response of a server with MaxInlineModule, and the error of
// a client without a WindowFetcher.
func TestLargeModulesAreForElsewhere(t *testing.T) {
	s := newSite(t, 1, nil)
	size := int64(len(s.modules[0]))
	s.serve(s.stores, &server.Options{MaxInlineModule: size})
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
	s.serve(s.stores, &server.Options{MaxInlineModule: size - 1})
	root := s.head().Root
	want(t, s.do("GET", s.path("/module?root="+root.String()), nil), 413,
		fmt.Sprintf(`{"error":"capsule_too_large_for_get","total_length":%d,"rpc_method":"dig.getCapsule","store_id":"%s","root":"%s"}`, size, s.id, root))
	if res := s.do("HEAD", s.path("/module"), nil); res.StatusCode != 200 ||
		res.ContentLength != size {
		t.Errorf("HEAD: %d, %d bytes", res.StatusCode, res.ContentLength)
	}
	if _, err := s.visitor(t, s.server, nil).Module(t.Context(),
		root); !errors.Is(err, remote.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, remote.ErrTooLarge)
	}
}
