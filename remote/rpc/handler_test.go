package rpc_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

var update = flag.Bool("update", false, "write the goldens anew")

type params map[string]any

// TestWindowsOfAModule requests all pairs of offsets and lengths at the edges of the arithmetic,
// and checks the windows by the rule of remote/PROTOCOL.md 10.3.
func TestWindowsOfAModule(t *testing.T) {
	s := newSite(t, 1, true)
	mod := s.modules[0]
	total := int64(len(mod))
	if total < rpc.MaxWindow+2*rpc.Block || total%rpc.Block == 0 {
		t.Fatalf("a module of %d bytes does not reach all cases", total)
	}
	edges := []int64{0, 1, rpc.Block - 1, rpc.Block, rpc.Block + 1, rpc.MaxWindow - 1, rpc.MaxWindow,
		rpc.MaxWindow + 1, total - 1, total, total + 1, 1 << 62}
	lengths := append([]int64{-1}, edges...) // -1: no length
	for _, offset := range edges {
		for _, length := range lengths {
			p := params{"store_id": s.id, "root": s.head(), "offset": offset}
			size := int64(rpc.MaxWindow)
			if length >= 0 {
				p["length"] = length
				size = min(max(length, 1), rpc.MaxWindow)
			}
			if (length < 0 || length > 3*rpc.Block) && offset != 0 && offset != rpc.MaxWindow-1 {
				continue // similar to others and expensive to encode
			}
			start := offset / rpc.Block * rpc.Block
			end := start
			for end < start+size {
				end += rpc.Block
			}
			end = min(end, total)
			if offset >= total {
				start, end = total, total
			}
			var w rpc.Window
			if err := ask(t, s.handler, "dig.getCapsule", p, &w); err != nil {
				t.Fatal(err)
			}
			if w.Offset != start || w.Length != end-start || w.TotalLength != total ||
				!bytes.Equal(w.Ciphertext, mod[start:end]) ||
				w.Complete != (end == total) || (w.NextOffset == nil) != w.Complete ||
				w.NextOffset != nil && *w.NextOffset != end ||
				w.ChunkLens != nil || len(w.InclusionProof) != 0 || w.Root != s.head() ||
				w.ProgramHash != merkle.Sum(mod) {
				t.Errorf("offset %d, length %d: got %d bytes at %d of %d, complete %v; want %d to %d", offset,
					length, w.Length, w.Offset, w.TotalLength, w.Complete, start, end)
			}
		}
	}
}

// TestContentWindows: every window has the proof, the first has the chunk lengths, and together
// they are the resource. Decoys equal those of the other tier.
func TestContentWindows(t *testing.T) {
	s := newSite(t, 1, true)
	for _, name := range []string{"large.bin", "index.html", "nowhere"} {
		key := urn.RetrievalKey(s.id, name)
		c, err := s.contents.Open(t.Context(), module.ID{Store: s.id, Root: s.head()}, key)
		if err != nil {
			t.Fatal(err)
		}
		wanted := make([]byte, c.Size())
		c.ReadAt(wanted, 0)
		proof, _ := c.ProofBytes()
		var got []byte
		for next := int64(0); ; {
			var w rpc.Window
			if err := ask(t, s.handler, "dig.getContent",
				params{"store_id": s.id, "retrieval_key": key, "offset": next}, &w); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(w.InclusionProof, proof) || w.Root != s.head() ||
				slices.Equal(w.ChunkLens, c.ChunkLens) != (next == 0) {
				t.Errorf("%s, window at %d: proof, root or chunk lengths", name, next)
			}
			got = append(got, w.Ciphertext...)
			if w.NextOffset == nil {
				break
			}
			next = *w.NextOffset
		}
		if !bytes.Equal(got, wanted) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(wanted))
		}
		c.Close()
	}
}

