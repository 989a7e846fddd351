package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/storage"
)

var (
	owner    = auth.NewKey([32]byte{1, 1})
	delegate = auth.NewKey([32]byte{2, 2})
	other    = auth.NewKey([32]byte{3, 3})
)

// writers is an access of fixed keys: nil says that nothing is known.
type writers map[auth.StoreID][]auth.PublicKey

var errDown = errors.New("chain does not answer")

func (w writers) MayWrite(_ context.Context, s auth.StoreID, key auth.PublicKey) error {
	keys, ok := w[s]
	switch {
	case !ok:
		return fs.ErrNotExist
	case keys == nil:
		return errDown
	}
	for _, k := range keys {
		if k == key {
			return nil
		}
	}
	return auth.ErrForbidden
}

func (w writers) Owner(_ context.Context, s auth.StoreID) (auth.PublicKey, error) {
	keys, ok := w[s]
	switch {
	case !ok:
		return auth.PublicKey{}, fs.ErrNotExist
	case keys == nil:
		return auth.PublicKey{}, errDown
	}
	return keys[0], nil
}

// credentials are bearer tokens: "owner", "guest" and "tenant", which may push what begins with 0a.
func credentials(r *http.Request) (api.Credential, error) {
	switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); token {
	case "":
		return api.Credential{}, nil
	case "owner":
		return api.Credential{Name: token, Owner: true}, nil
	case "guest":
		return api.Credential{Name: token, MaxBytes: 1 << 20}, nil
	case "tenant":
		return api.Credential{Name: token, Stores: []string{"0a*"}}, nil
	}
	return api.Credential{}, request.ErrUnauthenticated
}

