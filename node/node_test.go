package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unlimited lets tests ask as often as they like.
var unlimited = node.Limits{Callers: api.Limits{Capsules: api.Bucket{PerMinute: -1},
	Challenges: api.Bucket{PerMinute: -1}, Requests: api.Bucket{PerMinute: -1}}}

// A running is a node that runs behind a real listener.
type running struct {
	*node.Node
	url  string
	stop func() error // ends the node and returns what Run returned
}

var nodeKey = auth.NewNodeKey([32]byte{1})

// start runs a node until the test ends, mounted below prefix.
func start(t *testing.T, c node.Config, prefix string) *running {
	t.Helper()
	if c.Key == nil {
		c.Key = nodeKey
	}
	if c.Storage == nil {
		c.Storage = storage.NewMemory(nil)
	}
	n, err := node.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case <-time.After(time.Minute):
		t.Fatal("node is not ready after a minute")
	}
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, n))
	srv := httptest.NewServer(mux)
	r := &running{Node: n, url: srv.URL + prefix}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-ended
		srv.Close()
		return err
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request. Headers are pairs of a name and a value.
func do(t *testing.T, method, url string, body []byte, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, text}
}

// code returns the code of a problem.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var p struct {
		Code      string `json:"code"`
		Status    int    `json:"status"`
		RequestID string `json:"request_id"`
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d, Content-Type %q, expected a problem: %s", a.StatusCode, got, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != a.StatusCode || p.RequestID != a.Header.Get("X-Request-ID") {
		t.Errorf("problem %s does not agree with status %d and id %q", a.body, a.StatusCode,
			a.Header.Get("X-Request-ID"))
	}
	return p.Code
}

// content returns files of the corpus as one text.
func content(t *testing.T, seed uint64) []byte {
	t.Helper()
	b := corpus.Small(seed).Concat()
	return b[:min(len(b), 350_000)]
}

