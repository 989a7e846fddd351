package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/remote/server"
)

// Options are the sources and the settings of a Server.
type Options struct {
	Identity   Identity
	Vitals     Vitals     // required
	Reporter   Reporter   // nil: no /node/status
	Capsules   Capsules   // nil: no /capsule and /blob
	Datastores Datastores // nil: no manifests
	Handles    Handles    // nil: every handle is unknown
	Peers      Peers      // nil: the list is empty
	Pusher     Pusher     // nil: no pushes
	Challenger Challenger // nil: no challenges
	Events     Events     // nil: no /events
	Plotter    Plotter    // nil: no /plot/create
	Pinner     Pinner     // nil: no /admin/pin and /admin/track
	Explainer  Explainer  // nil: no /admin/policy/explain
	Maintainer Maintainer // nil: no /admin/gc and /admin/scrub
	// Reload handles POST /admin/reload. nil: there is no such route.
	Reload func(ctx context.Context) error
	// ForgetPeer handles DELETE /admin/peers/{public_key}. nil: there is no such route.
	ForgetPeer func(ctx context.Context, key string) error
	// Stores handles every request below /stores/, with its own form of errors. nil: there is no
	// such route.
	Stores http.Handler

	// Admin wraps the handler of the admin routes and authorizes requests. nil: there are no admin
	// routes. See [AdminGate].
	Admin func(http.Handler) http.Handler
	// Credential returns the credential of a push: the zero Credential if the request has none, and
	// an error if it is invalid. nil: there are no credentials. See [Credentials].
	Credential func(r *http.Request) (Credential, error)
	// Authenticator checks the identities of pushes. nil: New makes one.
	Authenticator *request.Authenticator
	// Validators each have their own bucket for challenges.
	Validators []auth.NodePublicKey
	// Limits are the buckets of callers.
	Limits Limits
	// TrustedProxies are the peers whose X-Forwarded-For is used.
	TrustedProxies []netip.Prefix
	// AdminOrigins are the web origins whose pages may use the routes that are not public.
	AdminOrigins []string

	MaxPush        int64 // bytes of a push with inline data. Default 64 MiB
	MaxBodies      int64 // bytes of request bodies in memory at the same time. Default 96 MiB
	MaxReads       int   // capsules read at the same time. Default 64
	MaxChallenges  int   // challenges at the same time. Default the number of CPUs
	MaxSubscribers int   // of /events. Default 32
	// Idle is how long a client may neither send nor receive a byte. The average rate must be at
	// least 4 KiB a second. Default 30 s.
	Idle time.Duration
	// UploadRate is the limit of bytes a second sent to all clients together. Default: no limit.
	UploadRate int64

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default: discarded
	// Observe is called at the end of every request, for metrics.
	Observe func(Request)
}

// A Request is one request and its answer, for metrics. Route and Method have few values.
type Request struct {
	Method   string // "other" if no route has it
	Route    string // the pattern, as "/capsule/{datastore_id}/{capsule_index}"; "other": none
	Status   int
	Received int64 // bytes of the body
	Sent     int64
	Duration time.Duration
}

func (o *Options) setDefaults() {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.MaxPush, 64<<20)
	def(&o.MaxBodies, 96<<20)
	defInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	defInt(&o.MaxReads, 64)
	defInt(&o.MaxChallenges, numCPU())
	defInt(&o.MaxSubscribers, 32)
	defInt(&o.Limits.Tracked, 100_000)
	if o.Idle <= 0 {
		o.Idle = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Authenticator == nil {
		o.Authenticator = &request.Authenticator{Now: o.Now, Start: o.Now()}
	}
}

// A Server answers the routes of a node. It is an http.Handler and safe for concurrent use.
type Server struct {
	opt    Options
	routes *router
	jobs   *jobs
	table  map[string]*bucketTable
	reads  chan struct{}
	proofs chan struct{}
	bodies *server.MemoryLimit
	paced  http.Handler

	subscribers atomic.Int64
	received    atomic.Int64
	sent        atomic.Int64
	uploads     *throttle
}

