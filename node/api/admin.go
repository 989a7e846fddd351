package api

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/strictjson"
)

func (s *Server) addAdmin(add func(bool, ...route)) {
	o := &s.opt
	at := func(method, pattern string, absent Code, handle func(*answer, *call) error) route {
		return route{method: method, pattern: pattern, handle: handle, absent: absent,
			admin: true, json: true}
	}
	add(o.Reporter != nil, at("GET", "/node/status", RouteNotFound, s.status))
	events := at("GET", "/events", RouteNotFound, s.events)
	events.json = false
	add(o.Events != nil, events)
	add(o.Plotter != nil, at("POST", "/plot/create", CapsuleNotFound, s.createPlot))
	add(o.Plotter != nil || o.Maintainer != nil,
		at("GET", "/admin/jobs/{id}", JobNotFound, s.job))
	add(o.Maintainer != nil,
		at("POST", "/admin/gc", RouteNotFound, s.collect),
		at("POST", "/admin/scrub", RouteNotFound, s.scrub))
	add(o.Reload != nil, at("POST", "/admin/reload", RouteNotFound, s.reload))
	add(o.Explainer != nil,
		at("GET", "/admin/policy/explain", DatastoreNotFound, s.explain))
	if p := o.Pinner; p != nil {
		add(true,
			at("POST", "/admin/pin/{datastore_id}", DatastoreNotFound, s.storeAction(p.Pin)),
			at("DELETE", "/admin/pin/{datastore_id}", DatastoreNotFound, s.storeAction(p.Unpin)),
			at("POST", "/admin/track/{datastore_id}", DatastoreNotFound, s.track),
			at("DELETE", "/admin/track/{datastore_id}", DatastoreNotFound,
				s.storeAction(p.Untrack)))
	}
	add(o.ForgetPeer != nil,
		at("DELETE", "/admin/peers/{public_key}", PeerNotFound, s.forgetPeer))
}

// maxAdminBody is the limit in bytes of the body of an admin request. It leaves room for the
// indices of a plot.
const maxAdminBody = 8 << 20

