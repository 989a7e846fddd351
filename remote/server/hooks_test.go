package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

// world is a store of three generations, made once.
var world = sync.OnceValues(func() (*remotetest.World, error) {
	return remotetest.NewWorld(context.Background(), nil)
})

// must fails the test with err, or returns v.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fixture returns the world and stores with its first n generations; 0: without the store.
func fixture(t *testing.T, n int) (*remotetest.World, *remotetest.Stores) {
	w, err := world()
	must(t, w, err)
	if n == 0 {
		return w, remotetest.NewStores(nil)
	}
	m, err := w.Memory(t.Context(), n)
	return w, remotetest.NewStores(nil, must(t, m, err))
}

// listen serves h on loopback under a prefix and returns a client for the store.
func listen(t *testing.T, h http.Handler, prefix string, store auth.StoreID,
	o *remote.ClientOptions) *remote.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	u, err := remote.ParseURL(srv.URL + prefix + "/stores/" + store.String())
	c, err := remote.NewClient(must(t, u, err), o)
	must(t, c, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// put pushes generation n of the world.
func put(t *testing.T, c *remote.Client, w *remotetest.World, n int) error {
	_, err := c.Put(t.Context(), putRequest(w, n), bytes.NewReader(w.Modules[n]))
	return err
}

func putRequest(w *remotetest.World, n int) remote.PutRequest {
	p := remote.PutRequest{Head: w.Heads[n], Size: int64(len(w.Modules[n])),
		Hash: merkle.Sum(w.Modules[n])}
	if n > 0 {
		p.Parent = w.Heads[n-1].Root
	}
	return p
}

// TestPrefix: clone, pull, push, revocation and JSON-RPC work under a path prefix.
func TestPrefix(t *testing.T) {
	const prefix = "/dig/v1.0"
	w, stores := fixture(t, 1)
	srv := server.New(stores, nil)
	both := http.NewServeMux()
	both.Handle("/stores/", srv)
	both.Handle("/", serverrpc.NewHandler(srv.Resources(), nil))
	c := listen(t, both, prefix, w.Store, nil)
	if got := c.URL().Prefix; got != prefix {
		t.Fatalf("prefix %q, want %q", got, prefix)
	}
	ctx, trust := t.Context(), remote.Trust{KeyHashID: true}
	local := remotetest.NewMemory(w.Store, nil)
	if r, err := remote.Clone(ctx, local, c, trust); err != nil || r.Root != w.Heads[0].Root {
		t.Fatalf("clone: %+v, %v", r, err)
	}
	from, err := w.Memory(ctx, 2)
	must(t, from, err)
	if r, err := remote.Push(ctx, c, from); err != nil || len(r.Pushed) != 1 {
		t.Fatalf("push: %+v, %v", r, err)
	}
	if r, err := remote.Pull(ctx, local, c, trust); err != nil || r.Root != w.Heads[1].Root {
		t.Fatalf("pull: %+v, %v", r, err)
	}
	gateway, err := rpc.NewClient(c.URL(), nil)
	must(t, gateway, err)
	defer gateway.Close()
	if list, err := gateway.Capsules(ctx, w.Store); err != nil || len(list) != 2 {
		t.Errorf("JSON-RPC: %v, %v", list, err)
	}
	stone, err := auth.SignTombstone(ctx, auth.Tombstone{Store: w.Store, Root: w.Heads[0].Root},
		w.Publisher)
	if err := c.Revoke(ctx, must(t, stone, err)); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if d, err := c.Describe(ctx); err != nil || len(d.Tombstones) != 1 {
		t.Errorf("describe: %+v, %v", d, err)
	}
}

func TestCredentials(t *testing.T) {
	known := server.Credentials{"alice": "sesame", "bob": "mellon", "nobody": ""}
	for _, c := range []struct {
		name   string
		header string
		want   string
		fails  bool
	}{
		{name: "none"},
		{name: "bearer", header: "Bearer sesame", want: "alice"},
		{name: "bearer in any case, with blanks", header: "bearer  mellon ", want: "bob"},
		{name: "basic", header: basic("bob", "mellon"), want: "bob"},
		{name: "basic, the secret of another name", header: basic("alice", "mellon"), fails: true},
		{name: "basic, no such name", header: basic("eve", "sesame"), fails: true},
		{name: "wrong", header: "Bearer sesam", fails: true},
		{name: "empty", header: "Bearer ", fails: true},
		{name: "empty basic", header: basic("nobody", ""), fails: true},
		{name: "another scheme", header: "Digest sesame", fails: true},
	} {
		r := httptest.NewRequest("PUT", "/", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		got, err := known.Check(r)
		if got != c.want || (err != nil) != c.fails ||
			c.fails && !errors.Is(err, request.ErrUnauthenticated) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func basic(name, secret string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(name, secret)
	return r.Header.Get("Authorization")
}

// TestReceived: the hook is called once for each push, promotion and revocation, and never for a
// refused request.
func TestReceived(t *testing.T) {
	w, stores := fixture(t, 0)
	var mu sync.Mutex
	var got []server.Received
	srv := server.New(stores, &server.Options{
		Credential: server.Credentials{"ci": "sesame", "ops": "mellon"}.Check,
		Received: func(ctx context.Context, r server.Received) error {
			mu.Lock()
			defer mu.Unlock()
			if _, err := stores.Head(ctx, r.Store); err != nil {
				t.Errorf("received %+v: %v", r, err)
			}
			got = append(got, r)
			return errors.New("the hook fails") // must not change the response
		},
	})
	ctx, identity := t.Context(), auth.NewKey([32]byte{9})
	c := listen(t, srv, "", w.Store, &remote.ClientOptions{Identity: identity, Bearer: "mellon"})
	by := server.Requester{Identity: identity.PublicKey(), Credential: "ops"}
	if err := put(t, c, w, 0); err != nil {
		t.Fatal(err)
	}
	if err := put(t, c, w, 0); err != nil { // again: it is the head
		t.Fatal(err)
	}
	if err := put(t, c, w, 2); !errors.Is(err, remote.ErrNonFastForward) {
		t.Fatalf("a push with a false parent: %v", err)
	}
	p := putRequest(w, 1)
	p.Pending = true
	if pending, err := c.Put(ctx, p, bytes.NewReader(w.Modules[1])); err != nil || !pending {
		t.Fatal(pending, err)
	}
	if err := srv.Promote(ctx, w.Store, w.Heads[1].Root); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Receive(ctx, w.Heads[2], w.Heads[1].Root,
		bytes.NewReader(w.Modules[2])); err != nil {
		t.Fatal(err)
	}
	stone, err := auth.SignTombstone(ctx, auth.Tombstone{Store: w.Store, Root: w.Heads[0].Root},
		w.Publisher)
	if err := c.Revoke(ctx, must(t, stone, err)); err != nil {
		t.Fatal(err)
	}
	want := []server.Received{
		{Requester: by, Event: server.EventPush, Root: w.Heads[0].Root},
		{Requester: by, Event: server.EventPush, Root: w.Heads[1].Root, Parent: w.Heads[0].Root, Pending: true},
		{Event: server.EventPromotion, Root: w.Heads[1].Root, Parent: w.Heads[0].Root},
		{Event: server.EventPush, Root: w.Heads[2].Root, Parent: w.Heads[1].Root},
		{Requester: server.Requester{Identity: by.Identity}, Event: server.EventRevocation, Root: w.Heads[0].Root},
	}
	for i := range want {
		want[i].Store = w.Store
	}
	if !slices.Equal(got, want) {
		t.Errorf("received\n%+v\nwant\n%+v", got, want)
	}
}

// answers is an Authority with a fixed answer.
type answers struct {
	settled bool
	err     error
}

func (answers) ByRoot() bool { return false }

func (a answers) Publish(context.Context, auth.SignedRoot, auth.PublicKey) (bool, error) {
	return a.settled, a.err
}

// TestReceiveChecks: Receive and PUT accept the same pushes and refuse for the same reasons.
func TestReceiveChecks(t *testing.T) {
	w, _ := fixture(t, 0)
	other := auth.NewKey([32]byte{7})
	spoiled := bytes.Clone(w.Modules[1])
	spoiled[len(spoiled)/2] ^= 1 // a chunk
	resigned, err := auth.SignRoot(t.Context(), w.Store, w.Heads[1].Root, other)
	must(t, resigned, err)
	forged := w.Heads[1]
	forged.Tagged, forged.Untagged = w.Heads[0].Tagged, w.Heads[0].Untagged
	unsigned := auth.SignedRoot{Store: w.Store, Root: w.Heads[1].Root,
		PublicKey: w.Publisher.PublicKey()}
	unavailable := errors.New("the chain cannot be asked")
	for _, c := range []struct {
		name   string
		held   int // generations of the server
		opt    server.Options
		head   auth.SignedRoot // zero: of the next generation
		parent *merkle.Hash    // nil: the head
		body   []byte          // nil: of the next generation
		stone  *auth.Tombstone
		want   error
		status int  // of PUT; 0: none was refused
		local  bool // not possible as a PUT
	}{
		{name: "an update", held: 1},
		{name: "the head", held: 1, head: w.Heads[0], parent: new(merkle.Hash), body: w.Modules[0]},
		{name: "a new store", opt: server.Options{Policy: server.TrustOnFirstUse{}}},
		{name: "an unknown store", want: fs.ErrNotExist, status: 404},
		{name: "an unknown store, where credentials are taken", opt: server.Options{Credential: server.Credentials{"a": "b"}.Check},
			want: fs.ErrNotExist, status: 401},
		{name: "a store that is not served", held: 1, opt: server.Options{Only: []auth.StoreID{{1}}}, want: fs.ErrNotExist, status: 404},
		{name: "a policy that names another key", opt: server.Options{Policy: server.AllowList{w.Store: other.PublicKey()}},
			want: auth.ErrForbidden, status: 403},
		{name: "another signer", held: 1, head: resigned, want: auth.ErrForbidden, status: 403},
		{name: "another root's signature", held: 1, head: forged, want: auth.ErrForbidden, status: 403},
		{name: "no signature", held: 1, head: unsigned, want: server.ErrVerification, local: true},
		{name: "a zero root", held: 1, head: auth.SignedRoot{Store: w.Store, Tagged: w.Heads[1].Tagged},
			want: server.ErrVerification, local: true},
		{name: "a false parent", held: 1, parent: &merkle.Hash{1}, want: server.ErrNonFastForward, status: 409},
		{name: "a root of the history", held: 2, head: w.Heads[0], body: w.Modules[0], want: server.ErrNonFastForward, status: 409},
		{name: "a revoked root", held: 1, stone: &auth.Tombstone{Store: w.Store, Root: w.Heads[1].Root}, want: auth.ErrForbidden, status: 403},
		{name: "a revoked store", held: 1, stone: &auth.Tombstone{Store: w.Store}, want: auth.ErrForbidden, status: 403},
		{name: "an authority's no", held: 1, opt: server.Options{Authority: answers{err: auth.ErrForbidden}}, want: auth.ErrForbidden, status: 403},
		{name: "an authority that cannot tell", held: 1, opt: server.Options{Authority: answers{err: unavailable}},
			want: server.ErrUnavailable, status: 503},
		{name: "a module of another root", held: 1, body: w.Modules[2], want: server.ErrVerification, status: 422},
		{name: "a spoiled module", held: 1, body: spoiled, want: server.ErrVerification, status: 422},
		{name: "a cut module", held: 1, body: w.Modules[1][:len(w.Modules[1])/2], want: server.ErrVerification, status: 422},
		{name: "no module", held: 1, body: []byte("hello"), want: server.ErrVerification, status: 422},
		{name: "a long module", held: 1, opt: server.Options{MaxModule: 1000}, want: server.ErrTooLarge, status: 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := min(c.held, 1)
			if c.head.Store.IsZero() {
				c.head = w.Heads[next]
			}
			if c.body == nil {
				c.body = w.Modules[next]
			}
			server1 := func() (*server.Server, *remotetest.Stores) {
				_, stores := fixture(t, c.held)
				if c.stone != nil {
					stone, err := auth.SignTombstone(t.Context(), *c.stone, w.Publisher)
					if err := stores.Revoke(t.Context(), must(t, stone, err)); err != nil {
						t.Fatal(err)
					}
				}
				opt := c.opt
				return server.New(stores, &opt), stores
			}
			parent := merkle.Hash{}
			if c.held > 0 {
				parent = w.Heads[c.held-1].Root
			}
			if c.parent != nil {
				parent = *c.parent
			}
			srv, stores := server1()
			pending, err := srv.Receive(t.Context(), c.head, parent, bytes.NewReader(c.body))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || pending {
				t.Errorf("Receive: %v, %v; want %v", pending, err, c.want)
			}
			head, herr := stores.Head(t.Context(), w.Store)
			if taken := herr == nil && head.Root == c.head.Root; taken != (c.want == nil) {
				t.Errorf("Receive returned %v, and the head is %s, %v", err, head.Root, herr)
			}
			if c.local {
				return
			}
			srv, _ = server1()
			client := listen(t, srv, "", w.Store, &remote.ClientOptions{Attempts: 1})
			_, err = client.Put(t.Context(),
				remote.PutRequest{Head: c.head, Parent: parent, Size: int64(len(c.body)),
					Hash: merkle.Sum(c.body)}, bytes.NewReader(c.body))
			var status *remote.StatusError
			if errors.As(err, &status); err == nil != (c.status == 0) ||
				err != nil && (status == nil || status.Code != c.status) {
				t.Errorf("PUT: %v, want status %d", err, c.status)
			}
		})
	}
}

// TestReceiveUnsettled: an unsettled push is kept as pending and becomes the head by the same call
// later. An error of the reader is returned, and nothing is stored.
func TestReceiveUnsettled(t *testing.T) {
	w, stores := fixture(t, 1)
	authority := &answers{}
	srv := server.New(stores, &server.Options{Authority: authority})
	broken := errors.New("the peer is gone")
	_, err := srv.Receive(t.Context(), w.Heads[1], w.Heads[0].Root,
		io.MultiReader(bytes.NewReader(w.Modules[1][:5000]), failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("a body that breaks off: %v", err)
	}
	for _, settled := range []bool{false, true} {
		authority.settled = settled
		pending, err := srv.Receive(t.Context(), w.Heads[1], w.Heads[0].Root,
			bytes.NewReader(w.Modules[1]))
		if err != nil || pending == settled {
			t.Fatalf("settled %v: pending %v, %v", settled, pending, err)
		}
		head, err := stores.Head(t.Context(), w.Store)
		if must(t, head, err); (head.Root == w.Heads[1].Root) != settled {
			t.Errorf("settled %v: the head is %s", settled, head.Root)
		}
	}
	_, err = server.New(lost{stores}, nil).Receive(t.Context(), w.Heads[2], w.Heads[1].Root,
		bytes.NewReader(w.Modules[2]))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backend that misses a file: %v", err)
	}
	if _, err := server.New(readOnly{stores}, nil).Receive(t.Context(), w.Heads[2], w.Heads[1].Root,
		nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a backend that takes no pushes: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// lost is a backend with a missing file.
type lost struct{ *remotetest.Stores }

func (lost) Receive(context.Context, module.Push, io.Reader,
	func(*module.Module) error) error {
	return fmt.Errorf("open a pack: %w", fs.ErrNotExist)
}

type readOnly struct{ server.Backend }

// TestAccess: the hook is called once for each request, refused ones too, without secrets.
func TestAccess(t *testing.T) {
	w, stores := fixture(t, 1)
	lines := make(chan server.Access, 64)
	srv := server.New(stores, &server.Options{
		Credential: server.Credentials{"ci": "sesame"}.Check,
		Access:     func(_ context.Context, a server.Access) { lines <- a },
	})
	identity := auth.NewKey([32]byte{9})
	name := fmt.Sprintf("bls:%08x", identity.PublicKey().Fingerprint())
	c := listen(t, srv, "", w.Store,
		&remote.ClientOptions{Identity: identity, Bearer: "sesame", Attempts: 1})
	base := c.URL().Origin()
	get := func(method, path string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		resp, err := http.DefaultClient.Do(must(t, r, err))
		must(t, resp, err).Body.Close()
	}
	size := int64(len(w.Modules[0]))
	took := time.Duration(0)
	id := "/stores/{id}"
	for _, step := range []struct {
		name string
		do   func()
		want []server.Access
	}{
		{"descriptor", func() { c.Describe(t.Context()) },
			[]server.Access{{Method: "GET", Route: id, Store: w.Store, Status: 200, Identity: name}}},
		{"module", func() {
			r, err := c.Module(t.Context(), w.Heads[0].Root)
			io.Copy(io.Discard, must(t, r, err))
			r.Close()
		},
			[]server.Access{{Method: "GET", Route: id + "/module", Store: w.Store, Root: w.Heads[0].Root, Status: 200, Sent: size, Identity: name}}},
		{"head", func() { c.Stat(t.Context(), w.Heads[0].Root) },
			[]server.Access{{Method: "HEAD", Route: id + "/module", Store: w.Store, Root: w.Heads[0].Root, Status: 200, Identity: name}}},
		{"push", func() { put(t, c, w, 1) }, []server.Access{
			{Method: "POST", Route: id + "/module/upload", Store: w.Store, Root: w.Heads[1].Root, Status: 200, Identity: name, Credential: "ci"},
			{Method: "PUT", Route: id + "/module", Store: w.Store, Root: w.Heads[1].Root, Status: 201,
				Received: int64(len(w.Modules[1])), Identity: name, Credential: "ci"}}},
		{"no signature", func() { get("GET", "/stores/"+w.Store.String()) },
			[]server.Access{{Method: "GET", Route: id, Store: w.Store, Status: 401}}},
		{"no such method", func() { get("BREW", "/stores/"+w.Store.String()+"/roots") },
			[]server.Access{{Route: id + "/roots", Status: 405}}},
		{"no such route", func() { get("GET", "/stores/"+w.Store.String()+"/sesame") }, []server.Access{{Status: 404}}},
		{"no store", func() { get("GET", "/stores/sesame/content/"+strings.Repeat("0", 64)) },
			[]server.Access{{Method: "GET", Route: id + "/content/{key}", Status: 400}}},
	} {
		step.do()
		for _, want := range step.want {
			got := <-lines
			if got.Start.IsZero() || got.Duration < 0 || !got.Address.IsLoopback() {
				t.Errorf("%s: %+v", step.name, got)
			}
			took += got.Duration // a single one may be 0 with a coarse clock
			if strings.Contains(fmt.Sprintf("%+v", got), "sesame") {
				t.Errorf("%s: a secret, or what a client made up, is in %+v", step.name, got)
			}
			if want.Sent == 0 && got.Method != "HEAD" && got.Status != 201 && got.Sent == 0 {
				t.Errorf("%s: nothing was sent", step.name)
			}
			got.Start, got.Duration, got.Address = want.Start, want.Duration, want.Address
			if want.Sent == 0 {
				got.Sent = 0
			}
			if want.Received == 0 {
				got.Received = 0
			}
			if got != want {
				t.Errorf("%s:\n%+v\nwant\n%+v", step.name, got, want)
			}
		}
	}
	if took == 0 {
		t.Error("no request took any time")
	}
}

// breaking is a backend whose modules fail in the middle.
type breaking struct{ server.Backend }

func (b breaking) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := b.Backend.Module(ctx, s, root)
	if err != nil {
		return nil, err
	}
	return &brokenModule{ReadSeekCloser: m, left: 5000}, nil
}

type brokenModule struct {
	io.ReadSeekCloser
	left int
}

func (b *brokenModule) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		return n, errors.New("a bad disk")
	}
	return n, err
}

// TestAccessAborted: Aborted distinguishes an incomplete response from a complete one.
func TestAccessAborted(t *testing.T) {
	w, stores := fixture(t, 1)
	lines := make(chan server.Access, 8)
	srv := server.New(breaking{stores},
		&server.Options{Access: func(_ context.Context, a server.Access) { lines <- a }})
	c := listen(t, srv, "", w.Store, &remote.ClientOptions{Attempts: 1})
	r, err := c.Module(t.Context(), w.Heads[0].Root)
	if _, err := io.Copy(io.Discard, must(t, r, err)); err == nil {
		t.Error("the module came whole")
	}
	r.Close()
	if a := <-lines; !a.Aborted || a.Status != 200 || a.Sent != 5000 {
		t.Errorf("%+v", a)
	}
}