func TestResults(t *testing.T) {
	s := newSite(t, 2, false)
	program := merkle.Sum(s.modules[1])

	var m rpc.Metadata
	if err := ask(t, s.handler, "dig.getMetadata", params{"store_id": s.id}, &m); err != nil {
		t.Fatal(err)
	}
	if m.Manifest == nil || m.Manifest.Name != "generation 1" || m.Root != s.head() ||
		m.ProgramHash != program {
		t.Errorf("metadata %+v", m)
	}
	var old rpc.Metadata
	if err := ask(t, s.handler, "dig.getMetadata", params{"store_id": s.id, "root": s.heads[0].Root},
		&old); err != nil || old.Manifest.Name != "generation 0" {
		t.Errorf("metadata of the generation before: %+v, %v", old.Manifest, err)
	}
	var p rpc.Proof
	if err := ask(t, s.handler, "dig.getProof",
		params{"store_id": s.id, "retrieval_key": urn.RetrievalKey(s.id, "index.html")}, &p); err != nil {
		t.Fatal(err)
	}
	var proof merkle.Proof
	if err := proof.UnmarshalBinary(p.InclusionProof); err != nil ||
		proof.Check(proof.Leaf, s.head()) != nil || p.ExecutionProofStatus != rpc.ProofElsewhere {
		t.Errorf("proof %+v, %v", p, err)
	}
	if err := ask(t, s.handler, "dig.getProof",
		params{"store_id": s.id, "retrieval_key": urn.RetrievalKey(s.id, "nowhere")}, &p); err != nil {
		t.Error(err)
	}
	if err := proof.UnmarshalBinary(p.InclusionProof); err != nil ||
		proof.Check(proof.Leaf, s.head()) == nil {
		t.Errorf("the proof of what is not there: %v", err)
	}
	var st rpc.ProofStatus
	if err := ask(t, s.handler, "dig.getProofStatus", params{"store_id": s.id, "proof_id": "x"},
		&st); err != nil || st.Status != rpc.ProofNotFound || *st.Root != s.head() || st.ProofID != "x" {
		t.Errorf("status %+v, %v", st, err)
	}
	var list rpc.CapsuleList
	if err := ask(t, s.handler, "dig.listCapsules", params{"store_id": s.id}, &list); err != nil ||
		len(list.Capsules) != 2 || list.Store != s.id {
		t.Fatalf("capsules %+v, %v", list, err)
	}
	for i, c := range list.Capsules {
		if c.Seq != uint64(i) || c.Root != s.heads[i].Root || c.ProgramHash == nil ||
			*c.ProgramHash != merkle.Sum(s.modules[i]) {
			t.Errorf("capsule %d: %+v", i, c)
		}
	}
	var man rpc.Manifest
	if err := ask(t, s.handler, "dig.getManifest", params{"store_id": s.id}, &man); err != nil ||
		man.RetrievalKey != urn.RetrievalKey(s.id, rpc.ManifestName) || man.Length == 0 {
		t.Errorf("manifest %+v, %v", man, err)
	}
	var health rpc.Health
	var methods rpc.MethodList
	if err := ask(t, s.handler, "dig.health", params{}, &health); err != nil || !health.OK ||
		health.Service != "dig-rpc" || health.Status != "ok" {
		t.Errorf("health %+v, %v", health, err)
	}
	if err := ask(t, s.handler, "dig.methods", nil, &methods); err != nil ||
		!slices.Equal(methods.Methods, health.Methods) {
		t.Errorf("methods %v and %v, %v", methods.Methods, health.Methods, err)
	}
	for _, name := range methods.Methods {
		if err := ask(t, s.handler, name, params{}, nil); err != nil && err.Code != rpc.CodeParams {
			t.Errorf("%s is listed, and answers %v", name, err)
		}
	}
}

