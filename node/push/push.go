package push

import (
	"context"
	"errors"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/storage"
)

// Errors of a Manager, besides auth.ErrSignature, auth.ErrForbidden, auth.ErrRevoked,
// capsule.ErrContentMismatch, storage.ErrNoSpace, fs.ErrNotExist (an unknown session) and those
// of the storage.
var (
	ErrUnknownWriter = errors.New("writer of the datastore is not known")
	ErrNotWriter     = errors.New("key may not write the datastore")
	ErrUnauthorized  = errors.New("credential required")
	// ErrConflict: the head is another root than the push expects.
	ErrConflict = errors.New("another root is the head")
	// ErrStale: the generation is older than the head.
	ErrStale = errors.New("generation is older than the head")
	// ErrMerkle: the capsules do not fold to the root.
	ErrMerkle = errors.New("capsules do not match the root")
	// ErrMissing: a session is committed while content is missing.
	ErrMissing = errors.New("content is missing")
	// ErrBusy: there are too many sessions, or uploads of one session.
	ErrBusy = errors.New("too many uploads")
	// ErrUnavailable: the source that knows who may write does not answer.
	ErrUnavailable = errors.New("source of writers is not available")
	// ErrClosed: the Manager is closed.
	ErrClosed = errors.New("push manager is closed")
)

// A Credential is what a caller has shown to be known to the node. The zero value is none.
type Credential struct {
	Name     string
	Owner    bool     // it is the operator's own
	MaxBytes int64    // that it may keep here; 0: no limit
	Stores   []string // patterns of handles and ids that it may push; empty: all
}

// A Push is a generation that a caller offers.
type Push struct {
	// Manifest has Store, Root, Capsules, Parent and, where the push has a statement, Generation,
	// Signature and Writer. Chunk roots may be missing for capsules in Inline.
	Manifest  *capsule.Manifest
	Signed    bool                 // the push has a statement
	LeafCount uint64               // as the caller says
	Leaves    []merkle.Hash        // as the caller says; nil: it does not
	Inline    map[uint32][]byte    // content that came with the push, by index
	Bribe     merkle.Hash          // the bribe distributor; zero: none
	Handle    string               // empty: none
	Sources   []string             // where missing content may be fetched from
	By        Credential           // zero: none that is valid
	Identity  auth.PublicKey       // that signed the request; zero: none that is valid
	Charge    func(c Caller) error // is called once the caller is known; nil: nothing is charged
}

// A Caller says who a push counts for. Both are zero for a caller that nothing is known about.
type Caller struct {
	Writer     auth.PublicKey // of a tracked datastore
	Identity   auth.PublicKey // that signed a push to a tracked datastore
	Credential string
}

// A Result is the answer to a push that was not refused as invalid.
type Result struct {
	Accepted bool
	Code     string    // of the policy when it was not accepted
	Stored   time.Time // when everything is expected to be stored; zero: not accepted
	Retain   time.Time // until when it is kept; zero: no end
	Upload   *Upload   // content that is missing; nil: the generation is committed
	// Peers are the nodes that were told in this call.
	Peers []auth.NodeID
}

// An Upload is an open session.
type Upload struct {
	Session string   // 32 hexadecimal digits
	Missing []uint32 // indices, ascending
	Expires time.Time
}

// Access knows who may write datastores. Implementations are safe for concurrent use.
type Access interface {
	// MayWrite returns nil when the key may write the datastore. auth.ErrForbidden means that the
	// writers are known and the key is not among them, fs.ErrNotExist that nothing is known about
	// the datastore. With any other error nothing can be said now.
	MayWrite(ctx context.Context, store auth.StoreID, key auth.PublicKey) error
	// Owner returns the owner's key. fs.ErrNotExist means that it is not known.
	Owner(ctx context.Context, store auth.StoreID) (auth.PublicKey, error)
}

// A Candidate is a push that the policy is asked about.
type Candidate struct {
	Store, Root merkle.Hash
	Handle      string // as the push names it
	Owner       bool   // the credential is the operator's
	Tracked     bool
	Capsules    int
	Size        int64 // bytes of all capsules
	Adds        int64 // bytes that are not here yet
	Bribe       merkle.Hash
}

// Options are what a Manager works with.
type Options struct {
	Storage storage.Storage // required
	// Find returns what the node holds with a hash, wherever that is. Absence is fs.ErrNotExist.
	// Required.
	Find func(hash merkle.Hash) (capsule.Descriptor, error)
	// Fill puts content that Find has found, and the storage does not hold, into the storage.
	// nil: there is none such.
	Fill func(ctx context.Context, d capsule.Descriptor) error
	// Fetch fetches a capsule from the sources that a push names. nil: they are not used.
	Fetch func(ctx context.Context, sources []string, store auth.StoreID,
		d capsule.Descriptor) error
	// Access knows who may write. nil: only the keys of statements that were taken.
	Access Access
	// Tracked reports whether the operator has the node follow a datastore. nil: none.
	Tracked func(store auth.StoreID) bool
	// Refuses returns why the node does not take pushes to a datastore. nil: it takes them.
	Refuses func(ctx context.Context, store auth.StoreID, root merkle.Hash) error
	// Decide asks the policy. nil: everything is accepted.
	Decide func(ctx context.Context, c Candidate) policy.Decision
	// Committed is called after a generation was committed, and returns the nodes that were told.
	// nil: nothing is done.
	Committed func(ctx context.Context, g *storage.Generation) []auth.NodeID
	// Used returns the bytes that a credential keeps. nil: limits of credentials do not count
	// what is committed.
	Used func(credential string) int64

	MaxSessions    int           // default 256
	MaxPerCaller   int           // sessions of one credential, or of one writer. Default 16
	MaxStagedBytes int64         // of all sessions. Default 64 GiB
	MaxCapsules    int           // that the manifests of all sessions list. Default 524,288
	SessionIdle    time.Duration // default 10 minutes
	Now            func() time.Time
}

func (o *Options) setDefaults() {
	if o.MaxSessions <= 0 {
		o.MaxSessions = 256
	}
	if o.MaxPerCaller <= 0 {
		o.MaxPerCaller = 16
	}
	if o.MaxStagedBytes <= 0 {
		o.MaxStagedBytes = 64 << 30
	}
	if o.MaxCapsules <= 0 {
		o.MaxCapsules = 1 << 19
	}
	if o.SessionIdle <= 0 {
		o.SessionIdle = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tracked == nil {
		o.Tracked = func(auth.StoreID) bool { return false }
	}
	if o.Decide == nil {
		o.Decide = func(context.Context, Candidate) policy.Decision {
			return policy.Decision{Accept: true, Code: policy.CodeDefault}
		}
	}
}