// acceptAll is a policy that takes everything but what its blacklist names.
func acceptAll(t *testing.T, blacklist ...string) *policy.Policy {
	t.Helper()
	yes := true
	c, err := policy.Settings{Mode: policy.Archive, AcceptAll: &yes, Blacklist: blacklist}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// body is the body of a push.
type body map[string]any

// pushOf returns the body of a push of a generation, with its content when inline is set.
func pushOf(g capsuletest.Generation, inline bool) body {
	var list []any
	for i, d := range g.Capsules {
		c := map[string]any{"index": d.Index, "hash": "0x" + d.Hash.String(), "size": d.Size,
			"chunk_root": "0x" + d.ChunkRoot.String()}
		if inline {
			c["data"] = base64.StdEncoding.EncodeToString(g.Content[i])
			delete(c, "chunk_root")
		}
		list = append(list, c)
	}
	return body{"datastore_id": "0x" + g.Store.String(), "capsules": list, "merkle_tree": body{
		"root": "0x" + g.Root.String(), "leaf_count": len(g.Capsules)}}
}

// with returns a copy with members set.
func (b body) with(members body) body {
	c := maps.Clone(b)
	maps.Copy(c, members)
	return c
}

// signed adds a root statement.
func (b body) signed(
	t *testing.T, g capsuletest.Generation, generation uint64, by *auth.Key, named bool,
) body {
	t.Helper()
	s, err := capsule.SignRoot(t.Context(), g.Manifest, generation, by)
	if err != nil {
		t.Fatal(err)
	}
	m := body{"generation": generation, "root_signature": s.Signature.String()}
	if named {
		m["writer_key"] = s.Writer.String()
	}
	return b.with(m)
}

func (b body) text(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// result is the answer to a push.
type result struct {
	Accepted bool     `json:"accepted"`
	Estimate *string  `json:"storage_estimate"`
	Peers    []string `json:"propagation_peers"`
	Reject   *string  `json:"reject_code"`
	Retain   *string  `json:"retain_until"`
	Upload   *struct {
		Session string   `json:"session"`
		Missing []uint32 `json:"missing"`
		Expires string   `json:"expires_at"`
	} `json:"upload"`
}

// post pushes. token is a bearer token, identity signs the request; both may be empty.
func post(t *testing.T, url string, b body, token string, identity *auth.Key) answer {
	t.Helper()
	text := b.text(t)
	headers := []string{"Content-Type", "application/json"}
	if token != "" {
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	if identity != nil {
		id, err := auth.ParseStoreID(strings.TrimPrefix(b["datastore_id"].(string), "0x"))
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest("POST", url, nil)
		if err := request.Sign(req, request.Push, id, identity); err != nil {
			t.Fatal(err)
		}
		for name := range req.Header {
			headers = append(headers, name, req.Header.Get(name))
		}
	}
	return do(t, "POST", url+"/datastore/push", text, headers...)
}

func (a answer) result(t *testing.T) result {
	t.Helper()
	var r result
	if err := json.Unmarshal(a.body, &r); err != nil || a.StatusCode >= 300 {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	return r
}

// The rules of package push, each row one of them, over HTTP.
func TestPushRules(t *testing.T) {
	tracked := capsuletest.Of(t, 1, []byte("one"))    // its writers are owner and delegate
	unknown := capsuletest.Of(t, 2, []byte("two"))    // nothing is known about it
	down := capsuletest.Of(t, 3, []byte("three"))     // nobody answers about it
	pinned := capsuletest.Of(t, 4, []byte("four"))    // held under owner
	guests := capsuletest.Of(t, 5, []byte("five"))    // kept unattested for guest
	listed := capsuletest.Of(t, 0x0a, []byte("ten"))  // tenant may push it
	refused := capsuletest.Of(t, 0x0b, []byte("0xb")) // the policy does not take it
	tests := []struct {
		name     string
		g        capsuletest.Generation
		signer   *auth.Key // nil: no statement
		named    bool      // the statement names its key
		forge    bool      // the signature is of other content
		gen      uint64
		token    string
		identity *auth.Key
		members  body
		status   int
		code     string // of a problem, or reject_code
	}{
		{name: "no key known", g: unknown, signer: owner, token: "guest", status: 403,
			code: "unknown_writer"},
		{name: "forged, tracked", g: tracked, signer: owner, named: true, forge: true,
			identity: owner, status: 403, code: "bad_signature"},
		{name: "forged, not tracked", g: unknown, signer: owner, named: true, forge: true,
			token: "guest", status: 403, code: "bad_signature"},
		{name: "forged, with the operator's credential", g: unknown, signer: owner, named: true,
			forge: true, token: "owner", status: 403, code: "bad_signature"},
		{name: "not a writer, tracked", g: tracked, signer: other, named: true, identity: other,
			status: 403, code: "not_a_writer"},
		{name: "not a writer, with credential", g: tracked, signer: other, named: true,
			token: "owner", status: 403, code: "not_a_writer"},
		{name: "not the pinned key", g: pinned, signer: other, named: true, gen: 9,
			token: "guest", status: 403, code: "not_a_writer"},
		{name: "tracked, no statement", g: tracked, identity: owner, status: 403,
			code: "not_a_writer"},
		{name: "tracked, no statement, credential", g: tracked, token: "owner", status: 403,
			code: "not_a_writer"},
		{name: "not tracked, no credential", g: unknown, status: 401, code: "unauthorized"},
		{name: "not tracked, wrong credential", g: unknown, token: "stolen", status: 401,
			code: "unauthorized"},
		{name: "not tracked, statement, no credential", g: unknown, signer: owner, named: true,
			identity: owner, status: 401, code: "unauthorized"},
		{name: "tracked, neither credential nor identity", g: tracked, signer: owner,
			status: 401, code: "unauthorized"},
		{name: "writers not known now", g: down, signer: owner, named: true, token: "guest",
			status: 503, code: "upstream_unavailable"},
		{name: "other stores than the credential's", g: unknown, token: "tenant", status: 403,
			code: "forbidden"},
		{name: "kept for another credential", g: guests, token: "tenant2", status: 401,
			code: "unauthorized"},
		{name: "policy", g: refused, token: "guest", status: 200, code: "blacklisted"},
		{name: "tracked, owner, identity", g: tracked, signer: owner, gen: 1, identity: other,
			status: 200},
		{name: "tracked, delegate names its key", g: tracked, signer: delegate, named: true,
			gen: 2, identity: delegate, status: 200},
		{name: "tracked, credential in place of identity", g: tracked, signer: owner, gen: 3,
			token: "guest", status: 200},
		{name: "not tracked, bare body, credential", g: unknown, token: "guest", status: 200},
		{name: "credential of these stores", g: listed, token: "tenant", status: 200},
		{name: "statement over unattested", g: unknown, signer: other, named: true, gen: 1,
			token: "guest", status: 200},
		{name: "policy does not bind the operator", g: refused, token: "owner", status: 200},
	}
	st := storage.NewMemory(nil)
	s, err := capsule.SignRoot(t.Context(), pinned.Manifest, 5, owner)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, st, pinned, storage.Meta{Generation: 5, Signature: s.Signature, Writer: s.Writer})
	fill(t, st, guests, storage.Meta{Unattested: true, Generation: 1, Credential: "guest"})
	n := start(t, node.Config{Storage: st, Limits: unlimited, Credential: credentials,
		Policy: acceptAll(t, refused.Store.String()),
		Access: writers{tracked.Store: {owner.PublicKey(), delegate.PublicKey()},
			down.Store: nil}}, "")
	if err := n.Track(t.Context(), tracked.Store, ""); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := pushOf(tt.g, true)
			if tt.signer != nil {
				b = b.signed(t, tt.g, tt.gen, tt.signer, tt.named)
			}
			if tt.forge {
				b["generation"] = tt.gen + 1
			}
			got := post(t, n.url, b, tt.token, tt.identity)
			if got.StatusCode != tt.status {
				t.Fatalf("status %d, expected %d: %s", got.StatusCode, tt.status, got.body)
			}
			if tt.status != 200 {
				if code := got.code(t); code != tt.code {
					t.Errorf("code %q, expected %q", code, tt.code)
				}
				return
			}
			r := got.result(t)
			if r.Accepted != (tt.code == "") || tt.code != "" && *r.Reject != tt.code {
				t.Errorf("result %s", got.body)
			}
		})
	}
	if got := do(t, "GET", fmt.Sprintf("%s/capsule/%v/0", n.url, refused.Store), nil); string(
		got.body) != "0xb" {
		t.Errorf("pushed and not served: %d", got.StatusCode)
	}
	asked := post(t, n.url, pushOf(guests, true), "", nil)
	if got := asked.Header.Values("WWW-Authenticate"); len(got) != 2 {
		t.Errorf("status %d, WWW-Authenticate %q", asked.StatusCode, got)
	}
}