// fill commits a generation to a storage.
func fill(t *testing.T, st storage.Storage, g capsuletest.Generation, meta storage.Meta) {
	t.Helper()
	for i, d := range g.Capsules {
		if err := st.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			t.Fatal(err)
		}
	}
	text, err := meta.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = st.Commit(t.Context(), &storage.Generation{Manifest: g.Manifest, Meta: text, Head: true})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCapsule(t *testing.T) {
	st := storage.NewMemory(nil)
	g := capsuletest.Split(t, 1, 100_000, content(t, 1))
	fill(t, st, g, storage.Meta{})
	n := start(t, node.Config{Storage: st, Limits: unlimited}, "/dig")
	d := g.Capsules[1]
	url := fmt.Sprintf("%s/capsule/0x%v/1", n.url, g.Store)
	want := g.Content[1]
	tag := `"` + d.Hash.String() + `"`
	tests := []struct {
		name    string
		method  string
		query   string
		headers []string
		status  int
		body    []byte
		header  []string // pairs that the answer has
		code    string
	}{
		{name: "whole", status: 200, body: want, header: []string{"ETag", tag, "Accept-Ranges",
			"bytes", "X-Dig-Cache", "disk_read", "Cache-Control",
			"public, max-age=60, must-revalidate", "Access-Control-Allow-Origin", "*",
			"X-Capsule-Hash", "0x" + d.Hash.String(), "X-Content-Type-Options", "nosniff"}},
		{name: "again", status: 200, body: want, header: []string{"X-Dig-Cache", "l2_hit"}},
		{name: "third", status: 200, body: want, header: []string{"X-Dig-Cache", "l1_hit"}},
		{name: "by root", query: "?root=" + g.Root.String(), status: 200, body: want,
			header: []string{"Cache-Control", "public, max-age=31536000, immutable"}},
		{name: "head", method: "HEAD", status: 200,
			header: []string{"Content-Length", fmt.Sprint(len(want)), "ETag", tag}},
		{name: "head ignores range", method: "HEAD", headers: []string{"Range", "bytes=0-1"},
			status: 200, header: []string{"Content-Length", fmt.Sprint(len(want))}},
		{name: "range", headers: []string{"Range", "bytes=10-19"}, status: 206,
			body: want[10:20], header: []string{"Content-Range",
				fmt.Sprintf("bytes 10-19/%d", len(want))}},
		{name: "open range", headers: []string{"Range", "bytes=99990-"}, status: 206,
			body: want[99990:]},
		{name: "last bytes", headers: []string{"Range", "bytes=-5"}, status: 206,
			body: want[len(want)-5:]},
		{name: "more last bytes than there are", headers: []string{"Range", "bytes=-99999999"},
			status: 206, body: want},
		{name: "no last bytes", headers: []string{"Range", "bytes=-0"}, status: 416,
			code: "range_not_satisfiable", header: []string{"Content-Range",
				fmt.Sprintf("bytes */%d", len(want)), "ETag", tag}},
		{name: "range behind the end", headers: []string{"Range", "bytes=100000-"}, status: 416,
			code: "range_not_satisfiable"},
		{name: "range with a huge number",
			headers: []string{"Range", "bytes=0-99999999999999999999999"}, status: 206, body: want},
		{name: "two ranges", headers: []string{"Range", "bytes=0-1,3-4"}, status: 200, body: want},
		{name: "reversed", headers: []string{"Range", "bytes=9-3"}, status: 200, body: want},
		{name: "malformed", headers: []string{"Range", "bytes=x-3"}, status: 200, body: want},
		{name: "other unit", headers: []string{"Range", "items=0-3"}, status: 200, body: want},
		{name: "if-range holds", headers: []string{"Range", "bytes=0-3", "If-Range", tag},
			status: 206, body: want[:4]},
		{name: "if-range does not hold", headers: []string{"Range", "bytes=0-3", "If-Range",
			`"other"`}, status: 200, body: want},
		{name: "if-range weak", headers: []string{"Range", "bytes=0-3", "If-Range", "W/" + tag},
			status: 200, body: want},
		{name: "not modified", headers: []string{"If-None-Match", `"x", W/` + tag}, status: 304},
		{name: "modified", headers: []string{"If-None-Match", `"x"`}, status: 200, body: want},
		{name: "any", headers: []string{"If-None-Match", "*"}, status: 304},
		{name: "match", headers: []string{"If-Match", tag}, status: 200, body: want},
		{name: "no match", headers: []string{"If-Match", `"x"`}, status: 412,
			code: "precondition_failed"},
		{name: "weak match", headers: []string{"If-Match", "W/" + tag}, status: 412,
			code: "precondition_failed"},
		{name: "not modified since", headers: []string{"If-Modified-Since",
			"Tue, 14 Nov 2023 22:13:20 GMT"}, status: 304},
		{name: "modified since", headers: []string{"If-Modified-Since",
			"Tue, 14 Nov 2023 22:13:19 GMT"}, status: 200, body: want},
		{name: "unmodified since", headers: []string{"If-Unmodified-Since",
			"Tue, 14 Nov 2023 22:13:19 GMT"}, status: 412, code: "precondition_failed"},
		{name: "no proof", query: "?proof=0", status: 200, body: want,
			header: []string{"X-Merkle-Proof", ""}},
		{name: "encoded where it is not kept so", query: "?encoded=1",
			headers: []string{"Accept-Encoding", "zstd"}, status: 200, body: want,
			header: []string{"Content-Encoding", ""}},
		{name: "other root", query: "?root=" + strings.Repeat("ab", 32), status: 404,
			code: "capsule_not_found", header: []string{"Cache-Control", "no-store"}},
		{name: "malformed root", query: "?root=0Xab", status: 400, code: "invalid_hex"},
		{name: "malformed query", query: "?root=%zz", status: 400, code: "invalid_argument"},
		{name: "post", method: "POST", status: 405, code: "method_not_allowed",
			header: []string{"Allow", "GET, HEAD, OPTIONS"}},
		{name: "preflight", method: "OPTIONS", headers: []string{"Origin", "https://a.example",
			"Access-Control-Request-Method", "GET"}, status: 204, header: []string{
			"Access-Control-Allow-Methods", "GET", "Access-Control-Max-Age", "600"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "GET"
			}
			got := do(t, tt.method, url+tt.query, nil, tt.headers...)
			if got.StatusCode != tt.status {
				t.Fatalf("status %d, expected %d: %.200s", got.StatusCode, tt.status, got.body)
			}
			if tt.code == "" && !bytes.Equal(got.body, tt.body) {
				t.Errorf("found %d bytes of body, expected %d", len(got.body), len(tt.body))
			}
			if tt.code != "" && got.code(t) != tt.code {
				t.Errorf("code %q, expected %q", got.code(t), tt.code)
			}
			for i := 0; i+1 < len(tt.header); i += 2 {
				if h := got.Header.Get(tt.header[i]); h != tt.header[i+1] {
					t.Errorf("%s: %q, expected %q", tt.header[i], h, tt.header[i+1])
				}
			}
		})
	}
	checkProof(t, do(t, "GET", url, nil), g, 1)
	checkProof(t, do(t, "HEAD", n.url+"/blob/"+d.Hash.String(), nil), g, 1)
	for path, code := range map[string]string{
		"/capsule/zz/0":                                                 "invalid_hex",
		fmt.Sprintf("/capsule/%v/01", g.Store):                          "invalid_index",
		fmt.Sprintf("/capsule/%v/-1", g.Store):                          "invalid_index",
		fmt.Sprintf("/capsule/%v/4294967296", g.Store):                  "invalid_index",
		fmt.Sprintf("/capsule/%v/77", g.Store):                          "capsule_not_found",
		fmt.Sprintf("/capsule/%s/0", strings.Repeat("99", 32)):          "capsule_not_found",
		"/blob/" + strings.Repeat("99", 32):                             "capsule_not_found",
		"/capsule/":                                                     "route_not_found",
		fmt.Sprintf("/capsule/%v/1/", g.Store):                          "route_not_found",
		"/node/status":                                                  "route_not_found",
		"/" + strings.Repeat("x", 2000):                                 "route_not_found",
		fmt.Sprintf("/datastore/%s/manifest", strings.Repeat("99", 32)): "datastore_not_found",
	} {
		if got := do(t, "GET", n.url+path, nil).code(t); got != code {
			t.Errorf("%.80s: code %q, expected %q", path, got, code)
		}
	}
}

