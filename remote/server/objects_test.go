package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// A bucket is an object store with its own TLS listener. Each presigned URL takes one PUT.
type bucket struct {
	*httptest.Server
	mu      sync.Mutex
	tickets map[string]server.Upload // by path
	objects map[string][]byte
	header  http.Header // of the last PUT
	presign error
	read    error // read error in the middle of an object
}

func newBucket(t testing.TB) *bucket {
	b := &bucket{tickets: map[string]server.Upload{}, objects: map[string][]byte{}}
	b.Server = httptest.NewTLSServer(http.HandlerFunc(b.put))
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) put(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	u, ok := b.tickets[r.URL.Path]
	b.header = r.Header
	b.mu.Unlock()
	if !ok || r.Method != http.MethodPut || r.ContentLength != u.Size {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	object, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[u.Name] = object
}

func (b *bucket) Presign(_ context.Context, u server.Upload) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	path := fmt.Sprintf("/%x", sha256.Sum256([]byte("secret "+u.Name)))
	b.tickets[path] = u
	return b.URL + path, b.presign
}

func (b *bucket) Open(_ context.Context, name string) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	object, ok := b.objects[name]
	switch {
	case !ok:
		return nil, fs.ErrNotExist
	case b.read != nil:
		return io.NopCloser(io.MultiReader(bytes.NewReader(object[:len(object)/2]),
			iotest.ErrReader(b.read))), nil
	}
	return io.NopCloser(bytes.NewReader(object)), nil
}

func (b *bucket) Remove(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, name)
	return nil
}

// fill stores an object under the name of the upload of head.
func (b *bucket) fill(object []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.tickets {
		b.objects[u.Name] = object
	}
}

func (b *bucket) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.objects)
}

// announcement returns the body of a push-init.
func (s *site) announcement(head auth.SignedRoot, parent merkle.Hash, mod []byte) string {
	return fmt.Sprintf(`{"parent_root":"%s","new_root":"%s","program_hash":"%s","size_bytes":%d,"store_pubkey":"%s"}`,
		parent, head.Root, merkle.Sum(mod), len(mod), head.PublicKey)
}

// announce makes a push-init.
func (s *site) announce(head auth.SignedRoot, parent merkle.Hash, mod []byte) *http.Response {
	s.t.Helper()
	return s.do("POST", "/stores/"+head.Store.String()+"/module/upload",
		strings.NewReader(s.announcement(head, parent, mod)), pushHeaders(head, parent))
}

// complete makes a push-complete without a parent, so the declared one applies.
func (s *site) complete(head auth.SignedRoot, hs ...header) *http.Response {
	s.t.Helper()
	body := fmt.Sprintf(`{"upload_id":"%s","new_root":"%s"}`, head.Root, head.Root)
	hs = append([]header{pushHeaders(head, merkle.Hash{}), del("X-Dig-Parent")}, hs...)
	return s.do("POST", "/stores/"+head.Store.String()+"/module/complete",
		strings.NewReader(body), hs...)
}