func TestErrors(t *testing.T) {
	s := newSite(t, 1, false)
	other, empty := merkle.Hash{7}.String(), auth.StoreID{0xee}.String()
	key := merkle.Hash{}.String()
	for _, tc := range []struct {
		name, method string
		params       any
		code         int // 0: none
	}{
		{"no such method", "dig.putContent", params{}, rpc.CodeNoMethod},
		{"by position", "dig.getContent", []string{s.id.String()}, rpc.CodeParams},
		{"no params", "dig.getContent", nil, rpc.CodeParams},
		{"no key", "dig.getContent", params{"store_id": s.id}, rpc.CodeParams},
		{"no store", "dig.getContent", params{"retrieval_key": key}, rpc.CodeParams},
		{"bad store", "dig.getContent", params{"store_id": "x", "retrieval_key": key}, rpc.CodeParams},
		{"bad key", "dig.getContent", params{"store_id": s.id, "retrieval_key": "x"}, rpc.CodeParams},
		{"bad root", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "root": "newest"}, rpc.CodeParams},
		{"negative offset", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "offset": -1}, rpc.CodeParams},
		{"offset of a fraction", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "offset": 0.5}, rpc.CodeParams},
		{"latest", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "root": "latest"}, 0},
		{"empty root", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "root": ""}, 0},
		{"null root", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "root": nil}, 0},
		{"members that nobody knows", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "x": 1}, 0},
		{"unknown store", "dig.getContent", params{"store_id": other, "retrieval_key": key}, rpc.CodeUnavailable},
		{"unknown store and a root", "dig.getContent", params{"store_id": other, "retrieval_key": key, "root": other}, rpc.CodeUnavailable},
		{"unknown root", "dig.getContent", params{"store_id": s.id, "retrieval_key": key, "root": other}, rpc.CodeUnavailable},
		{"nothing there yet", "dig.getContent", params{"store_id": empty, "retrieval_key": key}, rpc.CodeParams},
		{"a miss", "dig.getContent", params{"store_id": s.id, "retrieval_key": other}, 0},
		{"unknown root of a module", "dig.getCapsule", params{"store_id": s.id, "root": other}, rpc.CodeUnavailable},
		{"unknown root of a module, by its other name", "dig.getModule", params{"store_id": s.id, "root": other}, rpc.CodeUnavailable},
		{"unknown root of metadata", "dig.getMetadata", params{"store_id": s.id, "root": other}, rpc.CodeUnavailable},
		{"unknown store of a list", "dig.listCapsules", params{"store_id": other}, rpc.CodeUnavailable},
		{"an empty list", "dig.listCapsules", params{"store_id": empty}, 0},
		{"no proof id", "dig.getProofStatus", params{"store_id": s.id}, rpc.CodeParams},
		{"a long proof id", "dig.getProofStatus", params{"store_id": s.id, "proof_id": strings.Repeat("x", 300)}, rpc.CodeParams},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := ask(t, s.handler, tc.method, tc.params, nil)
			if got := err; (got == nil) != (tc.code == 0) || got != nil && got.Code != tc.code {
				t.Errorf("got %v, want code %d", err, tc.code)
			}
		})
	}
}

func TestMetadataTooLarge(t *testing.T) {
	s := newSite(t, 1, false)
	meta := &module.Metadata{SchemaVersion: 1, Keywords: []string{strings.Repeat("k", 3<<20)}}
	s.add(t, &module.Options{TempDir: t.TempDir(), Metadata: meta})
	if err := ask(t, s.handler, "dig.getMetadata", params{"store_id": s.id}, nil); err == nil ||
		err.Code != rpc.CodeTooLarge {
		t.Errorf("got %v", err)
	}
}

