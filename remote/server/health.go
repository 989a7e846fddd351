package server

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// healthLife is how long the state of the stores is cached.
const healthLife = 5 * time.Second

// Health returns a handler for GET and HEAD of /healthz and /readyz; any other path is 404.
// /healthz always answers 200. /readyz answers 200 with the number of served stores and of damaged
// stores, which are not served, or 503 if the stores cannot be listed or all are damaged. It lists
// the damaged stores to clients on loopback. Neither needs a signature. The state is cached for 5
// seconds, or until a store becomes damaged or is repaired.
func Health(s *Server) http.Handler { return &health{server: s} }

type health struct {
	server *Server

	mu    sync.Mutex
	until time.Time
	seen  int // damageTracker.changed when last was computed
	last  readiness
}

// readiness is the answer of /readyz.
type readiness struct {
	Status  string         `json:"status"` // ok, degraded or unavailable
	Stores  int            `json:"stores"` // number of served stores
	Damaged int            `json:"damaged"`
	Names   []auth.StoreID `json:"damaged_stores,omitempty"`
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeRefusal(w, r, noMethod())
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	switch r.URL.Path {
	case "/healthz":
		writeState(w, r, http.StatusOK, struct {
			Status string `json:"status"`
		}{"ok"})
	case "/readyz":
		state := h.readiness(r)
		if !onLoopback(r.RemoteAddr) {
			state.Names = nil
		}
		status := http.StatusOK
		if state.Status == "unavailable" {
			status = http.StatusServiceUnavailable
		}
		writeState(w, r, status, state)
	default:
		writeRefusal(w, r, noRoute())
	}
}

// readiness returns the state of the stores, at most healthLife old.
func (h *health) readiness(r *http.Request) readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.server.opt.Now()
	changes := h.server.damage.changed()
	if now.Before(h.until) && changes == h.seen {
		return h.last
	}
	state := readiness{Status: "ok"}
	for id, err := range h.server.Serving(r.Context()) {
		switch {
		case err == nil:
			state.Stores++
		case id.Store.IsZero():
			state.Status = "unavailable"
		default:
			state.Damaged++
			state.Names = append(state.Names, id.Store)
		}
	}
	if state.Damaged > 0 && state.Status == "ok" {
		state.Status = "degraded"
		if state.Stores == 0 {
			state.Status = "unavailable"
		}
	}
	if r.Context().Err() == nil {
		h.last, h.until, h.seen = state, now.Add(healthLife), changes
	}
	return state
}

func writeState(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, _ := json.Marshal(v) // of strings and numbers: cannot fail
	w.Header().Set("Content-Type", wire.TypeJSON)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// onLoopback reports whether address, which has a port, is a loopback address.
func onLoopback(address string) bool {
	ap, err := netip.ParseAddrPort(address)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}