// The order of generations: advance, repeat, conflict, rollback.
func TestPushOrder(t *testing.T) {
	gen := func(text string) capsuletest.Generation { return capsuletest.Of(t, 1, []byte(text)) }
	a, b, c := gen("a"), gen("b"), gen("c")
	n := start(t, node.Config{Limits: unlimited, Credential: credentials}, "")
	tests := []struct {
		name   string
		g      capsuletest.Generation
		gen    uint64
		parent merkle.Hash
		code   string
	}{
		{"first with a parent", a, 1, b.Root, "root_conflict"},
		{"first", a, 1, merkle.Hash{}, ""},
		{"again", a, 1, merkle.Hash{}, ""},
		{"same number, other root", b, 1, merkle.Hash{}, "root_conflict"},
		{"other parent", b, 2, c.Root, "root_conflict"},
		{"next", b, 2, a.Root, ""},
		{"replayed old generation", a, 1, merkle.Hash{}, "stale_generation"},
		{"jump", c, 9, merkle.Hash{}, ""},
		{"back", b, 3, merkle.Hash{}, "stale_generation"},
	}
	head := ""
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := pushOf(tt.g, true).signed(t, tt.g, tt.gen, owner, true)
			if !tt.parent.IsZero() {
				body["parent_root"] = tt.parent.String()
			}
			got := post(t, n.url, body, "owner", nil)
			if tt.code != "" {
				if code := got.code(t); code != tt.code {
					t.Errorf("code %q, expected %q", code, tt.code)
				}
			} else if r := got.result(t); !r.Accepted || r.Estimate == nil || r.Peers == nil {
				t.Errorf("result %s", got.body)
			} else {
				head = string(tt.g.Content[0])
			}
			served := do(t, "GET", fmt.Sprintf("%s/capsule/%v/0", n.url, a.Store), nil)
			if string(served.body) != head && head != "" {
				t.Errorf("head is %q, expected %q", served.body, head)
			}
		})
	}
}

