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

// healthLife is how long the state of the stores is remembered: looking at all of them costs
// something.
const healthLife = 5 * time.Second

// Health returns a handler for GET and HEAD of /healthz and /readyz; anything else is 404. /healthz
// answers 200 while the program answers at all. /readyz answers 200 with the number of stores that
// are served and of those that are damaged and therefore not served; 503 when the stores cannot be
// listed or all of them are damaged. To clients on loopback it names the damaged ones. Neither
// needs a signature. The state is looked at every 5 seconds at most, and when a store was found
// damaged or repaired.
func Health(s *Server) http.Handler { return &health{server: s} }

type health struct {
	server *Server

	mu    sync.Mutex
	until time.Time
	seen  int // changes of what is set aside, when last was made
	last  readiness
}

// readiness is the answer of /readyz.
type readiness struct {
	Status  string         `json:"status"` // ok, degraded or unavailable
	Stores  int            `json:"stores"` // that are served
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

// readiness looks at the stores, or remembers what it saw.
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

// onLoopback reports whether an address with a port is a loopback one.
func onLoopback(address string) bool {
	ap, err := netip.ParseAddrPort(address)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}
