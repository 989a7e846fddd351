package server_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// An authority returns what a test sets, and records the calls.
type authority struct {
	settled bool
	err     error
	asked   []auth.SignedRoot
	held    []auth.PublicKey
}

func (*authority) ByRoot() bool { return false }

func (a *authority) Publish(_ context.Context, head auth.SignedRoot,
	held auth.PublicKey) (bool, error) {
	a.asked, a.held = append(a.asked, head), append(a.held, held)
	return a.settled, a.err
}

const unknowable = "whether this may be published cannot be found out now"

func storeKey(k *auth.Key) header { return set("X-Dig-Store-Key", k.PublicKey().String()) }

func TestAuthority(t *testing.T) {
	a := new(authority)
	s := newSite(t, 1, &server.Options{Limits: noLimit, Authority: a})
	mod, head := s.next()
	parent := s.head().Root
	for _, tc := range []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{"forbidden", auth.ErrForbidden, 403, "push not authorized: not allowed here"},
		{"no such store on the chain", fs.ErrNotExist, 403, "push not authorized: not allowed here"},
		{"chain out of reach", errors.New("secret host: connection refused"), 503, unknowable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.asked, a.held, a.err = nil, nil, tc.err
			body := new(touched)
			res := s.do("PUT", s.path("/module?root="+head.Root.String()), body, pushHeaders(head, parent))
			want(t, res, tc.status, tc.text)
			if tc.status == 503 && res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			want(t, s.announce(head, parent, mod), tc.status, tc.text)
			if len(a.asked) != 2 || a.asked[0] != head || a.held[0] != s.publisher.PublicKey() || body.read {
				t.Errorf("asked %+v about %v, body read: %v", a.asked, a.held, body.read)
			}
			if all, _ := s.stores.Pending(t.Context(), s.id); len(all) > 0 {
				t.Error("something is kept")
			}
		})
	}
	t.Run("not asked in vain", func(t *testing.T) {
		a.asked, a.err = nil, nil
		want(t, s.put(head, parent, mod, set("X-Dig-Signature", s.head().Tagged.String())), 403,
			badSignature)
		want(t, s.put(head, merkle.Hash{1}, mod), 409, conflict)
		want(t, s.put(s.head(), parent, s.modules[0]), 200, "") // the head already
		if a.asked != nil {
			t.Errorf("asked %v", a.asked)
		}
	})
	t.Run("unsettled", func(t *testing.T) {
		want(t, s.put(head, parent, mod), 202, "")
		want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
		a.settled = true
		want(t, s.put(head, parent, mod), 201, "") // the same push, later
		want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
	})
	t.Run("unsettled where nothing is kept", func(t *testing.T) {
		a.settled = false
		s.serve(struct {
			server.Backend
			server.Receiver
		}{s.stores, s.stores}, &server.Options{Authority: a})
		mod, next := s.build(s.id, s.publisher, 7)
		want(t, s.put(next, head.Root, mod), 503, "whether this may be published is not settled yet")
	})
}

// TestAnotherKey: a store's key changes only if the Authority accepts it.
func TestAnotherKey(t *testing.T) {
	a := &authority{settled: true}
	s := newSite(t, 1, nil)
	heir := key(0x77)
	mod, head := s.build(s.id, heir, 1)
	parent := s.head().Root
	want(t, s.put(head, parent, mod, storeKey(heir)), 403, badSignature) // no Authority
	s.serve(s.stores, &server.Options{Limits: noLimit, Authority: a})
	want(t, s.put(head, parent, mod), 403, badSignature) // the request names no key
	want(t, s.put(head, parent, mod, set("X-Dig-Store-Key", "12")), 422, invalid+"malformed store key")
	want(t, s.put(head, parent, mod, func(r *http.Request) {
		r.Header["X-Dig-Store-Key"] = []string{heir.PublicKey().String(), heir.PublicKey().String()}
	}), 422, invalid+"malformed store key")
	t.Run("the module has to be of that key", func(t *testing.T) {
		other, _ := s.build(s.id, s.publisher, 1)
		want(t, s.put(head, parent, other, storeKey(heir)), 422, invalid+"public key is not the store's")
	})
	t.Run("announced", func(t *testing.T) {
		want(t, s.announce(head, parent, mod), 200, "*")
		want(t, s.put(head, parent, mod, storeKey(s.publisher)), 422,
			invalid+"push-init and header name different keys")
		a.err = auth.ErrForbidden
		want(t, s.put(head, parent, mod), 403, "push not authorized: not allowed here")
		if last := len(a.asked) - 1; a.asked[last] != head || a.held[last] != s.publisher.PublicKey() {
			t.Errorf("asked %v, held %v", a.asked[last], a.held[last])
		}
		a.err = nil
		want(t, s.put(head, parent, mod), 201, "")
	})
	if now, err := s.memory.Head(t.Context()); err != nil || now.PublicKey != heir.PublicKey() {
		t.Errorf("the head is %+v, %v", now, err)
	}
	late, old := s.build(s.id, s.publisher, 2)
	s.serve(s.stores, nil)
	want(t, s.put(old, head.Root, late), 403, badSignature) // the previous key
	mod, next := s.build(s.id, heir, 2)
	want(t, s.put(next, head.Root, mod), 201, "")
}