// What is well-formed and false, and what is not well-formed.
func TestPushBodies(t *testing.T) {
	n := start(t, node.Config{Limits: unlimited, Credential: credentials}, "")
	g := capsuletest.Split(t, 1, 1000, []byte(strings.Repeat("0123456789", 250)))
	good := pushOf(g, true)
	capsuleWith := func(members body) body {
		list := append([]any(nil), good["capsules"].([]any)...)
		list[1] = map[string]any(body(list[1].(map[string]any)).with(members))
		return good.with(body{"capsules": list})
	}
	tree := func(members body) body {
		return good.with(body{"merkle_tree": good["merkle_tree"].(body).with(members)})
	}
	tests := []struct {
		name string
		body any // body, or a text
		code string
	}{
		{"not JSON", "hello", "invalid_json"},
		{"empty", "", "invalid_json"},
		{"array", "[]", "invalid_json"},
		{"two documents", string(good.text(t)) + "{}", "invalid_json"},
		{"missing member", body{"datastore_id": g.Store.String()}, "invalid_json"},
		{"member twice", `{"datastore_id":"` + g.Store.String() + `","datastore_id":"` +
			g.Store.String() + `"}`, "invalid_json"},
		{"member in another case", `{"Datastore_id":"` + g.Store.String() + `"}`, "invalid_json"},
		{"short id", good.with(body{"datastore_id": "0xab"}), "invalid_hex"},
		{"upper case prefix", good.with(body{"datastore_id": "0X" + g.Store.String()}),
			"invalid_hex"},
		{"id in upper case", good.with(body{"datastore_id": strings.ToUpper(g.Store.String())}), ""},
		{"no capsules", good.with(body{"capsules": []any{}}), "invalid_argument"},
		{"gap", capsuleWith(body{"index": 5}), "invalid_argument"},
		{"size of 2^32", capsuleWith(body{"size": int64(1) << 32}), "invalid_json"},
		{"data is not base64", capsuleWith(body{"data": "!!"}), "invalid_json"},
		{"other data", capsuleWith(body{"data": "AAAA"}), "hash_mismatch"},
		{"neither data nor chunk root", capsuleWith(body{"data": nil}), "invalid_argument"},
		{"other root", tree(body{"root": g.Store.String()}), "merkle_mismatch"},
		{"other count", tree(body{"leaf_count": 2}), "merkle_mismatch"},
		{"other leaves", tree(body{"leaves": []string{g.Store.String()}}), "merkle_mismatch"},
		{"17 sources", good.with(body{"sources": make([]string, 17)}), "invalid_json"},
		{"unknown members", good.with(body{"future": []any{1, body{"a": nil}}}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, ok := tt.body.(string)
			if !ok {
				text = string(tt.body.(body).text(t))
			}
			got := do(t, "POST", n.url+"/datastore/push", []byte(text), "Authorization",
				"Bearer owner")
			if tt.code == "" {
				got.result(t)
			} else if code := got.code(t); code != tt.code {
				t.Errorf("code %q, expected %q: %s", code, tt.code, got.body)
			}
		})
	}
	got := do(t, "POST", n.url+"/datastore/push", good.text(t), "Content-Type", "text/plain",
		"Authorization", "Bearer owner")
	if code := got.code(t); code != "unsupported_media_type" {
		t.Error(code)
	}
}

