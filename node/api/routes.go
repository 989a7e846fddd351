package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A route is one method of one path.
type route struct {
	method  string
	pattern string // segments; {name} matches any segment
	handle  func(w *answer, c *call) error
	bucket  string // to which a request is charged
	absent  Code   // for fs.ErrNotExist
	admin   bool   // authorized by Options.Admin
	exempt  bool   // exempt from all limits, and served while the node shuts down
	json    bool   // the answer is JSON
	public  bool   // pages of every origin may read the answer
}

// all returns the routes that the options enable.
func (s *Server) all() []route {
	o := &s.opt
	list := []route{
		{method: "GET", pattern: "/health", handle: s.health, exempt: true, json: true},
		{method: "GET", pattern: "/ready", handle: s.ready, exempt: true, json: true},
		{method: "GET", pattern: "/openapi.json", handle: s.openAPI, bucket: bucketRequests,
			json: true, public: true},
		{method: "GET", pattern: "/.well-known/dig-node.json", handle: s.wellKnown,
			bucket: bucketRequests, json: true, public: true},
		{method: "GET", pattern: "/network/peers", handle: s.peers, bucket: bucketRequests,
			json: true, public: true},
		{method: "GET", pattern: "/handle/{handle}/resolve", handle: s.resolve,
			bucket: bucketRequests, json: true, public: true, absent: HandleNotFound},
	}
	add := func(when bool, routes ...route) {
		if when {
			list = append(list, routes...)
		}
	}
	add(o.Capsules != nil,
		route{method: "GET", pattern: "/capsule/{datastore_id}/{capsule_index}",
			handle: s.capsule, bucket: bucketCapsules, absent: CapsuleNotFound, public: true},
		route{method: "GET", pattern: "/blob/{capsule_hash}", handle: s.blob,
			bucket: bucketCapsules, absent: CapsuleNotFound, public: true})
	add(o.Datastores != nil,
		route{method: "GET", pattern: "/datastore/{datastore_id}/manifest", handle: s.manifest,
			bucket: bucketRequests, json: true, public: true, absent: DatastoreNotFound})
	s.addPush(add)
	add(o.Challenger != nil,
		route{method: "POST", pattern: "/validation/challenge", handle: s.challenge, json: true,
			absent: CapsuleNotFound})
	if o.Admin != nil {
		s.addAdmin(add)
	}
	return list
}

// A router finds the route of a path.
type router struct{ roots []node }

// node is a pattern with its routes by method.
type node struct {
	pattern  string
	segments []string
	methods  map[string]*route
}

func newRouter(routes []route) *router {
	r := new(router)
	for i := range routes {
		rt := &routes[i]
		at := slices.IndexFunc(r.roots, func(n node) bool { return n.pattern == rt.pattern })
		if at < 0 {
			at = len(r.roots)
			r.roots = append(r.roots, node{rt.pattern, strings.Split(rt.pattern, "/"),
				map[string]*route{}})
		}
		r.roots[at].methods[rt.method] = rt
	}
	// More specific patterns come first.
	slices.SortStableFunc(r.roots, func(a, b node) int {
		return strings.Count(a.pattern, "{") - strings.Count(b.pattern, "{")
	})
	return r
}

// find returns the routes of a path by method, and the values in the path; nil: there is none.
func (r *router) find(path string) (map[string]*route, map[string]string) {
	if len(path) > maxPath {
		return nil, nil
	}
	segments := strings.Split(path, "/")
	for i := range r.roots {
		if values, ok := r.roots[i].match(segments); ok {
			return r.roots[i].methods, values
		}
	}
	return nil, nil
}

// maxPath is the limit of a path in bytes.
const maxPath = 1024

func (n *node) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(n.segments) {
		return nil, false
	}
	var values map[string]string
	for i, want := range n.segments {
		if !strings.HasPrefix(want, "{") {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		if segments[i] == "" {
			return nil, false
		}
		if values == nil {
			values = make(map[string]string, 2)
		}
		values[strings.Trim(want, "{}")] = segments[i]
	}
	return values, true
}

// Routes returns the method and the pattern of every route, sorted.
func (s *Server) Routes() []string {
	var list []string
	for _, n := range s.routes.roots {
		for method := range n.methods {
			list = append(list, method+" "+n.pattern)
		}
	}
	slices.Sort(list)
	return list
}

// Headers that pages of other origins may send and read.
const (
	allowHeaders = "Range, If-None-Match, If-Range, X-Request-ID, X-API-Key, X-Dig-Identity, " +
		"X-Dig-Timestamp, X-Dig-Nonce, X-Dig-Auth"
	exposeHeaders = "X-Merkle-Proof, X-Plot-ID, X-Capsule-Hash, X-Dig-Chunk-Root, ETag, " +
		"Content-Range, Accept-Ranges, Retry-After, X-Request-ID, X-Dig-Cache, " +
		"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)

// crossOrigin sets the CORS headers if the route allows other origins.
func (s *Server) crossOrigin(w *answer, c *call, rt *route) {
	origin := c.Header.Get("Origin")
	h := w.Header()
	switch {
	case rt.public:
		h.Set("Access-Control-Allow-Origin", "*")
	case origin != "" && slices.Contains(s.opt.AdminOrigins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
	default:
		return
	}
	h.Set("Access-Control-Expose-Headers", exposeHeaders)
}

// preflight answers OPTIONS.
func (s *Server) preflight(w *answer, c *call, methods map[string]*route) error {
	h := w.Header()
	h.Set("Allow", strings.Join(allowed(methods), ", "))
	asked := c.Header.Get("Access-Control-Request-Method")
	if asked == http.MethodHead {
		asked = http.MethodGet
	}
	if rt := methods[asked]; rt != nil {
		s.crossOrigin(w, c, rt)
		if h.Get("Access-Control-Allow-Origin") != "" {
			h.Set("Access-Control-Allow-Methods", c.Header.Get("Access-Control-Request-Method"))
			headers := allowHeaders
			if !rt.public {
				headers += ", Authorization, Content-Type, X-Dig-Control-Token, Prefer"
			}
			h.Set("Access-Control-Allow-Headers", headers)
			h.Set("Access-Control-Max-Age", "600")
			h.Del("Access-Control-Expose-Headers")
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// query returns the values of a query. A malformed query is an error.
func (c *call) query() (url.Values, error) {
	q, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return nil, failf(InvalidArgument, "malformed query")
	}
	return q, nil
}