// New returns a Server. It starts nothing; Close ends the jobs that requests have started.
func New(o Options) (*Server, error) {
	if o.Vitals == nil {
		return nil, errors.New("api: Options.Vitals is nil")
	}
	o.setDefaults()
	s := &Server{opt: o, jobs: newJobs(o.Now), reads: make(chan struct{}, o.MaxReads),
		proofs:  make(chan struct{}, o.MaxChallenges),
		uploads: newThrottle(o.UploadRate)}
	s.bodies = server.NewMemoryLimit(o.MaxBodies, max(o.MaxPush, o.MaxBodies/2), o.TrustedProxies)
	requests := o.Limits.Requests.withDefault(60)
	s.table = map[string]*bucketTable{
		bucketCapsules: newBucketTable(bucketCapsules, o.Limits.Capsules.withDefault(100),
			o.Limits.Tracked),
		bucketChallenges: newBucketTable(bucketChallenges, o.Limits.Challenges.withDefault(10),
			o.Limits.Tracked),
		bucketRequests: newBucketTable(bucketRequests, requests, o.Limits.Tracked),
		bucketGuard:    newBucketTable(bucketGuard, guardOf(requests), o.Limits.Tracked),
	}
	s.routes = newRouter(s.all())
	s.paced = server.CloseSlow(http.HandlerFunc(s.serve), o.Idle)
	return s, nil
}

// guardOf returns the bucket for all requests of one address.
func guardOf(requests Bucket) Bucket {
	if requests.PerMinute < 0 {
		return requests
	}
	return Bucket{guardFactor * requests.PerMinute, guardFactor * requests.Burst}
}

// SetLimits changes the buckets. All buckets are full afterwards.
func (s *Server) SetLimits(l Limits) {
	requests := l.Requests.withDefault(60)
	s.table[bucketCapsules].set(l.Capsules.withDefault(100))
	s.table[bucketChallenges].set(l.Challenges.withDefault(10))
	s.table[bucketRequests].set(requests)
	s.table[bucketGuard].set(guardOf(requests))
}

// Stats are counts since the Server was made.
type Stats struct {
	Received, Sent int64 // bytes of bodies
	Subscribers    int   // of events
	Reading        int   // capsules
	Proving        int   // challenges
	Jobs           int   // running or waiting
	Limits         map[string]LimitStats
}

// Stats returns counts.
func (s *Server) Stats() Stats {
	st := Stats{Received: s.received.Load(), Sent: s.sent.Load(), Reading: len(s.reads),
		Subscribers: int(s.subscribers.Load()), Proving: len(s.proofs), Jobs: s.jobs.running(),
		Limits: map[string]LimitStats{}}
	for name, t := range s.table {
		st.Limits[name] = t.stats()
	}
	return st
}

// Close ends the jobs and waits until they have ended.
func (s *Server) Close() { s.jobs.close() }

