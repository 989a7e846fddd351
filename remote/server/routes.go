package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A route is one entry of the route table: the operation that a request is signed for, and the
// handler.
type route struct {
	op     request.Op
	handle func(http.ResponseWriter, *call) error
}

// A call is an authenticated, rate-limited request.
type call struct {
	*http.Request
	store   auth.StoreID
	root    merkle.Hash // requested or pushed generation, for Options.Access
	op      request.Op
	key     string     // path after contentPath
	address netip.Addr // of the client; see clientAddr
	// by.Identity is zero if no signature was needed. by.Credential is set only for mutating
	// operations.
	by     Requester
	body   *timedBody // Request.Body
	memory share      // of Server.bodies, released when the handler returns
}

// share returns an empty share of b for the call's client.
func (c *call) share(b *budget) share {
	return share{of: b, by: holder{c.address, c.by.Identity, c.store}}
}

// table returns the routes by the path after /stores/{id} and by method. HEAD uses the route and
// the operation of GET (remote/PROTOCOL.md 3.2). Routes that the backend does not support are
// absent.
func (s *Server) table() map[string]map[string]route {
	t := map[string]map[string]route{
		"":        {http.MethodGet: {request.Fetch, s.getDescriptor}},
		"/roots":  {http.MethodGet: {request.Roots, s.getRoots}},
		"/module": {http.MethodGet: {request.Module, s.getModule}},

		"/content":  {http.MethodPost: {request.Content, s.postContent}},
		contentPath: {http.MethodGet: {request.Content, s.getContent}},
		"/proof":    {http.MethodPost: {request.Proof, s.postProof}},
		"/delta":    {http.MethodGet: {request.Delta, s.getDelta}, http.MethodPost: {request.Delta, s.postDelta}},
	}
	if s.receiver != nil {
		t["/module"][http.MethodPut] = route{request.Push, s.putModule}
		t["/module/upload"] = map[string]route{http.MethodPost: {request.PushInit, s.postInit}}
		t["/module/complete"] = map[string]route{http.MethodPost: {request.PushComplete, s.postComplete}}
	}
	if s.revoker != nil {
		t["/tombstone"] = map[string]route{http.MethodPost: {request.Tombstone, s.postTombstone}}
	}
	return t
}

// ServeHTTP answers one request: route, store id, limit by address, authentication, limits by
// identity and store, Authorize, handler (remote/PROTOCOL.md 3.3). It closes the connection of a
// client that sends a body or reads a response too slowly, if the ResponseWriter can set deadlines.
// A response that is ready before the whole body was read is sent at once; at most 256 KiB of the
// rest are read.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := newTimedBody(w, r, s.opt.UploadIdle)
	out := newTimedWriter(w, r, s.opt.DownloadIdle, body)
	out.Header().Set("X-Content-Type-Options", "nosniff")
	s.answer(out, r, body)
	out.finish()
}

// answer writes the response to a request and calls observe.
func (s *Server) answer(out *timedWriter, r *http.Request, body *timedBody) {
	begin := time.Now()
	a := &Access{Start: s.opt.Now(), Address: clientAddr(r, s.opt.TrustedProxies), Aborted: true}
	defer s.observe(r.Context(), a, out, body, begin) // also when the handler panics
	if err := s.handle(out, r, body, a); err != nil {
		s.refuse(out, r, err)
	}
	a.Aborted = false
}

// handle runs the handler of a request. It releases the request's memory when it returns.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, body *timedBody, a *Access) error {
	c, handle, err := s.enter(w, r, a)
	if err != nil {
		return err
	}
	defer func() { a.Root = c.root }()
	c.body = body
	c.memory = c.share(s.bodies)
	defer c.memory.release()
	err = handle(w, c)
	if !c.op.Mutating() {
		s.damage.note(c.Context(), module.ID{Store: c.store}, err)
	}
	return err
}

// enter makes the checks that are common to all routes and fills in a.
func (s *Server) enter(w http.ResponseWriter, r *http.Request,
	a *Access) (*call, func(http.ResponseWriter, *call) error, error) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/stores/")
	if !ok || r.URL.RawPath != "" { // no route has an escaped slash or letter
		return nil, nil, noRoute()
	}
	id, tail := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		id, tail = rest[:i], rest[i:]
	}
	key := ""
	if rest, ok := strings.CutPrefix(tail, contentPath); ok && rest != "" {
		tail, key = contentPath, rest
	}
	methods, ok := s.routes[tail]
	if !ok || tail == contentPath && key == "" {
		return nil, nil, noRoute()
	}
	a.Route = routeName(tail)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rt, ok := methods[method]
	if !ok {
		w.Header().Set("Allow", allowed(methods))
		return nil, nil, noMethod()
	}
	a.Method = r.Method
	store, err := auth.ParseStoreID(id)
	if err != nil {
		return nil, nil, badRequest("bad store id")
	}
	a.Store = store
	c := &call{Request: r, store: store, op: rt.op, key: key, address: a.Address}
	now := s.opt.Now()
	if wait := s.perIP.take(c.address, now); wait > 0 {
		return nil, nil, rateLimited(wait)
	}
	if open := s.opt.Anonymous && (!rt.op.Mutating() || s.opt.AnonymousWrites); !open {
		if c.by.Identity, err = s.opt.Authenticator.Check(r, rt.op, store); err != nil {
			return nil, nil, err
		}
		a.Identity = fingerprint(c.by.Identity)
		if wait := s.perIdentity.take(c.by.Identity, now); wait > 0 {
			return nil, nil, rateLimited(wait)
		}
	}
	if wait := s.perStore.take(store, now); wait > 0 {
		return nil, nil, rateLimited(wait)
	}
	if s.opt.Authorize != nil {
		if err := s.opt.Authorize(r.Context(), c.by.Identity, rt.op, store); err != nil {
			return nil, nil, unauthorized(err)
		}
	}
	if rt.op.Mutating() {
		c.by.Credential = s.credential(r)
		a.Credential = c.by.Credential
	}
	return c, rt.handle, nil
}

// routeName returns the value of [Access].Route.
func routeName(tail string) string {
	if tail == contentPath {
		tail += "{key}"
	}
	return "/stores/{id}" + tail
}

func allowed(methods map[string]route) string {
	var names []string
	for m := range methods {
		names = append(names, m)
		if m == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
