package openapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// document is /openapi.json as far as it is looked at.
type document struct {
	Paths map[string]map[string]operation
}

type operation struct {
	RequestBody struct{ Content map[string]media }
	Responses   map[string]struct{ Content map[string]media }
}

type media struct{ Schema json.RawMessage }

// checker validates values against schemas of the document.
type checker struct {
	doc      document
	compiler *jsonschema.Compiler
	seen     map[string]bool // "GET /path 200"
}

const docURL = "https://node.example/openapi.json"

func newChecker(t *testing.T, text []byte) *checker {
	t.Helper()
	c := &checker{compiler: jsonschema.NewCompiler(), seen: map[string]bool{}}
	if err := json.Unmarshal(text, &c.doc); err != nil {
		t.Fatal(err)
	}
	all, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(docURL, all); err != nil {
		t.Fatal(err)
	}
	return c
}

// validate holds a JSON text against the schema at a pointer into the document.
func (c *checker) validate(pointer string, text []byte) error {
	schema, err := c.compiler.Compile(docURL + "#" + pointer)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// answer checks one recorded answer.
func (c *checker) answer(t *testing.T, method, pattern string, res *http.Response, body []byte) {
	t.Helper()
	op, ok := c.doc.Paths[pattern][strings.ToLower(method)]
	if !ok {
		t.Fatalf("%s %s is not documented", method, pattern)
	}
	status := strconv.Itoa(res.StatusCode)
	name := status
	want, ok := op.Responses[name]
	if !ok {
		name = "default"
		want = op.Responses[name]
	}
	c.seen[method+" "+pattern+" "+name] = true
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if len(want.Content) == 0 {
		if len(body) > 0 {
			t.Errorf("%s %s: status %s with %d bytes, none are documented", method, pattern, status,
				len(body))
		}
		return
	}
	if _, ok := want.Content[kind]; !ok {
		t.Errorf("%s %s: status %s with Content-Type %q: %s", method, pattern, status, kind, body)
		return
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	pointer := fmt.Sprintf("/paths/%s/%s/responses/%s/content/%s/schema", escape.Replace(pattern),
		strings.ToLower(method), name, escape.Replace(kind))
	if err := c.validate(pointer, body); err != nil {
		t.Errorf("%s %s: status %s: %v\n%s", method, pattern, status, err, body)
	}
}

// handles knows one name.
type handles auth.StoreID

func (h handles) Resolve(_ context.Context, name string) (*api.Handle, error) {
	return &api.Handle{Name: name, Store: auth.StoreID(h), Tier: 4, Registered: time.Unix(1234567890,
		0), Metadata: []byte(`{"a":1}`)}, nil
}

// startNode runs a node that has every route.
func startNode(t *testing.T, store auth.StoreID) string {
	t.Helper()
	free := api.Bucket{PerMinute: -1}
	gate := &api.AdminGate{Token: func() ([]byte, error) { return token[:], nil }}
	n, err := node.New(t.Context(), node.Config{Key: auth.NewNodeKey([32]byte{1}),
		Storage: storage.NewMemory(nil), Handles: handles(store), Admin: gate.Wrap,
		Volumes:    []tier.Volume{{Path: t.TempDir(), Class: economy.SSD}},
		Tiers:      tier.Settings{Difficulty: -1},
		Reload:     func(context.Context) error { return nil },
		Credential: operator,
		Limits: node.Limits{Callers: api.Limits{Capsules: free, Challenges: free,
			Requests: free}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	srv := httptest.NewServer(n)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	<-n.Ready()
	return srv.URL
}

var token = [32]byte{9}

func operator(*http.Request) (api.Credential, error) {
	return api.Credential{Name: "operator", Owner: true}, nil
}

// Every documented route answers, and as its schemas say.
func TestAnswers(t *testing.T) {
	g := capsuletest.Split(t, 1, 10_000, bytes.Repeat([]byte("content "), 4000))
	url := startNode(t, g.Store)
	c := newChecker(t, api.OpenAPI())
	client := &http.Client{Timeout: time.Minute}
	var location string
	ask := func(method, pattern, path, body string, headers ...string) []byte {
		t.Helper()
		req, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Dig-Control-Token", hex.EncodeToString(token[:]))
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var text []byte
		if res.Header.Get("Content-Type") != "text/event-stream" {
			if text, err = io.ReadAll(res.Body); err != nil {
				t.Fatal(err)
			}
		}
		if to, err := res.Location(); err == nil {
			location = to.Path
		}
		c.answer(t, method, pattern, res, text)
		return text
	}
	id := g.Store.String()
	session := func() string {
		var res struct{ Upload struct{ Session string } }
		text := ask("POST", "/datastore/push", "/datastore/push", pushBody(g, false))
		if err := json.Unmarshal(text, &res); err != nil {
			t.Fatal(err)
		}
		return res.Upload.Session
	}
	gone := session()
	ask("DELETE", "/datastore/push/{session}", "/datastore/push/"+gone, "")
	ask("POST", "/datastore/push/{session}/commit", "/datastore/push/"+gone+"/commit", "")
	s := session()
	for i, text := range g.Content {
		ask("PUT", "/datastore/push/{session}/{capsule_index}",
			fmt.Sprintf("/datastore/push/%s/%d", s, i), string(text))
	}
	ask("POST", "/datastore/push/{session}/commit", "/datastore/push/"+s+"/commit", "")
	ask("POST", "/datastore/push", "/datastore/push", pushBody(g, true))
	ask("POST", "/datastore/push", "/datastore/push", "{}")
	const read = "/capsule/{datastore_id}/{capsule_index}"
	ask("GET", read, "/capsule/"+id+"/0", "")
	ask("GET", read, "/capsule/"+id+"/0", "", "Range", "bytes=0-9")
	ask("GET", read, "/capsule/"+id+"/0", "", "Range",
		"bytes=99999-")
	ask("GET", read, "/capsule/"+id+"/0", "", "If-None-Match", "*")
	ask("GET", read, "/capsule/"+id+"/999", "")
	hash := g.Capsules[1].Hash.String()
	ask("GET", "/blob/{capsule_hash}", "/blob/"+hash, "")
	ask("GET", "/blob/{capsule_hash}", "/blob/"+hash, "", "Range", "bytes=-1")
	ask("GET", "/datastore/{datastore_id}/manifest", "/datastore/"+id+"/manifest?limit=2", "")
	ask("GET", "/handle/{handle}/resolve", "/handle/mydata/resolve", "")
	ask("GET", "/network/peers", "/network/peers", "")
	ask("POST", "/plot/create", "/plot/create", `{"datastore_id":"0x`+id+
		`","capsule_indices":[0,1],"compression":"zstd"}`)
	ask("POST", "/plot/create", "/plot/create", `{"datastore_id":"0x`+id+`"}`, "Prefer",
		"respond-async")
	ask("GET", "/admin/jobs/{id}", location, "")
	ask("POST", "/validation/challenge", "/validation/challenge", challengeBody(t, g))
	ask("GET", "/node/status", "/node/status", "")
	ask("GET", "/events", "/events", "")
	ask("POST", "/admin/gc", "/admin/gc?dry_run=1", "")
	ask("GET", "/admin/jobs/{id}", location, "")
	ask("POST", "/admin/scrub", "/admin/scrub", "")
	ask("POST", "/admin/reload", "/admin/reload", "")
	ask("GET", "/admin/policy/explain", "/admin/policy/explain?datastore_id="+id, "")
	for _, what := range []string{"pin", "track"} {
		for _, method := range []string{"POST", "DELETE"} {
			ask(method, "/admin/"+what+"/{datastore_id}", "/admin/"+what+"/"+id, "")
		}
	}
	ask("GET", "/health", "/health", "")
	ask("GET", "/ready", "/ready", "")
	ask("GET", "/openapi.json", "/openapi.json", "")
	ask("GET", "/.well-known/dig-node.json", "/.well-known/dig-node.json", "")

	// Peers come with peers.
	notYet := []string{"DELETE /admin/peers/{public_key}"}
	for path, methods := range c.doc.Paths {
		for method, op := range methods {
			name := strings.ToUpper(method) + " " + path
			for status := range op.Responses {
				asked := c.seen[name+" "+status]
				if !asked && strings.HasPrefix(status, "2") && !slices.Contains(notYet, name) {
					t.Errorf("%s: status %s was not seen", name, status)
				}
			}
		}
	}
}

func pushBody(g capsuletest.Generation, inline bool) string {
	var list []any
	for i, d := range g.Capsules {
		m := map[string]any{"index": d.Index, "hash": "0x" + d.Hash.String(), "size": d.Size,
			"chunk_root": "0x" + d.ChunkRoot.String()}
		if inline {
			m["data"] = base64.StdEncoding.EncodeToString(g.Content[i])
		}
		list = append(list, m)
	}
	text, err := json.Marshal(map[string]any{"datastore_id": g.Store.String(), "capsules": list,
		"merkle_tree": map[string]any{"root": g.Root.String(), "leaf_count": len(list)}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func challengeBody(t *testing.T, g capsuletest.Generation) string {
	t.Helper()
	now := uint64(time.Now().Unix())
	c := &capsule.Challenge{ID: "chal_123", Type: capsule.PhysicalAccess,
		CapsuleHash: g.Capsules[0].Hash, Entropy: g.Root, IssuedAt: now, ExpiresAt: now + 60, Samples: 3}
	if err := c.Sign(t.Context(), auth.NewNodeKey([32]byte{5})); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The examples of the request that this API answers, with its dots filled in.
func TestExamples(t *testing.T) {
	c := newChecker(t, api.OpenAPI())
	dots := regexp.MustCompile(`0x\.\.\.`)
	examples := map[string]string{
		"Manifest": `{"datastore_id": "0x...", "capsule_count": 1000, "merkle_root": "0x...",
			"total_size": 16777216000, "creation_time": 1234567890,
			"capsules": [{"index": 0, "hash": "0x...", "size": 16777216}]}`,
		"Handle": `{"handle": "mydata", "datastore_id": "0x...", "tier": 4,
			"registration_time": 1234567890, "metadata": {}}`,
		"Push": `{"datastore_id": "0x...", "capsules": [{"index": 0, "hash": "0x...", "size": 3}],
			"merkle_tree": {"root": "0x...", "leaf_count": 1}, "bribe_distributor": "0x..."}`,
		"PushResult": `{"accepted": true, "storage_estimate": "2024-01-01T00:00:00Z",
			"propagation_peers": ["node1", "node2"]}`,
		"Peers": `{"peers": [{"node_id": "dig1...", "endpoint": "1.2.3.4:8444",
			"capabilities": ["storage", "retrieval"], "reputation": 0.95,
			"last_seen": "2024-01-01T00:00:00Z"}]}`,
		"Challenge": `{"challenge_id": "chal_123", "capsule_hash": "0x...",
			"challenge_type": "physical_access", "validator_signature": "0x` +
			strings.Repeat("ab", 64) + `"}`,
		"Proof": `{"proof": "0xab", "generation_time_ms": 1250, "plot_id": "0x..."}`,
		"Status": `{"node_id": "dig1...", "version": "1.0.0", "uptime": 864000,
			"plots": {"count": 42, "total_size": 4398046511104, "capsule_count": 262144},
			"network": {"peers": 127, "bandwidth_used": 1099511627776, "validations_24h": 1440},
			"earnings": {"total_dig": 1000.5, "total_bribes": 50.25, "pending_rewards": 10.0}}`,
		"PlotRequest": `{"datastore_id": "0x...", "capsule_indices": [0, 1, 2],
			"compression": "zstd"}`,
		"Plot": `{"plot_id": "0x...", "creation_time": "2024-01-01T00:00:00Z",
			"size_bytes": 107374182400, "capsule_count": 6400}`,
	}
	for name, text := range examples {
		text = dots.ReplaceAllString(text, "0x"+strings.Repeat("1f", 32))
		if err := c.validate("/components/schemas/"+name, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.validate("/components/schemas/"+name, []byte("{}")); err == nil {
			t.Errorf("%s: an empty object is valid", name)
		}
	}
}