// TestEnvelope checks batches, notifications, ids and invalid requests.
func TestEnvelope(t *testing.T) {
	s := newSite(t, 1, false)
	const one = `{"jsonrpc":"2.0","id":1,"method":"dig.methods"}`
	const parse = `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`
	const invalid = `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}`
	methods := post(s.handler, one).Body.String()
	if !strings.HasPrefix(methods, `{"jsonrpc":"2.0","id":1,"result":{"methods":["dig.getCapsule"`) {
		t.Fatal(methods)
	}
	with := func(id string) string { return strings.Replace(methods, `"id":1`, `"id":`+id, 1) }
	for _, tc := range []struct{ name, body, want string }{
		{"empty body", "", parse},
		{"no JSON", "{", parse},
		{"two values", one + one, parse},
		{"empty batch", " [] ", `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"empty batch"}}`},
		{"a number", "1", invalid},
		{"a string", `"x"`, invalid},
		{"null", "null", invalid},
		{"no method", `{"jsonrpc":"2.0","id":7}`, strings.Replace(invalid, "null", "7", 1)},
		{"a number for a method", `{"jsonrpc":"2.0","id":7,"method":1}`, invalid},
		{"version 1", `{"id":"a","method":"dig.methods"}`, strings.Replace(invalid, "null", `"a"`, 1)},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"dig.methods"}`, with("null")},
		{"id of letters", `{"jsonrpc":"2.0","id":"a b","method":"dig.methods"}`, with(`"a b"`)},
		{"id an object", `{"jsonrpc":"2.0","id":{},"method":"dig.methods"}`, invalid},
		{"id too long", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 256) + `","method":"dig.methods"}`, invalid},
		{"a name twice", `{"jsonrpc":"2.0","id":1,"method":"no.such","method":"dig.methods"}`, invalid},
		{"a name twice, deeper", `{"jsonrpc":"2.0","id":1,"method":"dig.methods","params":{"a":1,"A":2}}`, invalid},
		{"nested deep", `{"jsonrpc":"2.0","id":1,"method":"dig.methods","params":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, invalid},
		{"nested as deep as a body allows", strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19), parse},
		{"params null", `{"jsonrpc":"2.0","id":1,"method":"dig.methods","params":null}`, methods},
		{"a notification", `{"jsonrpc":"2.0","method":"dig.methods"}`, ""},
		{"a notification of nothing", `{"jsonrpc":"2.0","method":"no.such"}`, ""},
		{"a batch of one", "[" + one + "]", "[" + methods + "]"},
		{"a batch", `[` + one + `,1,{"jsonrpc":"2.0","method":"dig.methods"},` + strings.Replace(one, "1", "2", 1) + `]`,
			"[" + methods + "," + invalid + "," + with("2") + "]"},
		{"a batch of notifications", `[{"jsonrpc":"2.0","method":"dig.methods"}]`, ""},
		{"16 in a batch", "[" + strings.TrimSuffix(strings.Repeat(one+",", 16), ",") + "]", "[" + strings.TrimSuffix(strings.Repeat(methods+",", 16), ",") + "]"},
		{"17 in a batch", "[" + strings.TrimSuffix(strings.Repeat(one+",", 17), ",") + "]",
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch of 17 requests, at most 16 are answered"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := post(s.handler, tc.body)
			if w.Code != 200 || w.Body.String() != tc.want {
				t.Errorf("got %d %s\nwant 200 %s", w.Code, w.Body, tc.want)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	s := newSite(t, 1, true)
	s.handler = serverrpc.NewHandler(s.contents,
		&serverrpc.Options{PerIP: noLimit, MaxAnswer: 2*rpc.MaxWindow + 10})
	call := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"dig.getCapsule","params":{"store_id":"%s"}}`, s.id)
	w := post(s.handler, "["+call+","+call+","+call+"]")
	var replies []struct {
		Err *rpc.Error `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &replies); err != nil || len(replies) != 3 ||
		replies[0].Err != nil || replies[1].Err != nil ||
		replies[2].Err == nil || replies[2].Err.Code != rpc.CodeRuntime {
		t.Errorf("%v: %+v", err, replies)
	}
}

func TestHTTP(t *testing.T) {
	s := newSite(t, 1, false)
	h := serverrpc.NewHandler(s.contents,
		&serverrpc.Options{PerIP: server.Rate{PerSecond: 1, Burst: 4}, Now: func() time.Time {
			return time.Unix(0, 0)
		}})
	for _, tc := range []struct {
		method, target, body string
		status               int
		text                 string // "*": any
	}{
		{"OPTIONS", "/", "", 204, ""},
		{"GET", "/", "", 405, "method not allowed"},
		{"DELETE", "/", "", 405, "method not allowed"},
		{"POST", "/openrpc.json", "", 405, "method not allowed"},
		{"POST", "/rpc", "{}", 404, "not found"},
		{"POST", "/", strings.Repeat(" ", 1<<20) + "x", 413, "body too large: over 1048576 bytes"},
		{"POST", "/", `{"jsonrpc":"2.0","id":1,"method":"dig.health"}`, 200, "*"},
		{"GET", "/openrpc.json", "", 200, "*"},
		{"HEAD", "/openrpc.json", "", 200, ""},
		{"POST", "/", `{}`, 429, "rate limited"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.target, strings.NewReader(tc.body)))
		if w.Code != tc.status || tc.text != "*" && w.Body.String() != tc.text {
			t.Errorf("%s %s: %d %.100s, want %d %s", tc.method, tc.target, w.Code, w.Body,
				tc.status, tc.text)
		}
		for name, value := range map[string]string{"Access-Control-Allow-Origin": "*",
			"Access-Control-Allow-Methods": "POST, OPTIONS",
			"Access-Control-Allow-Headers": "content-type", "Access-Control-Max-Age": "86400", "X-Content-Type-Options": "nosniff",
			"Access-Control-Allow-Credentials": "",
			"Content-Security-Policy":          "default-src 'none'; frame-ancestors 'none'"} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s %s: %s is %q, want %q", tc.method, tc.target, name, got, value)
			}
		}
		if tc.status == 429 && w.Header().Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
	}
}

// TestTranscripts compares every method's response with testdata/transcripts.
func TestTranscripts(t *testing.T) {
	s := newSite(t, 2, false)
	key, root := urn.RetrievalKey(s.id, "index.html"), s.heads[0].Root
	var got bytes.Buffer
	for _, call := range []struct {
		method string
		params params
	}{
		{"dig.getContent", params{"store_id": s.id, "retrieval_key": key}},
		{"dig.getContent", params{"store_id": s.id, "retrieval_key": key, "root": root, "offset": 5, "length": 1}},
		{"dig.getContent", params{"store_id": s.id, "retrieval_key": merkle.Hash{1}}},
		{"dig.getContent", params{"store_id": s.id, "retrieval_key": key, "offset": 1 << 30}},
		{"dig.getCapsule", params{"store_id": s.id, "root": root, "offset": 1 << 30}},
		{"dig.getModule", params{"store_id": s.id, "root": merkle.Hash{1}}},
		{"dig.getManifest", params{"store_id": s.id}},
		{"dig.getMetadata", params{"store_id": s.id}},
		{"dig.getProof", params{"store_id": s.id, "retrieval_key": key}},
		{"dig.getProofStatus", params{"store_id": s.id, "proof_id": "p"}},
		{"dig.listCapsules", params{"store_id": s.id}},
		{"dig.health", params{}},
		{"dig.methods", params{}},
	} {
		text, err := json.Marshal(call.params)
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}`, call.method, text)
		fmt.Fprintf(&got, "> %s\n< %s\n\n", body, post(s.handler, body).Body)
	}
	name := filepath.Join("testdata", "transcripts", "methods.txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(wanted), got.String()); diff != "" {
		t.Errorf("(-want +got; rewrite with -update):\n%s", diff)
	}
}

// FuzzHandler sends arbitrary bodies.
func FuzzHandler(f *testing.F) {
	s := newSite(f, 1, false)
	f.Add([]byte(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"dig.getContent","params":{"store_id":"%s","retrieval_key":"%s","offset":18446744073709551615,"length":0}}`, s.id, s.head())))
	f.Add([]byte(fmt.Sprintf(`[{"jsonrpc":"2.0","id":"x","method":"dig.getCapsule","params":{"store_id":"%s"}},1]`, s.id)))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"dig.getProofStatus","params":{"store_id":"00","proof_id":""}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest("POST", "/", bytes.NewReader(body)))
		if w.Code != 200 && w.Code != 413 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code == 200 && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("no JSON: %s", w.Body)
		}
	})
}