// TestFirstPushByAuthority: the policy accepts a store, the Authority its first generation. A
// header may name the key in place of a push-init.
func TestFirstPushByAuthority(t *testing.T) {
	a := &authority{err: auth.ErrForbidden}
	s := newSite(t, 0, nil)
	mod, head := s.next()
	s.serve(remotetest.NewStores(s.now), &server.Options{Authority: a})
	want(t, s.put(head, merkle.Hash{}, mod, storeKey(s.publisher)), 404, "unknown store")
	s.serve(remotetest.NewStores(s.now),
		&server.Options{Authority: a, Policy: server.TrustOnFirstUse{}})
	body := new(touched)
	want(t, s.do("PUT", s.path("/module?root="+head.Root.String()), body,
		pushHeaders(head, merkle.Hash{}), storeKey(s.publisher)), 403, "*")
	if body.read || len(a.held) != 1 || !a.held[0].IsZero() {
		t.Errorf("body read %v, held %v", body.read, a.held)
	}
	a.err, a.settled = nil, true
	want(t, s.put(head, merkle.Hash{}, mod, storeKey(key(0x13))), 403, badSignature)
	want(t, s.put(head, merkle.Hash{}, mod), 201, "") // the key of the module
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
}

// TestCompleteByAuthority: the Authority decides about an upload in the bucket.
func TestCompleteByAuthority(t *testing.T) {
	a := new(authority)
	b := newBucket(t)
	s := newSite(t, 1, &server.Options{Authority: a, Objects: b})
	mod, head := s.next()
	want(t, s.announce(head, s.head().Root, mod), 200, "*")
	b.fill(mod)
	a.err = errors.New("out of reach")
	want(t, s.complete(head), 503, unknowable)
	a.err = nil
	want(t, s.complete(head), 202, "")
	a.settled = true
	want(t, s.complete(head), 201, "")
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
}

type generation = module.Generation

// lineBackend is a backend whose Generations fails the test.
type lineBackend struct {
	*remotetest.Stores
	t *testing.T
}

func (b lineBackend) Generations(context.Context, auth.StoreID) ([]generation, error) {
	b.t.Error("the whole history was read")
	return nil, errors.ErrUnsupported
}

// TestPushReadsNoHistory: neither a descriptor nor a push reads the whole history.
func TestPushReadsNoHistory(t *testing.T) {
	s := newSite(t, 2, nil)
	s.serve(lineBackend{s.stores, t}, nil)
	mod, head := s.next()
	want(t, s.do("GET", s.path(""), nil), 200, "*")
	want(t,
		s.do("POST", s.path("/module/upload"),
			strings.NewReader(s.announcement(head, s.head().Root, mod)), pushHeaders(head, s.head().Root)),
		200, "*")
	want(t, s.put(s.heads[0], s.head().Root, s.modules[0]), 409, conflict)
	want(t, s.put(head, s.head().Root, mod), 201, "")
	if got, err := s.memory.Module(t.Context(), head.Root); err != nil {
		t.Error(err)
	} else {
		var whole bytes.Buffer
		if _, err := whole.ReadFrom(got); err != nil || !bytes.Equal(whole.Bytes(), mod) {
			t.Error("other bytes", err)
		}
	}
}

// TestAnotherKeyInAWorkspace: the key that the Authority accepts is also the store's key on disk.
func TestAnotherKeyInAWorkspace(t *testing.T) {
	dir := t.TempDir()
	ws, err := digstore.Init(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { ws.Close() }()
	a := &authority{settled: true}
	s := newSite(t, 1, nil)
	opt := &server.Options{Limits: noLimit, Authority: a, Policy: server.TrustOnFirstUse{}}
	s.serve(ws, opt)
	want(t, s.put(s.heads[0], merkle.Hash{}, s.modules[0]), 201, "")
	heir := key(0x77)
	mod, head := s.build(s.id, heir, 1)
	want(t, s.put(head, s.heads[0].Root, mod, storeKey(heir)), 201, "")
	ws.Close()
	if ws, err = digstore.Find(dir, nil); err != nil {
		t.Fatal(err)
	}
	s.serve(ws, opt)
	if now, err := ws.Head(t.Context(), s.id); err != nil || now.PublicKey != heir.PublicKey() ||
		now.Check() != nil {
		t.Errorf("the head is %+v, %v, %v", now, err, now.Check())
	}
	mod, next := s.build(s.id, heir, 2)
	a.settled = false
	want(t, s.put(next, head.Root, mod), 202, "")
	a.settled = true
	want(t, s.put(next, head.Root, mod), 201, "")
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))
}
