package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Handle is a registered name of a datastore, according to a node. It is not verified; only the
// chain proves it.
type Handle struct {
	Name       string // without ".dig"
	Store      auth.StoreID
	Tier       int // 1 to 6
	Registered time.Time
	Expires    time.Time       // zero: unknown or never
	Metadata   json.RawMessage // an object
}

// Resolve returns the datastore of a name: GET /handle/{handle}/resolve. A trailing ".dig" and
// upper case are accepted, as by the node. If the name is not registered, the error is
// fs.ErrNotExist.
func (c *Client) Resolve(ctx context.Context, name string) (*Handle, error) {
	plain, ok := handleName(name)
	if !ok {
		return nil, fmt.Errorf("resolve handle %q: expected up to 63 letters, digits and inner "+
			"hyphens", printable(name))
	}
	var got struct {
		Handle     string          `json:"handle"`
		Store      string          `json:"datastore_id"`
		Tier       int             `json:"tier"`
		Registered int64           `json:"registration_time"`
		Metadata   json.RawMessage `json:"metadata"`
		Expires    *int64          `json:"expires_at"`
	}
	err := c.get(ctx, "/handle/"+plain+"/resolve", &got)
	if err == nil && got.Handle != plain {
		err = protocolf("handle is %q, expected %q", printable(got.Handle), plain)
	}
	if err == nil && (got.Tier < 1 || got.Tier > 6) {
		err = protocolf("tier is %d, expected 1 to 6", got.Tier)
	}
	var id merkle.Hash
	if err == nil {
		if id, err = merkle.ParseHash(strings.TrimPrefix(got.Store, "0x")); err != nil {
			err = protocolf("datastore_id is not 64 hexadecimal digits")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("resolve handle %s: %w", plain, err)
	}
	h := &Handle{Name: plain, Store: auth.StoreID(id), Tier: got.Tier, Metadata: got.Metadata,
		Registered: time.Unix(got.Registered, 0).UTC()}
	if got.Expires != nil {
		h.Expires = time.Unix(*got.Expires, 0).UTC()
	}
	return h, nil
}

// handleName returns a name in its normal form.
func handleName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, ".dig"))
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return "", false
	}
	return s, strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Info is what a node publishes about itself.
type Info struct {
	Service      string             `json:"service"`
	Version      string             `json:"version"`
	NodeID       auth.NodeID        `json:"node_id"`
	Key          auth.NodePublicKey `json:"public_key"`
	API          int                `json:"api_version"`
	Ports        map[string]int     `json:"ports"` // "p2p", "http"
	Capabilities []string           `json:"capabilities"`
}

// Info returns what the node publishes about itself: GET /.well-known/dig-node.json. If the id does
// not belong to the key, the error is ErrProtocol.
func (c *Client) Info(ctx context.Context) (*Info, error) {
	var got Info
	err := c.get(ctx, "/.well-known/dig-node.json", &got)
	if err == nil && got.Key.ID() != got.NodeID {
		err = protocolf("node_id is %q, the key has %s", printable(string(got.NodeID)), got.Key.ID())
	}
	if err != nil {
		return nil, fmt.Errorf("node information: %w", err)
	}
	return &got, nil
}

// Ready returns nil if the node is ready to serve, and otherwise an error with the failed checks:
// GET /ready. Status 503 is an error that matches ErrBusy.
func (c *Client) Ready(ctx context.Context) error {
	resp, err := c.attempt(ctx, exchange{method: http.MethodGet, path: "/ready"})
	if err != nil {
		return fmt.Errorf("node is not ready: %w", err)
	}
	return resp.Body.Close()
}

// Status is the state of a node. JSON has the whole answer, with members that are not listed.
type Status struct {
	NodeID  auth.NodeID `json:"node_id"`
	Version string      `json:"version"`
	Uptime  int64       `json:"uptime"` // seconds
	Plots   struct {
		Count     int   `json:"count"`
		TotalSize int64 `json:"total_size"` // bytes
		Capsules  int   `json:"capsule_count"`
	} `json:"plots"`
	Network struct {
		Peers          int   `json:"peers"`
		BandwidthUsed  int64 `json:"bandwidth_used"` // bytes in and out since the start
		Validations24h int   `json:"validations_24h"`
	} `json:"network"`
	Earnings struct {
		TotalDIG       json.Number `json:"total_dig"`
		TotalBribes    json.Number `json:"total_bribes"`
		PendingRewards json.Number `json:"pending_rewards"`
	} `json:"earnings"`

	JSON json.RawMessage `json:"-"`
}

// Status returns the state of the node: GET /node/status. It needs Options.AdminToken. Most nodes
// accept it only from their own machine.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := new(Status)
	value := ""
	if c.opt.AdminToken != "" {
		value = "Bearer " + c.opt.AdminToken
	}
	header, err := c.credential(value)
	if err == nil {
		e := exchange{method: http.MethodGet, path: "/node/status", header: header}
		err = c.read(ctx, e, maxSmall, func(r io.Reader) error {
			if err := into(&s.JSON)(r); err != nil {
				return err
			}
			return json.Unmarshal(s.JSON, s)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("node status: %w", err)
	}
	return s, nil
}

// A Peer is another node, according to a node.
type Peer struct {
	NodeID       auth.NodeID `json:"node_id"`
	Endpoint     string      `json:"endpoint"` // host:port
	Capabilities []string    `json:"capabilities"`
	Reputation   float64     `json:"reputation"` // 0 to 1
	LastSeen     time.Time   `json:"last_seen"`
	// Key is zero if the node does not send it.
	Key auth.NodePublicKey `json:"public_key"`
}

// Peers returns the nodes that the node knows, the best first: GET /network/peers, at most 100.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	var got struct {
		Peers []Peer `json:"peers"`
	}
	err := c.get(ctx, "/network/peers", &got)
	if err == nil && got.Peers == nil {
		err = protocolf("member peers is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("peers of the node: %w", err)
	}
	return got.Peers, nil
}

// get reads a small JSON value.
func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.read(ctx, exchange{method: http.MethodGet, path: path}, maxSmall, into(v))
}