// storeAction answers a request that names a datastore and has no body.
func (s *Server) storeAction(
	do func(context.Context, auth.StoreID) error,
) func(*answer, *call) error {
	return func(w *answer, c *call) error {
		store, err := c.store()
		if err == nil {
			err = do(c.Context(), store)
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// track answers POST /admin/track/{datastore_id}.
func (s *Server) track(w *answer, c *call) error {
	store, err := c.store()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(&bodyReader{r: c.Body, left: 64 << 10})
	if err != nil {
		return bodyError(err)
	}
	var body struct {
		Origin string `json:"origin"`
	}
	if len(text) > 0 {
		if err := strictjson.Unmarshal(text, &body); err != nil {
			return bodyError(err)
		}
	}
	if err := s.opt.Pinner.Track(c.Context(), store, body.Origin); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// forgetPeer answers DELETE /admin/peers/{public_key}.
func (s *Server) forgetPeer(w *answer, c *call) error {
	key, err := parse32(c.path["public_key"], "public_key")
	if err == nil {
		err = s.opt.ForgetPeer(c.Context(), key.String())
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// reload answers POST /admin/reload.
func (s *Server) reload(w *answer, c *call) error {
	err := s.opt.Reload(c.Context())
	var e *Error
	switch {
	case errors.As(err, &e):
		return err
	case err != nil: // the error is about the operator's configuration
		return &Error{Code: InvalidArgument, Detail: err.Error(), Err: err}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// explain answers GET /admin/policy/explain.
func (s *Server) explain(w *answer, c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	store, err := parse32(q.Get("datastore_id"), "datastore_id")
	if err != nil {
		return err
	}
	v, err := s.opt.Explainer.Explain(c.Context(), auth.StoreID(store))
	if err != nil {
		return err
	}
	return s.sendJSON(w, c, http.StatusOK, v)
}

// job answers GET /admin/jobs/{id}.
func (s *Server) job(w *answer, c *call) error {
	j, err := s.jobs.get(c.path["id"])
	if err != nil {
		return err
	}
	return s.sendJSON(w, c, http.StatusOK, j)
}

// accepted answers with a started job. Location is a relative URL, because the routes may be below
// a prefix.
func (s *Server) accepted(w *answer, c *call, j *job) error {
	depth := strings.Count(c.route.pattern, "/") - 1
	w.Header().Set("Location", strings.Repeat("../", depth)+"admin/jobs/"+j.ID)
	now, err := s.jobs.get(j.ID)
	if err != nil {
		return err
	}
	return s.sendJSON(w, c, http.StatusAccepted, now)
}

// collect answers POST /admin/gc.
func (s *Server) collect(w *answer, c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	dry := q.Get("dry_run") == "1"
	collect := func(ctx context.Context, progress func(float64)) (any, error) {
		return s.opt.Maintainer.Collect(ctx, dry, progress)
	}
	j, err := s.jobs.start("gc", RouteNotFound, collect)
	if err != nil {
		return err
	}
	return s.accepted(w, c, j)
}

// scrub answers POST /admin/scrub.
func (s *Server) scrub(w *answer, c *call) error {
	j, err := s.jobs.start("scrub", RouteNotFound, s.opt.Maintainer.Scrub)
	if err != nil {
		return err
	}
	return s.accepted(w, c, j)
}

// createPlot answers POST /plot/create. The job continues if the client disconnects.
func (s *Server) createPlot(w *answer, c *call) error {
	if err := jsonBody(c.Header); err != nil {
		return err
	}
	p, err := readPlot(&bodyReader{r: c.Body, left: maxAdminBody})
	if err != nil {
		return bodyError(err)
	}
	create := func(ctx context.Context, progress func(float64)) (any, error) {
		info, err := s.opt.Plotter.CreatePlot(ctx, p, progress)
		if err != nil {
			return nil, err
		}
		return map[string]any{"plot_id": hex32(info.ID), "creation_time": stamp(info.Created),
			"size_bytes": info.Size, "capsule_count": info.Capsules}, nil
	}
	j, err := s.jobs.start("plot", CapsuleNotFound, create)
	if err != nil {
		return err
	}
	if prefersAsync(c.Header) {
		w.Header().Set("Preference-Applied", "respond-async")
		return s.accepted(w, c, j)
	}
	select {
	case <-j.done:
	case <-c.Context().Done():
		return c.Context().Err()
	}
	ended, err := s.jobs.get(j.ID)
	if err != nil {
		return err
	}
	if ended.err != nil {
		return ended.err
	}
	return s.sendJSON(w, c, http.StatusOK, ended.Result)
}

func prefersAsync(h http.Header) bool {
	for _, p := range strings.Split(strings.Join(h.Values("Prefer"), ","), ",") {
		name, _, _ := strings.Cut(p, ";")
		if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
			return true
		}
	}
	return false
}

func readPlot(body io.Reader) (p PlotRequest, err error) {
	r := strictjson.NewReader(body, math.MaxInt64)
	err = r.Object([]strictjson.Member{
		{Name: "datastore_id", Required: true, Read: readHex(p.Store[:])},
		{Name: "capsule_indices", Read: optional(func(r *strictjson.Reader) error {
			return r.Array(func(int) error {
				i, err := r.Uint(math.MaxUint32)
				p.Indices = append(p.Indices, uint32(i))
				return err
			})
		})},
		{Name: "compression", Read: optional(func(r *strictjson.Reader) error {
			p.Compression, err = r.Text(maxText)
			if err == nil && !slices.Contains([]string{"none", "lz4", "zstd"}, p.Compression) {
				err = failf(InvalidArgument, "compression: expected none, lz4 or zstd")
			}
			return err
		})},
	})
	if err == nil {
		err = r.End()
	}
	slices.Sort(p.Indices)
	p.Indices = slices.Compact(p.Indices)
	return p, err
}

// An AdminGate authorizes admin requests by a token. Its method Wrap can be used as Options.Admin.
type AdminGate struct {
	// Token returns the token, 32 bytes. While it fails or returns no bytes, every request is
	// refused.
	Token func() ([]byte, error)
	// Allow, if not nil, reports whether a request without the token is authorized in another way.
	Allow func(r *http.Request) bool
	// Remote accepts requests from public addresses. Without it the client must have a loopback or
	// private address. Behind a trusted proxy the address is that of the client.
	Remote  bool
	Proxies []netip.Prefix
}

// Owns reports whether a request has the token, from any address.
func (g *AdminGate) Owns(r *http.Request) (bool, error) {
	token, err := g.Token()
	if err == nil && len(token) != 32 {
		err = errors.New("the token does not have 32 bytes")
	}
	if err != nil {
		return false, &Error{Code: NotReady, Err: err}
	}
	shown := r.Header.Get("X-Dig-Control-Token")
	if shown == "" {
		scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") {
			shown = strings.TrimSpace(value)
		}
	}
	got, err := hex.DecodeString(shown)
	return err == nil && subtle.ConstantTimeCompare(got, token) == 1, nil
}

// Wrap returns a handler that passes authorized requests to h.
func (g *AdminGate) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		owns, err := g.Owns(r)
		if err != nil {
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if !owns && (g.Allow == nil || !g.Allow(r)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if !g.Remote && !g.near(r) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// near reports whether the client is on this machine or on a private network. If a proxy is
// configured, its own address does not count as a client's.
func (g *AdminGate) near(r *http.Request) bool {
	addr := forwardedAddr(r, g.Proxies)
	if among(addr, g.Proxies) {
		return false
	}
	if len(g.Proxies) > 0 && addr.IsLoopback() {
		return false
	}
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
}