// checkProof checks the headers that prove a capsule.
func checkProof(t *testing.T, a answer, g capsuletest.Generation, i uint32) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(a.Header.Get("X-Merkle-Proof"))
	if err != nil {
		t.Fatal(err)
	}
	var p merkle.Proof
	if err := p.UnmarshalBinary(raw); err != nil {
		t.Fatalf("status %d, proof %x: %v", a.StatusCode, raw, err)
	}
	d := g.Capsules[i]
	if err := d.CheckProof(p, g.Root, uint32(len(g.Capsules))); err != nil {
		t.Error(err)
	}
	if got := a.Header.Get("X-Dig-Chunk-Root"); got != "0x"+d.ChunkRoot.String() {
		t.Errorf("chunk root %q, expected %v", got, d.ChunkRoot)
	}
}

func TestManifest(t *testing.T) {
	st := storage.NewMemory(nil)
	g := capsuletest.Split(t, 1, 50_000, content(t, 2))
	writer := auth.NewKey([32]byte{7})
	s, err := capsule.SignRoot(t.Context(), g.Manifest, 3, writer)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, st, g, storage.Meta{Generation: 3, Signature: s.Signature, Writer: s.Writer})
	n := start(t, node.Config{Storage: st, Limits: unlimited}, "")
	url := fmt.Sprintf("%s/datastore/%v/manifest", n.url, g.Store)

	whole := do(t, "GET", url, nil)
	m, err := capsule.ReadManifest(bytes.NewReader(whole.body), 0)
	if err != nil {
		t.Fatalf("%v: %s", err, whole.body)
	}
	found, ok := m.Statement()
	if !ok || found != s {
		t.Errorf("statement %v, expected %v", found, s)
	}
	if err := found.Check(); err != nil {
		t.Error(err)
	}
	if m.Root != g.Root || len(m.Capsules) != len(g.Capsules) {
		t.Errorf("root %v with %d capsules, expected %v with %d", m.Root, len(m.Capsules), g.Root,
			len(g.Capsules))
	}
	var page struct {
		Count    int     `json:"capsule_count"`
		Next     *int    `json:"next_offset"`
		Stored   *string `json:"stored"`
		Capsules []struct{ Index int }
	}
	got := do(t, "GET", url+"?offset=1&limit=2", nil)
	if err := json.Unmarshal(got.body, &page); err != nil {
		t.Fatal(err)
	}
	if page.Count != len(g.Capsules) || len(page.Capsules) != 2 || page.Capsules[0].Index != 1 ||
		page.Next == nil || *page.Next != 3 {
		t.Errorf("page %s", got.body)
	}
	if got.Header.Get("ETag") == whole.Header.Get("ETag") {
		t.Error("a page has the tag of the whole")
	}
	if a := do(t, "GET", url, nil, "If-None-Match", whole.Header.Get("ETag")); a.StatusCode != 304 {
		t.Errorf("status %d, expected 304", a.StatusCode)
	}
	if a := do(t, "GET", url, nil, "Accept", "text/html"); a.code(t) != "not_acceptable" {
		t.Errorf("status %d", a.StatusCode)
	}
	if a := do(t, "GET", url, nil, "Accept", "text/html, application/*;q=0.1"); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
	if a := do(t, "GET", url, nil, "Accept-Encoding", "gzip"); a.Header.Get("Content-Encoding") !=
		"gzip" || a.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("headers %v", a.Header)
	}
}

