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
	// ErrConflict: the head is not the parent of the push.
	ErrConflict = errors.New("another root is the head")
	// ErrStale: the generation is older than the head.
	ErrStale = errors.New("generation is older than the head")
	// ErrMerkle: the capsules do not fold to the root.
	ErrMerkle = errors.New("capsules do not match the root")
	// ErrMissing: a session is committed while content is missing.
	ErrMissing = errors.New("content is missing")
	// ErrBusy: there are too many sessions, or uploads of one session.
	ErrBusy = errors.New("too many uploads")
	// ErrUnavailable: the source of writers does not answer.
	ErrUnavailable = errors.New("source of writers is not available")
	// ErrClosed: the Manager is closed.
	ErrClosed = errors.New("push manager is closed")
)

// A Credential is the verified credential of a caller. The zero value is none.
type Credential struct {
	Name     string
	Owner    bool     // the operator's own credential
	MaxBytes int64    // quota; 0: no limit
	Stores   []string // patterns of handles and ids that it may push; empty: all
}

// A Push is a generation that a caller offers.
type Push struct {
	// Manifest has Store, Root, Capsules, Parent and, where the push has a statement, Generation,
	// Signature and Writer. Chunk roots may be missing for capsules in Inline.
	Manifest  *capsule.Manifest
	Signed    bool                 // the push has a statement
	LeafCount uint64               // as the caller says
	Leaves    []merkle.Hash        // according to the caller; nil: not given
	Inline    map[uint32][]byte    // content in the push, by index
	Bribe     merkle.Hash          // the bribe distributor; zero: none
	Handle    string               // empty: none
	Sources   []string             // sources of missing content
	By        Credential           // zero: none that is valid
	Identity  auth.PublicKey       // that signed the request; zero: none that is valid
	Charge    func(c Caller) error // called when the caller is known; nil: nothing is charged
}

// A Caller is the caller to which a push is charged. Both fields are zero for an unknown caller.
type Caller struct {
	Writer     auth.PublicKey // of a tracked datastore
	Identity   auth.PublicKey // that signed a push to a tracked datastore
	Credential string
}

// A Result is the result of a valid push.
type Result struct {
	Accepted bool
	Code     string    // reason of the policy if it was not accepted
	Stored   time.Time // when everything is expected to be stored; zero: not accepted
	Retain   time.Time // kept until this time; zero: no limit
	Upload   *Upload   // missing content; nil: the generation is committed
	// Peers are the nodes notified in this call.
	Peers []auth.NodeID
}

// An Upload is an open session.
type Upload struct {
	Session string   // 32 hexadecimal digits
	Missing []uint32 // indices, ascending
	Expires time.Time
}

// Access decides who may write datastores. Implementations are safe for concurrent use.
type Access interface {
	// MayWrite returns nil when the key may write the datastore. auth.ErrForbidden means that the
	// writers are known and the key is not among them, fs.ErrNotExist that the writers are unknown.
	// Any other error is temporary.
	MayWrite(ctx context.Context, store auth.StoreID, key auth.PublicKey) error
	// Owner returns the owner's key. fs.ErrNotExist means that it is unknown.
	Owner(ctx context.Context, store auth.StoreID) (auth.PublicKey, error)
}

// A Candidate is a push for the policy to decide about.
type Candidate struct {
	Store, Root merkle.Hash
	Handle      string // according to the push
	Owner       bool   // the credential is the operator's
	Tracked     bool
	Capsules    int
	Size        int64 // bytes of all capsules
	Adds        int64 // bytes not yet at the node
	Bribe       merkle.Hash
}

// Options are the parts and the settings of a Manager.
type Options struct {
	Storage storage.Storage // required
	// Find returns the descriptor of content that the node holds anywhere. The error is
	// fs.ErrNotExist if it does not. Required.
	Find func(hash merkle.Hash) (capsule.Descriptor, error)
	// Fill copies content that Find has found outside of the storage into the storage. nil: there
	// is none.
	Fill func(ctx context.Context, d capsule.Descriptor) error
	// Fetch fetches a capsule from the sources that a push names. nil: they are not used.
	Fetch func(ctx context.Context, sources []string, store auth.StoreID,
		d capsule.Descriptor) error
	// Access decides who may write. nil: only the keys of accepted statements.
	Access Access
	// Tracked reports whether the operator tracks a datastore. nil: none.
	Tracked func(store auth.StoreID) bool
	// Refuses returns an error if the node does not accept pushes to a datastore. nil: it accepts
	// all.
	Refuses func(ctx context.Context, store auth.StoreID, root merkle.Hash) error
	// Decide asks the policy. nil: everything is accepted.
	Decide func(ctx context.Context, c Candidate) policy.Decision
	// Committed is called after a generation was committed, and returns the notified nodes. nil: no
	// call.
	Committed func(ctx context.Context, g *storage.Generation) []auth.NodeID
	// Used returns the bytes stored for a credential. nil: quotas do not count committed content.
	Used func(credential string) int64

	MaxSessions    int           // default 256
	MaxPerCaller   int           // sessions of one credential, or of one writer. Default 16
	MaxStagedBytes int64         // of all sessions. Default 64 GiB
	MaxCapsules    int           // in the manifests of all sessions. Default 524,288
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
