package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// anchorAt is an anchor that returns one root.
type anchorAt merkle.Hash

func (a anchorAt) CurrentRoot(context.Context, auth.StoreID) (merkle.Hash, error) {
	return merkle.Hash(a), nil
}

func bearer(token string) header { return set("Authorization", "Bearer "+token) }

func TestFirstPush(t *testing.T) {
	s := newSite(t, 0, nil)
	mod, head := s.build(s.id, s.publisher, 0)
	stranger := key(0x11)
	other, otherHead := s.build(s.id, stranger, 0)
	listed := func(k auth.PublicKey) server.AllowList { return server.AllowList{s.id: k} }
	announce := func(k auth.PublicKey) io.Reader {
		return strings.NewReader(`{"parent_root":"","new_root":"` + head.Root.String() + `","store_pubkey":"` + k.String() + `"}`)
	}
	for _, tc := range []struct {
		name     string
		opt      *server.Options
		hs       []header
		announce auth.PublicKey // zero: bare PUT
		initCode int
		mod      []byte
		head     auth.SignedRoot
		status   int
		text     string
	}{
		{name: "unknown", mod: mod, head: head, status: 404, text: "unknown store"},
		{name: "listed", opt: &server.Options{Policy: listed(auth.PublicKey{})}, mod: mod, head: head, status: 201},
		{name: "listed, announced", opt: &server.Options{Policy: listed(auth.PublicKey{})},
			announce: s.publisher.PublicKey(), initCode: 200, mod: mod, head: head, status: 201},
		{name: "listed with its key", opt: &server.Options{Policy: listed(s.publisher.PublicKey())}, mod: mod, head: head, status: 201},
		{name: "listed with another key", opt: &server.Options{Policy: listed(stranger.PublicKey())}, mod: mod, head: head, status: 403, text: badSignature},
		{name: "listed with another key, announced", opt: &server.Options{Policy: listed(stranger.PublicKey())},
			announce: s.publisher.PublicKey(), initCode: 403, mod: mod, head: head, status: 403, text: badSignature},
		{name: "listed with its key, another in the header", opt: &server.Options{Policy: listed(s.publisher.PublicKey())},
			hs: []header{storeKey(stranger)}, mod: mod, head: head, status: 403, text: "push not authorized: another key is held for this store"},
		{name: "module of another key than listed", opt: &server.Options{Policy: listed(s.publisher.PublicKey())}, mod: other, head: head, status: 422,
			text: invalid + "public key is not the store's"},
		{name: "another store is listed", opt: &server.Options{Policy: server.AllowList{{1}: {}}}, mod: mod, head: head, status: 404, text: "unknown store"},
		{name: "first use", opt: &server.Options{Policy: server.TrustOnFirstUse{}}, mod: mod, head: head, status: 201},
		{name: "first use by anybody", opt: &server.Options{Policy: server.TrustOnFirstUse{}}, mod: other, head: otherHead, status: 201},
		{name: "signature by a key that is not in the module", opt: &server.Options{Policy: server.TrustOnFirstUse{}}, mod: other, head: head, status: 403, text: badSignature},
		{name: "anchored", opt: &server.Options{Policy: server.TrustOnFirstUse{Anchor: anchorAt(head.Root)}}, mod: mod, head: head, status: 201},
		{name: "anchored elsewhere", opt: &server.Options{Policy: server.TrustOnFirstUse{Anchor: anchorAt{1}}}, mod: mod, head: head, status: 403,
			text: "push not authorized: not allowed here"},
		{name: "token", opt: &server.Options{Credential: server.Credentials{"push": "sesame"}.Check}, hs: []header{bearer("sesame")}, mod: mod, head: head, status: 201},
		{name: "token, other scheme", opt: &server.Options{Credential: server.Credentials{"push": "sesame"}.Check}, hs: []header{set("Authorization", "Basic sesame")}, mod: mod, head: head, status: 401, text: "missing bearer token"},
		{name: "wrong token", opt: &server.Options{Credential: server.Credentials{"push": "sesame"}.Check}, hs: []header{bearer("sesam")}, mod: mod, head: head, status: 401, text: "missing bearer token"},
		{name: "no token", opt: &server.Options{Credential: server.Credentials{"push": "sesame"}.Check}, mod: mod, head: head, status: 401, text: "missing bearer token"},
		{name: "narrowed", opt: &server.Options{Policy: server.TrustOnFirstUse{}, Only: []auth.StoreID{{1}}}, mod: mod, head: head, status: 404, text: "unknown store"},
		{name: "noise", opt: &server.Options{Policy: server.TrustOnFirstUse{}}, mod: []byte("noise"), head: head, status: 422,
			text: invalid + "no public key near the start of the module; announce the push with push-init"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.serve(remotetest.NewStores(s.now), tc.opt)
			if !tc.announce.IsZero() {
				hs := append([]header{pushHeaders(tc.head, merkle.Hash{})}, tc.hs...)
				want(t, s.do("POST", s.path("/module/upload"), announce(tc.announce), hs...), tc.initCode, "*")
			}
			want(t, s.put(tc.head, merkle.Hash{}, tc.mod, tc.hs...), tc.status, tc.text)
			if tc.status == 201 {
				want(t, s.do("GET", s.path("/module"), nil), 200, string(tc.mod))
				want(t, s.put(tc.head, merkle.Hash{}, tc.mod), 200, "") // an update needs no token
			} else {
				want(t, s.do("GET", s.path(""), nil), 404, "unknown store")
			}
		})
	}
}

