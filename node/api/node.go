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

// Identity is what a node says of itself.
type Identity struct {
	Key          auth.NodePublicKey
	Version      string // semantic version of the program
	PeerPort     int    // 0: no peers
	HTTPPort     int    // 0: not known
	Capabilities []string
}

// A Found is a capsule that a node knows the place of.
type Found struct {
	Ref        capsule.Ref // Root is that of its generation, also when the head was asked for
	Descriptor capsule.Descriptor
	Modified   time.Time   // of its generation; zero: not known
	Plot       merkle.Hash // the plot that has the content; zero: none
	// Prove returns the proof that the capsule is in its generation. nil: there is none.
	Prove func(ctx context.Context) (merkle.Proof, error)
}

// A Body is open content. The caller closes it.
type Body struct {
	io.ReadCloser
	Cache string // where it was found: "l1_hit", "l2_hit" or "disk_read"; empty: not known
}

// Capsules finds and opens capsules. Implementations are safe for concurrent use.
type Capsules interface {
	// Find finds the capsule at ref; a zero ref.Root means the head. It does not read content.
	Find(ctx context.Context, ref capsule.Ref) (*Found, error)
	// FindHash finds a capsule by the hash of its content, one in a head before others.
	FindHash(ctx context.Context, hash merkle.Hash) (*Found, error)
	// Open opens n bytes of the content of f from off on. No byte that it returns is wrong, or
	// its last bytes come only when all of them are known to be right: a reader that fails has
	// not given the last bytes. The client is who asks, for reading ahead. Content that should be
	// here and is damaged is an *Error with CorruptCapsule.
	Open(ctx context.Context, f *Found, off, n int64, client string) (Body, error)
}

// Encoded is an optional interface of a Capsules that has content in compressed form.
type Encoded interface {
	// OpenEncoded opens the content of f as one or more zstd frames, with its length in bytes. It
	// is fs.ErrNotExist when the content is not kept so.
	OpenEncoded(ctx context.Context, f *Found) (body io.ReadCloser, size int64, err error)
}

// A Datastore is one generation of a datastore as a node has it.
type Datastore struct {
	Manifest *capsule.Manifest // must not be changed
	// Held says which capsules the node has the content of. nil: all.
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
	Stale      bool      // the source does not answer, and this is what it said before
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
	// Peers returns those that may be named to others, the best first.
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
	// CreatePlot makes a plot. progress is called with shares from 0 to 1. The plot goes on being
	// made only as long as ctx.
	CreatePlot(ctx context.Context, p PlotRequest, progress func(float64)) (*PlotInfo, error)
}

// A Pinner keeps datastores from being evicted, and tracks them.
type Pinner interface {
	Pin(ctx context.Context, store auth.StoreID) error
	Unpin(ctx context.Context, store auth.StoreID) error
	// Track makes the node hold a datastore; origin is where to fetch it from, or empty.
	Track(ctx context.Context, store auth.StoreID, origin string) error
	Untrack(ctx context.Context, store auth.StoreID) error
}

// Explainer says what the policy would decide.
type Explainer interface {
	// Explain returns a value that is sent as JSON.
	Explain(ctx context.Context, store auth.StoreID) (any, error)
}

// Maintainer cleans and checks what a node holds. Results are sent as JSON.
type Maintainer interface {
	// Collect removes what is not needed; with dryRun it only says what that would be.
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
	Lost      uint64         // events that this subscriber has lost right before this one
}

// Events lets others follow what happens.
type Events interface {
	// Events yields events until ctx ends or the node stops. A subscriber that is slow loses
	// events.
	Events(ctx context.Context) iter.Seq[Event]
}

// A Check is the state of what a node needs to live or to be ready.
type Check struct {
	Name   string
	Passed bool
	Detail string
}

// Vitals is how a node is. The methods do not block and touch no disk.
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
