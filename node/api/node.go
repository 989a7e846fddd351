package api

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/netip"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Identity is what a node publishes about itself.
type Identity struct {
	Key          auth.NodePublicKey
	Version      string // semantic version of the program
	PeerPort     int    // 0: no peers
	HTTPPort     int    // 0: unknown
	Capabilities []string
}

// A Found is a capsule that a node has located.
type Found struct {
	Ref        capsule.Ref // Root is set even if the request was for the head
	Descriptor capsule.Descriptor
	Modified   time.Time   // of its generation; zero: not known
	Plot       merkle.Hash // the plot with the content; zero: none
	// Prove returns the proof that the capsule is in its generation. nil: there is no proof.
	Prove func(ctx context.Context) (merkle.Proof, error)
}

// A Body is open content. The caller closes it.
type Body struct {
	io.ReadCloser
	Cache string // "l1_hit", "l2_hit" or "disk_read"; empty: unknown
}

// Capsules finds and opens capsules. Implementations are safe for concurrent use.
type Capsules interface {
	// Find finds the capsule at ref; a zero ref.Root means the head. It does not read content.
	Find(ctx context.Context, ref capsule.Ref) (*Found, error)
	// FindHash finds a capsule by the hash of its content. It prefers a capsule in a head.
	FindHash(ctx context.Context, hash merkle.Hash) (*Found, error)
	// Open opens n bytes of the content of f from offset off. The body is verified: either before
	// it is returned, or so that a failed check gives an error before the last bytes. client
	// identifies the caller, for readahead. Damaged content is an *Error with CorruptCapsule.
	Open(ctx context.Context, f *Found, off, n int64, client string) (Body, error)
}

// Encoded is an optional interface of a Capsules with content in compressed form.
type Encoded interface {
	// OpenEncoded opens the content of f as one or more zstd frames, with its length in bytes. The
	// error is fs.ErrNotExist if the content is not stored in that form.
	OpenEncoded(ctx context.Context, f *Found) (body io.ReadCloser, size int64, err error)
}

// A Datastore is one generation of a datastore at a node.
type Datastore struct {
	Manifest *capsule.Manifest // must not be changed
	// Held reports whether the node has the content of a capsule. nil: it has all.
	Held func(index uint32) bool
}

// Datastores has manifests.
type Datastores interface {
	// Datastore returns a generation; a zero root means the head.
	Datastore(ctx context.Context, store auth.StoreID, root merkle.Hash) (*Datastore, error)
}

// A Handle is a registered name of a datastore.
type Handle struct {
	Name       string // without ".dig"
	Store      auth.StoreID
	Tier       int       // 1 to 6
	Registered time.Time // in whole seconds
	Expires    time.Time // zero: never
	Metadata   []byte    // a JSON object; empty: {}
	Stale      bool      // the source does not answer; this is its last answer
}

// Handles resolves names.
type Handles interface {
	// Resolve returns the datastore of a name, which is in lower case and without ".dig".
	Resolve(ctx context.Context, name string) (*Handle, error)
}

// A Peer is another node.
type Peer struct {
	Key          auth.NodePublicKey
	Endpoint     netip.AddrPort
	Capabilities []string
	Reputation   float64 // 0 to 1
	LastSeen     time.Time
}

// Peers knows other nodes.
type Peers interface {
	// Peers returns the peers that may be published, the best first.
	Peers(ctx context.Context) ([]Peer, error)
}

// Challenger answers challenges, as capsule.Responder does.
type Challenger interface {
	Answer(ctx context.Context, c *capsule.Challenge) (*capsule.Bundle, error)
}

// A PlotRequest asks for a plot.
type PlotRequest struct {
	Store       auth.StoreID
	Indices     []uint32 // of the head; empty: all that are held
	Compression string   // "none", "lz4", "zstd"; empty: the default of the node
}

// A PlotInfo is a plot that was made.
type PlotInfo struct {
	ID       merkle.Hash
	Created  time.Time
	Size     int64 // bytes
	Capsules int
}

// Plotter makes plots.
type Plotter interface {
	// CreatePlot makes a plot. progress is called with fractions from 0 to 1. CreatePlot stops when
	// ctx ends.
	CreatePlot(ctx context.Context, p PlotRequest, progress func(float64)) (*PlotInfo, error)
}

// A Pinner keeps datastores from being evicted, and tracks them.
type Pinner interface {
	Pin(ctx context.Context, store auth.StoreID) error
	Unpin(ctx context.Context, store auth.StoreID) error
	// Track makes the node hold a datastore. origin is the source to fetch it from; it may be
	// empty.
	Track(ctx context.Context, store auth.StoreID, origin string) error
	Untrack(ctx context.Context, store auth.StoreID) error
}

// Explainer explains decisions of the policy.
type Explainer interface {
	// Explain returns a value that is sent as JSON.
	Explain(ctx context.Context, store auth.StoreID) (any, error)
}

// Maintainer collects garbage and verifies content. Results are sent as JSON.
type Maintainer interface {
	// Collect removes what is not needed. With dryRun it removes nothing and only reports.
	Collect(ctx context.Context, dryRun bool, progress func(float64)) (any, error)
	Scrub(ctx context.Context, progress func(float64)) (any, error)
}

// An Event is something that happened in the node.
type Event struct {
	Time      time.Time
	Level     slog.Level
	Component string
	Name      string
	Details   map[string]any // sent as JSON
	Lost      uint64         // events that this subscriber lost just before this one
}

// Events is a source of events.
type Events interface {
	// Events yields events until ctx ends or the node stops. A subscriber that is slow loses
	// events.
	Events(ctx context.Context) iter.Seq[Event]
}

// A Check is the result of one liveness or readiness check.
type Check struct {
	Name   string
	Passed bool
	Detail string
}

// Vitals reports the health of a node. The methods do not block and do not use the disk.
type Vitals interface {
	Uptime() time.Duration
	// Liveness returns the checks of /health.
	Liveness() []Check
	// Readiness returns those of /ready.
	Readiness() []Check
	// Draining reports whether the node refuses requests because it shuts down.
	Draining() bool
}

// Reporter has the status of the node.
type Reporter interface {
	Status(ctx context.Context) (*Status, error)
}