// call is one request and what its handlers need.
type call struct {
	*http.Request
	id    string // of the request
	path  map[string]string
	addr  netip.Addr // under which the client is counted
	route *route
	body  *countedBody
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.opt.Stores != nil && strings.HasPrefix(r.URL.Path, "/stores/") {
		s.opt.Stores.ServeHTTP(w, r) // which has its own limits and timeouts
		return
	}
	s.paced.ServeHTTP(w, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	begin := s.opt.Now()
	body := &countedBody{ReadCloser: r.Body}
	r.Body = body
	c := &call{Request: r, id: requestID(r), addr: clientAddr(r, s.opt.TrustedProxies), body: body}
	out := &answer{ResponseWriter: w, throttle: s.uploads, ctx: r.Context()}
	h := out.Header()
	h.Set("X-Request-ID", c.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Server", "dig-node/"+s.opt.Identity.Version)
	finished := false
	defer func() {
		if !finished {
			s.recovered(out, c, recover())
		}
		s.received.Add(body.n)
		s.sent.Add(out.sent)
		s.observe(c, out, begin)
	}()
	if err := s.dispatch(out, c); err != nil {
		s.refuse(out, c, err)
	}
	finished = true
}

// recovered answers after a panic of a handler. It repeats http.ErrAbortHandler.
func (s *Server) recovered(out *answer, c *call, cause any) {
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	s.opt.Logger.Error("handler_panic", "component", "http", "route", c.pattern(), "error", cause)
	if out.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeProblem(out, c.Request, c.id, &Error{Code: Internal})
}

func (c *call) pattern() string {
	if c.route == nil {
		return "other"
	}
	return c.route.pattern
}

func (s *Server) observe(c *call, out *answer, begin time.Time) {
	if s.opt.Observe == nil {
		return
	}
	method := "other"
	if c.route != nil {
		method = c.Method
	}
	s.opt.Observe(Request{Method: method, Route: c.pattern(), Status: out.status,
		Received: c.body.n, Sent: out.sent, Duration: s.opt.Now().Sub(begin)})
}

// dispatch finds the route, checks the request and runs the handler.
func (s *Server) dispatch(w *answer, c *call) error {
	methods, path := s.routes.find(c.URL.Path)
	if methods == nil {
		return &Error{Code: RouteNotFound}
	}
	c.path = path
	method := c.Method
	if method == http.MethodHead && methods[method] == nil {
		method = http.MethodGet
	}
	c.route = methods[method]
	if c.Method == http.MethodOptions {
		return s.preflight(w, c, methods)
	}
	if c.route == nil {
		w.Header().Set("Allow", strings.Join(allowed(methods), ", "))
		return &Error{Code: MethodNotAllowed}
	}
	rt := c.route
	s.crossOrigin(w, c, rt)
	if rt.exempt {
		return rt.handle(w, c)
	}
	if s.opt.Vitals.Draining() {
		return &Error{Code: Draining, RetryAfter: 5 * time.Second}
	}
	guard := s.table[bucketGuard].take(addressKey(c.addr), 1, s.opt.Now())
	if !guard.ok {
		return guard.error(bucketGuard)
	}
	if rt.admin {
		return s.admin(w, c)
	}
	if rt.bucket != bucketNone {
		charged := s.charge(c, rt.bucket)
		charged.headers(w.Header())
		if !charged.ok {
			return charged.error(rt.bucket)
		}
	}
	return s.handle(w, c)
}

// handle checks Accept and runs the handler of a route.
func (s *Server) handle(w *answer, c *call) error {
	if c.route.json && !acceptsJSON(c.Header) {
		return &Error{Code: NotAcceptable}
	}
	return c.route.handle(w, c)
}

// admin runs the handler of an admin route, wrapped by Options.Admin.
func (s *Server) admin(w *answer, c *call) error {
	var err error
	inner := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.Request = r
		if local, ok := peerAddr(r); !ok || !local.IsLoopback() {
			charged := s.charge(c, bucketRequests)
			charged.headers(w.Header())
			if !charged.ok {
				err = charged.error(bucketRequests)
				return
			}
		}
		err = s.handle(w, c)
	})
	s.opt.Admin(inner).ServeHTTP(adminWriter{w, c}, c.Request)
	return err
}

// charge takes a token for a request of a public route.
func (s *Server) charge(c *call, bucket string) charge {
	key, factor := addressKey(c.addr), 1.0
	if bucket == bucketRequests {
		if name := c.Header.Get("X-API-Key"); name != "" && len(name) <= 128 {
			if f, ok := s.opt.Limits.Keys[name]; ok {
				key, factor = callerKey{'k', name}, f
			}
		}
	}
	return s.table[bucket].take(key, factor, s.opt.Now())
}

// refuse answers with an error and logs its cause.
func (s *Server) refuse(w *answer, c *call, err error) {
	if w.status != 0 || c.Context().Err() != nil && errors.Is(err, c.Context().Err()) {
		panic(http.ErrAbortHandler) // the answer has begun, or the client disconnected
	}
	absent := RouteNotFound
	if c.route != nil && c.route.absent != "" {
		absent = c.route.absent
	}
	e := asError(err, absent)
	level := slog.LevelDebug
	if e.Code == Internal || e.Code == CorruptCapsule {
		level = slog.LevelError
	}
	s.opt.Logger.Log(c.Context(), level, "request_refused", "component", "http",
		"route", c.pattern(), "method", printable(c.Method), "code", string(e.Code),
		"request_id", c.id, "error", printable(err.Error()))
	writeProblem(w, c.Request, c.id, e)
}

// requestID returns the id of a request: the client's if it is a plain token, and a random one
// otherwise.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-ID")
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '.' || c == '_' || c == '-'
	}
	if id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(c rune) bool {
		return !plain(c)
	}) {
		return id
	}
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func allowed(methods map[string]*route) []string {
	var list []string
	for m := range methods {
		list = append(list, m)
		if m == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	list = append(list, http.MethodOptions)
	slices.Sort(list)
	return slices.Compact(list)
}

var cpus = sync.OnceValue(countCPUs)

func numCPU() int { return cpus() }