func TestPlainRoutes(t *testing.T) {
	n := start(t, node.Config{Limits: unlimited}, "")
	id := nodeKey.ID()
	tests := []struct{ path, has string }{
		{"/health", fmt.Sprintf(`"node_id":"%s"`, id)},
		{"/ready", `"ready"`},
		{"/network/peers", `{"peers":[]}`},
		{"/.well-known/dig-node.json", `"api_version":1`},
	}
	for _, tt := range tests {
		got := do(t, "GET", n.url+tt.path, nil)
		if got.StatusCode != 200 || !strings.Contains(string(got.body), tt.has) {
			t.Errorf("%s: status %d: %s", tt.path, got.StatusCode, got.body)
		}
	}
	if got := do(t, "GET", n.url+"/handle/my_data/resolve", nil).code(t); got != "invalid_argument" {
		t.Error(got)
	}
	got := do(t, "GET", n.url+"/handle/mydata.dig/resolve", nil)
	if code := got.code(t); code != "handle_not_found" {
		t.Error(code)
	}
	for sent, kept := range map[string]bool{"abc-1.2_X": true, "a b": false,
		strings.Repeat("a", 65): false} {
		got := do(t, "GET", n.url+"/health", nil, "X-Request-ID", sent).Header.Get("X-Request-ID")
		if (got == sent) != kept || got == "" {
			t.Errorf("request id %q answered by %q", sent, got)
		}
	}
}

// Several nodes are in one process, each with its own content, and each stops on its own.
func TestSeveralNodes(t *testing.T) {
	var nodes []*running
	for i := range byte(5) {
		st := storage.NewMemory(nil)
		fill(t, st, capsuletest.Of(t, i, []byte{i, 1, 2}), storage.Meta{})
		nodes = append(nodes, start(t, node.Config{Storage: st,
			Key: auth.NewNodeKey([32]byte{i + 1})}, fmt.Sprintf("/n%d", i)))
	}
	for i, n := range nodes {
		id := auth.StoreID{byte(i)}
		got := do(t, "GET", fmt.Sprintf("%s/capsule/%v/0", n.url, id), nil)
		if !bytes.Equal(got.body, []byte{byte(i), 1, 2}) {
			t.Errorf("node %d: %s", i, got.body)
		}
		other := do(t, "GET", fmt.Sprintf("%s/capsule/%v/0", n.url, auth.StoreID{99}), nil)
		if other.StatusCode != 404 {
			t.Errorf("node %d has the datastore of another: %d", i, other.StatusCode)
		}
	}
	if err := nodes[0].stop(); err != nil {
		t.Error(err)
	}
	if got := do(t, "GET", nodes[1].url+"/health", nil); got.StatusCode != 200 {
		t.Errorf("status %d after another node has stopped", got.StatusCode)
	}
}

// wait waits until ok reports true.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