// A session uploads what is missing, and leaves nothing when it ends without a commit.
func TestPushSession(t *testing.T) {
	dir := t.TempDir()
	open := func() *storage.Dir {
		st, err := storage.OpenDir(filepath.Join(dir, "storage"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000+clock.Load(), 0) }
	config := node.Config{Storage: st, Limits: unlimited, Credential: credentials, Now: now,
		DataDir: filepath.Join(dir, "data")}
	n := start(t, config, "")
	g := capsuletest.Split(t, 1, 50_000, content(t, 3))
	last := len(g.Capsules) - 1
	open1 := post(t, n.url, pushOf(g, false), "owner", nil)
	up := open1.result(t).Upload
	if open1.StatusCode != 202 || up == nil || len(up.Missing) != len(g.Capsules) {
		t.Fatalf("status %d: %s", open1.StatusCode, open1.body)
	}
	base := n.url + "/datastore/push/" + up.Session
	put := func(base string, i int, text []byte) answer {
		return do(t, "PUT", fmt.Sprintf("%s/%d", base, i), text)
	}
	if code := put(base, 0, []byte("wrong")).code(t); code != "hash_mismatch" {
		t.Error(code)
	}
	wrong := bytes.Repeat([]byte{1}, len(g.Content[0]))
	if code := put(base, 0, wrong).code(t); code != "hash_mismatch" {
		t.Error(code)
	}
	if code := put(base, 1000, nil).code(t); code != "hash_mismatch" {
		t.Error(code)
	}
	if code := put(n.url+"/datastore/push/"+strings.Repeat("0", 32), 0, nil).code(t); code !=
		"session_not_found" {
		t.Error(code)
	}
	for i := range last {
		if got := put(base, i, g.Content[i]); got.StatusCode != 204 {
			t.Fatalf("capsule %d: status %d: %s", i, got.StatusCode, got.body)
		}
	}
	if code := do(t, "POST", base+"/commit", nil).code(t); code != "invalid_argument" {
		t.Errorf("commit with content missing: %q", code)
	}
	absent := fmt.Sprintf("%s/capsule/%v/0", n.url, g.Store)
	if got := do(t, "GET", absent, nil); got.StatusCode != 404 {
		t.Errorf("staged content is served: %d", got.StatusCode)
	}

	// A restart: what was acknowledged is served, what was not leaves nothing.
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	config.Storage = open()
	n = start(t, config, "")
	if u, err := config.Storage.Usage(t.Context()); err != nil || u.Capsules != 0 {
		t.Fatalf("after a restart there are %d capsules: %v", u.Capsules, err)
	}

	// To the end, with equal content coming twice, and repeated.
	up = post(t, n.url, pushOf(g, false), "owner", nil).result(t).Upload
	base = n.url + "/datastore/push/" + up.Session
	for i := range g.Capsules {
		for range 2 {
			if got := put(base, i, g.Content[i]); got.StatusCode != 204 {
				t.Fatalf("capsule %d: status %d: %s", i, got.StatusCode, got.body)
			}
		}
	}
	if r := do(t, "POST", base+"/commit", nil).result(t); !r.Accepted || r.Upload != nil {
		t.Errorf("commit: %+v", r)
	}
	if code := do(t, "POST", base+"/commit", nil).code(t); code != "session_not_found" {
		t.Error(code)
	}
	for i := range g.Capsules {
		got := do(t, "GET", fmt.Sprintf("%s/capsule/%v/%d", n.url, g.Store, i), nil)
		if !bytes.Equal(got.body, g.Content[i]) {
			t.Fatalf("capsule %d: status %d, %d bytes", i, got.StatusCode, len(got.body))
		}
	}

	// Sessions that end without a commit: aborted, and too old.
	h := capsuletest.Split(t, 2, 50_000, content(t, 4))
	for _, end := range []string{"abort", "expire"} {
		up = post(t, n.url, pushOf(h, false), "owner", nil).result(t).Upload
		base = n.url + "/datastore/push/" + up.Session
		if got := put(base, 0, h.Content[0]); got.StatusCode != 204 {
			t.Fatal(got.StatusCode)
		}
		if end == "abort" {
			if got := do(t, "DELETE", base, nil); got.StatusCode != 204 {
				t.Fatal(got.StatusCode)
			}
		} else {
			clock.Add(601)
			n.ExpireSessions(t.Context())
		}
		if code := put(base, 0, h.Content[0]).code(t); code != "session_not_found" {
			t.Errorf("%s: %q", end, code)
		}
		u, err := config.Storage.Usage(t.Context())
		if err != nil || u.Staged != 0 || u.Capsules != len(g.Capsules) {
			t.Errorf("%s: %d capsules, %d staged, %v", end, u.Capsules, u.Staged, err)
		}
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := config.Storage.(*storage.Dir).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPushLimits: the resources of callers are limited, and a false description of held content has
// no effect.
func TestPushLimits(t *testing.T) {
	limits := unlimited
	limits.MaxPush = 4096
	n := start(t, node.Config{Limits: limits, Credential: credentials, Policy: acceptAll(t),
		Storage: storage.NewMemory(&storage.MemoryOptions{Limit: 3 << 30})}, "")
	sizes := func(store byte, size uint32) body {
		d := capsule.Descriptor{Size: size, Hash: merkle.Sum([]byte{store}),
			ChunkRoot: merkle.Sum([]byte{1})}
		m := &capsule.Manifest{Store: auth.StoreID{store}, Root: merkle.Root([]merkle.Hash{d.Leaf()}),
			Capsules: []capsule.Descriptor{d}}
		return pushOf(capsuletest.Generation{Manifest: m, Content: make([][]byte, 1)}, false)
	}
	if code := post(t, n.url, sizes(1, 1<<21), "guest", nil).code(t); code !=
		"insufficient_storage" {
		t.Errorf("more than the credential may keep: %q", code)
	}
	if code := post(t, n.url, sizes(1, 1<<32-1), "owner", nil).code(t); code !=
		"insufficient_storage" {
		t.Errorf("more than there is room for: %q", code)
	}
	for i := range byte(16) {
		post(t, n.url, sizes(i+1, 1<<10), "guest", nil).result(t)
	}
	if code := post(t, n.url, sizes(99, 1<<10), "guest", nil).code(t); code != "busy" {
		t.Errorf("the 17th session: %q", code)
	}
	post(t, n.url, sizes(99, 1<<10), "owner", nil).result(t)
	big := pushOf(capsuletest.Of(t, 50, bytes.Repeat([]byte("x"), 8192)), true)
	if code := post(t, n.url, big, "owner", nil).code(t); code != "payload_too_large" {
		t.Errorf("body above the limit: %q", code)
	}

	g := capsuletest.Of(t, 60, []byte("content of somebody"))
	post(t, n.url, pushOf(g, true), "owner", nil).result(t)
	d := g.Capsules[0]
	d.ChunkRoot = merkle.Sum([]byte("false"))
	m := &capsule.Manifest{Store: auth.StoreID{61}, Root: merkle.Root([]merkle.Hash{d.Leaf()}),
		Capsules: []capsule.Descriptor{d}}
	lie := pushOf(capsuletest.Generation{Manifest: m, Content: make([][]byte, 1)}, false)
	if code := post(t, n.url, lie, "guest", nil).code(t); code != "hash_mismatch" {
		t.Errorf("false chunk root of content that is here: %q", code)
	}
	for _, path := range []string{fmt.Sprintf("/capsule/%v/0", g.Store), "/blob/" + d.Hash.String()} {
		if got := do(t, "GET", n.url+path, nil); !bytes.Equal(got.body, g.Content[0]) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}