// TestPresignedPush pushes with this module's client: the module goes to the bucket, all other
// requests to the origin.
func TestPresignedPush(t *testing.T) {
	b := newBucket(t)
	s := newSite(t, 1, &server.Options{Objects: b})
	mod, head := s.next()
	l := s.listen()
	pool := x509.NewCertPool()
	pool.AddCert(b.Certificate())
	c := s.client(l, &remote.ClientOptions{TLS: &tls.Config{RootCAs: pool},
		Guard: &remote.DialGuard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	req := remote.PutRequest{Head: head, Parent: s.head().Root, Size: int64(len(mod)),
		Hash: merkle.Sum(mod)}
	out, err := c.Put(t.Context(), req, bytes.NewReader(mod))
	if err != nil || out {
		t.Fatal(out, err)
	}
	if got := strings.Join(l.requests(), ", "); got != "POST /module/upload, POST /module/complete" {
		t.Errorf("the origin was asked: %s", got)
	}
	for name := range b.header {
		if strings.HasPrefix(name, "X-Dig-") || name == "Authorization" {
			t.Errorf("the bucket was shown %s", name)
		}
	}
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
	if n := b.len(); n != 0 {
		t.Errorf("%d uploads are left behind", n)
	}
}

func TestCompleteRefusals(t *testing.T) {
	b := newBucket(t)
	s := newSite(t, 1, &server.Options{Objects: b})
	mod, head := s.next()
	parent := s.head().Root
	complete := func(body string, hs ...header) *http.Response {
		return s.do("POST", s.path("/module/complete"), strings.NewReader(body),
			append([]header{pushHeaders(head, parent)}, hs...)...)
	}
	body := fmt.Sprintf(`{"upload_id":"%s","new_root":"%s"}`, head.Root, head.Root)
	for _, tc := range []struct {
		name, body string
		hs         []header
		status     int
		text       string
	}{
		{"no JSON", "{", nil, 422, invalid + "bad push-complete body"},
		{"no root", "{}", nil, 422, invalid + "malformed new_root"},
		{"zero root", `{"new_root":"` + merkle.Hash{}.String() + `"}`, nil, 422, invalid + "malformed new_root"},
		{"other upload", fmt.Sprintf(`{"upload_id":"x","new_root":"%s"}`, head.Root), nil, 422, invalid + "unknown upload_id"},
		{"no parent", body, []header{del("X-Dig-Parent")}, 422, invalid + "missing parent"},
		{"no signature", body, []header{del("X-Dig-Signature")}, 422, invalid + "missing signature"},
		{"unknown mode", body, []header{set("X-Dig-Push-Mode", "later")}, 422, invalid + "unknown push mode"},
		{"stranger", body, []header{set("X-Dig-Signature", s.head().Untagged.String())}, 403, badSignature},
		{"stale parent", body, []header{set("X-Dig-Parent", merkle.Hash{1}.String())}, 409, conflict},
		{"nothing there", body, nil, 422, invalid + "nothing was uploaded"},
		{"too long", strings.Repeat(" ", 3<<20), nil, 413, "body too large: over 2097152 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) { want(t, complete(tc.body, tc.hs...), tc.status, tc.text) })
	}
	other, _ := s.build(s.id, s.publisher, 7)
	for _, tc := range []struct {
		name   string
		object []byte
		text   string
	}{
		{"cut short", mod[:len(mod)-1], ""},
		{"another module", other, ""},
		{"one byte off", append(bytes.Clone(mod[:len(mod)-1]), mod[len(mod)-1]^1), ""},
		{"nothing", nil, ""},
		{"noise", make([]byte, len(mod)), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want(t, s.announce(head, parent, mod), 200, "*")
			b.fill(tc.object)
			want(t, s.complete(head), 422, "*")
			if b.len() != 0 {
				t.Error("it is kept")
			}
			want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
		})
	}
	t.Run("too large", func(t *testing.T) {
		s.serve(s.stores, &server.Options{Objects: b, MaxModule: int64(len(mod))})
		want(t, s.announce(head, parent, mod), 200, "*")
		b.fill(append(bytes.Clone(mod), 0))
		want(t, s.complete(head), 413, "*")
		s.serve(s.stores, &server.Options{Objects: b})
	})
	t.Run("the bucket breaks off", func(t *testing.T) {
		want(t, s.announce(head, parent, mod), 200, "*")
		b.fill(mod)
		b.read = errors.New("secret: bucket is out of order")
		res := s.complete(head)
		want(t, res, 503, "the upload cannot be read now")
		if res.Header.Get("Retry-After") == "" || b.len() == 0 {
			t.Error("it cannot be tried again")
		}
		b.read = nil
	})
	// Another identity's upload of the same root has another name.
	t.Run("not ours", func(t *testing.T) {
		r := s.request("POST", s.path("/module/complete"), strings.NewReader(body),
			pushHeaders(head, parent),
			func(r *http.Request) { s.sign(r, key(0x64)) })
		want(t, s.answer(r), 422, invalid+"nothing was uploaded")
	})
	want(t, s.complete(head), 201, "")
	want(t, s.complete(head), 200, "") // a retry
}

// TestCompleteAfterARestart: the server has lost the declaration, and the request repeats it.
func TestCompleteAfterARestart(t *testing.T) {
	b := newBucket(t)
	s := newSite(t, 1, &server.Options{Objects: b})
	mod, head := s.next()
	parent := s.head().Root
	want(t, s.announce(head, parent, mod), 200, "*")
	b.fill(mod)
	s.serve(s.stores, &server.Options{Objects: b})
	want(t, s.complete(head), 422, invalid+"missing parent")
	b.fill(mod)
	want(t, s.complete(head, set("X-Dig-Parent", parent.String())), 201, "")
}

func TestCompletePending(t *testing.T) {
	b := newBucket(t)
	s := newSite(t, 1, &server.Options{Objects: b})
	mod, head := s.next()
	pending := set("X-Dig-Push-Mode", "pending")
	want(t, s.announce(head, s.head().Root, mod), 200, "*")
	b.fill(mod)
	want(t, s.complete(head, pending), 202, "")
	named := set("X-Dig-Parent", s.head().Root.String())
	want(t, s.complete(head, pending, named), 202, "") // a retry
	want(t, s.do("GET", s.path("/module?root="+head.Root.String()), nil), 404, "unknown root")
	want(t, s.complete(head, named), 201, "") // promoted, without another upload
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
}

// TestFirstPushByBucket: the policy is asked before a URL is presigned.
func TestFirstPushByBucket(t *testing.T) {
	b := newBucket(t)
	s := newSite(t, 0, nil)
	mod, head := s.next()
	s.serve(remotetest.NewStores(s.now), &server.Options{Objects: b})
	want(t, s.announce(head, merkle.Hash{}, mod), 404, "unknown store")
	if len(b.tickets) != 0 {
		t.Error("a stranger was handed an address")
	}
	s.serve(remotetest.NewStores(s.now), &server.Options{Objects: b, Policy: server.TrustOnFirstUse{}})
	want(t, s.announce(head, merkle.Hash{}, mod), 200, "*")
	b.fill(mod)
	want(t, s.complete(head), 201, "")
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
}

// TestPresignFallsBack: without a URL or without a size, modules are uploaded inline.
func TestPresignFallsBack(t *testing.T) {
	b := newBucket(t)
	s := newSite(t, 1, &server.Options{Objects: b})
	mod, head := s.next()
	inline := `{"mode":"inline","upload_id":"` + head.Root.String() + `"}`
	body := fmt.Sprintf(`{"parent_root":"%s","new_root":"%s"}`, s.head().Root, head.Root)
	want(t, s.do("POST", s.path("/module/upload"), strings.NewReader(body),
		pushHeaders(head, s.head().Root)), 200, inline)
	b.presign = errors.New("out of order")
	want(t, s.announce(head, s.head().Root, mod), 200, inline)
	b.presign = nil
	res := s.announce(head, s.head().Root, mod)
	want(t, res, 200, `{"mode":"presigned","upload_id":"`+head.Root.String()+`","url":"`+b.only(t)+`"}`)
	want(t, s.put(head, s.head().Root, mod), 201, "") // inline uploads always work
}

// only returns the URL of the only upload.
func (b *bucket) only(t *testing.T) string {
	for path := range b.tickets {
		return b.URL + path
	}
	t.Fatal("no upload")
	return ""
}

// TestPendingAcrossARestart: the backend keeps pending roots, so they and their age outlive a
// server.
func TestPendingAcrossARestart(t *testing.T) {
	s := newSite(t, 1, nil)
	mod, head := s.next()
	want(t, s.put(head, s.head().Root, mod, set("X-Dig-Push-Mode", "pending")), 202, "")
	s.clock.Add(int64(23 * time.Hour / time.Second))
	s.serve(s.stores, nil)
	if all, err := s.stores.Pending(t.Context(), s.id); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := s.server.Promote(t.Context(), s.id, head.Root); err != nil {
		t.Fatal(err)
	}
	mod, next := s.build(s.id, s.publisher, 9)
	want(t, s.put(next, head.Root, mod, set("X-Dig-Push-Mode", "pending")), 202, "")
	s.clock.Add(int64(24*time.Hour/time.Second) + 1)
	s.serve(s.stores, nil)
	if err := s.server.Promote(t.Context(), s.id, next.Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("promote after a day and a restart: %v", err)
	}
}
