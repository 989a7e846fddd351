package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

func TestAuthorize(t *testing.T) {
	type question struct {
		who   auth.PublicKey
		op    request.Op
		store auth.StoreID
	}
	var asked []question
	var answer error
	var log bytes.Buffer
	s := newSite(t, 1, nil)
	opt := server.Options{Limits: noLimit, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Authorize: func(_ context.Context, who auth.PublicKey, op request.Op, store auth.StoreID) error {
			asked = append(asked, question{who, op, store})
			return answer
		}}
	s.serve(untouchable{t}, &opt)
	for _, route := range everyRoute {
		op, _ := request.OpOf(route.method, route.tail)
		t.Run(route.method+" "+route.tail, func(t *testing.T) {
			asked, answer = nil, errors.New("the secret list does not have him")
			text := "not authorized"
			if route.method == "HEAD" {
				text = ""
			}
			body := new(touched)
			want(t, s.do(route.method, s.path(route.tail), body), 403, text)
			if len(asked) != 1 || asked[0] != (question{s.identity.PublicKey(), op, s.id}) || body.read {
				t.Errorf("asked %v, body read %v", asked, body.read)
			}
			asked = nil
			want(t, s.do(route.method, s.path(route.tail), nil, set("X-Dig-Auth", "00")), 401, "*")
			if asked != nil {
				t.Error("asked about who is not authenticated")
			}
		})
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("a refusal is no failure: %s", log.String())
	}
	res := s.do("GET", s.path(""), nil, set("Accept", "application/json"))
	want(t, res, 403, `{"error":"forbidden","message":"not authorized"}`)

	answer = nil
	s.serve(s.stores, &opt)
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
	opt.Anonymous = true
	s.serve(s.stores, &opt)
	asked = nil
	want(t, s.do("GET", s.path(""), nil, set("X-Dig-Auth", "-")), 200, "*")
	if len(asked) != 1 || asked[0].who != (auth.PublicKey{}) {
		t.Errorf("asked %v", asked)
	}
}

// untouchable is a backend whose methods fail the test.
type untouchable struct{ t *testing.T }

var (
	_ server.Receiver = untouchable{}
	_ server.Revoker  = untouchable{}
)

func (b untouchable) touched() error {
	b.t.Helper()
	b.t.Error("the backend was asked")
	return errors.ErrUnsupported
}

func (b untouchable) Head(context.Context, auth.StoreID) (auth.SignedRoot, error) {
	return auth.SignedRoot{}, b.touched()
}

func (b untouchable) Generations(context.Context, auth.StoreID) ([]module.Generation, error) {
	return nil, b.touched()
}

func (b untouchable) Module(context.Context, auth.StoreID, merkle.Hash) (io.ReadSeekCloser, error) {
	return nil, b.touched()
}

func (b untouchable) Receive(context.Context, module.Push, io.Reader,
	func(*module.Module) error) error {
	return b.touched()
}

func (b untouchable) Line(context.Context, auth.StoreID, merkle.Hash) (module.Generation, error) {
	return module.Generation{}, b.touched()
}

func (b untouchable) Tombstones(context.Context, auth.StoreID) ([]auth.Tombstone, error) {
	return nil, b.touched()
}

func (b untouchable) Revoke(context.Context, auth.Tombstone) error { return b.touched() }

// TestNothingRunsUnauthenticated tries all pairs of methods and paths: an unsigned request is 401
// if there is a route, else 404 or 405. No lookup is made and no body is read.
func TestNothingRunsUnauthenticated(t *testing.T) {
	s := newSite(t, 0, nil)
	for _, opt := range []*server.Options{
		{Limits: noLimit},
		{Limits: noLimit, Policy: server.TrustOnFirstUse{}, Credential: server.Credentials{"push": "sesame"}.Check, Objects: newBucket(t)},
	} {
		s.serve(untouchable{t}, opt)
		routes := 0
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS",
			"TRACE", "CONNECT", "get", "BREW", "PROPFIND", "QUERY"} {
			for _, tail := range []string{"", "/", "/roots", "/module", "/module/", "/module/upload",
				"/module/complete", "/module/x",
				"/content", "/proof", "/delta", "/tombstone", "/tombstones", "/claim", "/recipe", "/ROOTS",
				"/roots/", "/.", "/..", "//", "/module;x"} {
				body := new(touched)
				r := httptest.NewRequestWithContext(t.Context(), "GET", s.path(tail), body)
				r.Method = method
				_, known := request.OpOf(method, tail)
				status := s.answer(r).StatusCode
				switch {
				case known && status != http.StatusUnauthorized, !known && status != http.StatusNotFound &&
					status != http.StatusMethodNotAllowed:
					t.Errorf("%s %q: %d", method, tail, status)
				case body.read:
					t.Errorf("%s %q: the body was read", method, tail)
				}
				if known {
					routes++
				}
			}
		}
		if routes != len(everyRoute) {
			t.Errorf("%d routes of %d were walked", routes, len(everyRoute))
		}
	}
}