func TestFirstPushWithUnknownLength(t *testing.T) {
	s := newSite(t, 0, nil)
	mod, head := s.build(s.id, s.publisher, 0)
	s.serve(remotetest.NewStores(s.now), &server.Options{Policy: server.TrustOnFirstUse{}})
	r := s.request("PUT", s.path("/module?root="+head.Root.String()),
		io.MultiReader(bytes.NewReader(mod)), pushHeaders(head, merkle.Hash{}))
	r.ContentLength = -1
	want(t, s.answer(r), 201, "")
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))

	s.serve(remotetest.NewStores(s.now),
		&server.Options{Policy: server.TrustOnFirstUse{}, MaxModule: 1000})
	r = s.request("PUT", s.path("/module?root="+head.Root.String()),
		io.MultiReader(bytes.NewReader(mod)), pushHeaders(head, merkle.Hash{}))
	r.ContentLength = -1
	want(t, s.answer(r), 413, "module too large: 1001 bytes")
}

func TestPushWithAToken(t *testing.T) {
	s := newSite(t, 1, nil)
	s.serve(remotetest.NewStores(s.now),
		&server.Options{Credential: server.Credentials{"push": "sesame"}.Check})
	origin := remotetest.NewOrigin(s.server)
	defer origin.Close()
	for _, tc := range []struct {
		token string
		taken bool
	}{{"", false}, {"wrong", false}, {"sesame", true}, {"", true}} {
		// by the last iteration the store exists
		c, err := origin.Client(s.id, &remote.ClientOptions{Bearer: tc.token, Now: s.now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = remote.Push(t.Context(), c, s.memory)
		c.Close()
		if (err == nil) != tc.taken || err != nil && !errors.Is(err, request.ErrUnauthenticated) {
			t.Errorf("with token %q: %v", tc.token, err)
		}
	}
}

func TestSeveralStoresOfOneServer(t *testing.T) {
	s := newSite(t, 0, nil)
	s.serve(remotetest.NewStores(s.now), &server.Options{Policy: server.TrustOnFirstUse{}})
	for n := range 3 {
		by := key(byte(0x70 + n))
		id := auth.StoreIDFromKey(by.PublicKey())
		mod, head := s.build(id, by, n)
		want(t, s.put(head, merkle.Hash{}, mod), http.StatusCreated, "")
	}
	n := 0
	for _, err := range s.server.Serving(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d stores", n)
	}
}
