package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
)

// Status is the answer of GET /node/status.
type Status struct {
	NodeID   auth.NodeID    `json:"node_id"`
	Version  string         `json:"version"`
	Uptime   int64          `json:"uptime"` // seconds
	Plots    PlotsStatus    `json:"plots"`
	Network  NetworkStatus  `json:"network"`
	Earnings EarningsStatus `json:"earnings"`

	Metrics      map[string]*float64   `json:"metrics,omitempty"` // nil: it has no value
	ProofProfile string                `json:"proof_profile"`
	PublicKey    auth.NodePublicKey    `json:"public_key"`
	Mode         string                `json:"mode"`
	StartedAt    time.Time             `json:"started_at"`
	Storage      StorageStatus         `json:"storage"`
	Cache        CacheStatus           `json:"cache"`
	Gun          GunStatus             `json:"gun"`
	Policy       PolicyStatus          `json:"policy"`
	AccessSource string                `json:"access_source"`
	Callers      map[string]LimitUsage `json:"callers,omitempty"`
	Sessions     SessionsStatus        `json:"sessions"`
}

// PlotsStatus is about the plots of a node.
type PlotsStatus struct {
	Count        int   `json:"count"`
	TotalSize    int64 `json:"total_size"`
	CapsuleCount int   `json:"capsule_count"`
}

// NetworkStatus is about peers and traffic.
type NetworkStatus struct {
	Peers          int   `json:"peers"`
	BandwidthUsed  int64 `json:"bandwidth_used"` // bytes in and out since the start
	Validations24h int   `json:"validations_24h"`
}

// EarningsStatus has the sums from the source of rewards, in DIG.
type EarningsStatus struct {
	TotalDIG       json.Number `json:"total_dig"`
	TotalBribes    json.Number `json:"total_bribes"`
	PendingRewards json.Number `json:"pending_rewards"`
}

// StorageStatus is about the storage.
type StorageStatus struct {
	UsedBytes     int64 `json:"used_bytes"`
	CapacityBytes int64 `json:"capacity_bytes"` // 0: not known
	Quarantined   int   `json:"quarantined"`
	Stores        int   `json:"stores"`
	Generations   int   `json:"generations"`
	Capsules      int64 `json:"capsules"`
}

// CacheStatus is about the cache.
type CacheStatus struct {
	L1Bytes   int64  `json:"l1_bytes"`
	L2Bytes   int64  `json:"l2_bytes"`
	L1Hits    uint64 `json:"l1_hits"`
	L2Hits    uint64 `json:"l2_hits"`
	DiskReads uint64 `json:"disk_reads"`
}

// GunStatus is about the metadata network.
type GunStatus struct {
	Connected bool `json:"connected"`
	Peers     int  `json:"peers"`
}

// PolicyStatus has the configured scorer and the one in use.
type PolicyStatus struct {
	FilterRequested string `json:"ai_filter_requested"`
	FilterActive    string `json:"ai_filter_active"`
}

// LimitUsage is the use of a bounded resource.
type LimitUsage struct {
	Used    int    `json:"used"`
	Limit   int    `json:"limit"`
	Refused uint64 `json:"refused"`
}

// SessionsStatus is about upload sessions.
type SessionsStatus struct {
	Count       int   `json:"count"`
	StagedBytes int64 `json:"staged_bytes"`
}

// Usage returns the use of bounded resources, for Status.Callers.
func (s *Server) Usage() map[string]LimitUsage {
	st := s.Stats()
	used := map[string]LimitUsage{
		"capsule_reads":     {Used: st.Reading, Limit: s.opt.MaxReads},
		"challenges":        {Used: st.Proving, Limit: s.opt.MaxChallenges},
		"event_subscribers": {Used: st.Subscribers, Limit: s.opt.MaxSubscribers},
	}
	for name, l := range st.Limits {
		used[name] = LimitUsage{Used: l.Tracked, Limit: s.opt.Limits.Tracked, Refused: l.Refused}
	}
	return used
}

// status answers GET /node/status.
func (s *Server) status(w *answer, c *call) error {
	st, err := s.opt.Reporter.Status(c.Context())
	if err != nil {
		return err
	}
	return s.sendJSON(w, c, http.StatusOK, st)
}

// health answers GET /health.
func (s *Server) health(w *answer, c *call) error {
	id := s.opt.Identity
	checks := s.opt.Vitals.Liveness()
	if failing := failing(checks); len(failing) > 0 {
		return s.sendJSON(w, c, http.StatusServiceUnavailable, map[string]any{
			"status": "unhealthy", "checks": failing})
	}
	return s.sendJSON(w, c, http.StatusOK, map[string]any{
		"status": "ok", "service": "dig-node", "node_id": id.Key.ID(), "version": id.Version,
		"uptime": int64(s.opt.Vitals.Uptime().Seconds())})
}

// ready answers GET /ready.
func (s *Server) ready(w *answer, c *call) error {
	checks := s.opt.Vitals.Readiness()
	if failing := failing(checks); len(failing) > 0 {
		return s.sendJSON(w, c, http.StatusServiceUnavailable, map[string]any{
			"status": "not_ready", "checks": failing})
	}
	return s.sendJSON(w, c, http.StatusOK, map[string]any{"status": "ready"})
}

// failing returns the details of the checks that did not pass.
func failing(checks []Check) map[string]string {
	list := map[string]string{}
	for _, c := range checks {
		if !c.Passed {
			list[c.Name] = c.Detail
		}
	}
	return list
}

// wellKnown answers GET /.well-known/dig-node.json.
func (s *Server) wellKnown(w *answer, c *call) error {
	id := s.opt.Identity
	ports := map[string]int{}
	if id.PeerPort > 0 {
		ports["p2p"] = id.PeerPort
	}
	if id.HTTPPort > 0 {
		ports["http"] = id.HTTPPort
	}
	capabilities := id.Capabilities
	if capabilities == nil {
		capabilities = []string{}
	}
	return s.sendJSON(w, c, http.StatusOK, map[string]any{
		"service": "dig-node", "version": id.Version, "node_id": id.Key.ID(),
		"public_key": id.Key, "api_version": 1, "ports": ports, "capabilities": capabilities,
		"openapi": "/openapi.json"})
}

// resolve answers GET /handle/{handle}/resolve.
func (s *Server) resolve(w *answer, c *call) error {
	name, ok := handleName(c.path["handle"])
	if !ok {
		return failf(InvalidArgument, "handle: expected up to 63 letters, digits and hyphens")
	}
	if s.opt.Handles == nil {
		return &Error{Code: HandleNotFound}
	}
	hd, err := s.opt.Handles.Resolve(c.Context(), name)
	if err != nil {
		return err
	}
	if hd.Tier < 1 {
		return &Error{Code: HandleNotFound}
	}
	metadata := json.RawMessage(hd.Metadata)
	if len(metadata) == 0 {
		metadata = json.RawMessage("{}")
	}
	var expires *int64
	if !hd.Expires.IsZero() {
		unix := hd.Expires.Unix()
		expires = &unix
	}
	if hd.Stale {
		w.Header().Set("Warning", `110 - "Response is Stale"`)
	}
	return s.sendJSON(w, c, http.StatusOK, map[string]any{
		"handle": name, "datastore_id": hex32(hd.Store), "tier": hd.Tier,
		"registration_time": hd.Registered.Unix(), "metadata": metadata, "expires_at": expires})
}

// handleName returns the name in its normal form.
func handleName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, ".dig"))
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return "", false
	}
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", false
	}
	return s, true
}

// maxPeers is the largest number of peers in one answer.
const maxPeers = 1000

// peers answers GET /network/peers.
func (s *Server) peers(w *answer, c *call) error {
	limit, err := c.bounded("limit", 100, 1, maxPeers)
	if err != nil {
		return err
	}
	q, err := c.query()
	if err != nil {
		return err
	}
	var known []Peer
	if s.opt.Peers != nil {
		if known, err = s.opt.Peers.Peers(c.Context()); err != nil {
			return err
		}
	}
	list := []map[string]any{}
	private := c.addr.IsPrivate() || c.addr.IsLoopback() || c.addr.IsLinkLocalUnicast()
	for _, p := range known {
		a := p.Endpoint.Addr()
		hidden := a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
		wanted := !q.Has("capability") || slices.Contains(p.Capabilities, q.Get("capability"))
		if int64(len(list)) == limit || hidden && !private || !wanted {
			continue
		}
		list = append(list, map[string]any{"node_id": p.Key.ID(), "endpoint": p.Endpoint.String(),
			"capabilities": append([]string{}, p.Capabilities...),
			"reputation":   float64(int(p.Reputation*100+0.5)) / 100,
			"last_seen":    p.LastSeen.UTC().Format(time.RFC3339), "public_key": p.Key})
	}
	return s.sendJSON(w, c, http.StatusOK, map[string]any{"peers": list})
}
