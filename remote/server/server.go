package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Options configures a [Server]. Fields that are nil or not positive take their defaults.
type Options struct {
	// Anonymous allows reads without a signature. Pushes and tombstones still need authentication,
	// unless AnonymousWrites is set too. They need the store's signature in any case.
	Anonymous       bool
	AnonymousWrites bool
	// Authorize may forbid a request: an error is answered with 403 and is not sent. It is called for
	// every request, reads included, after authentication and rate limits and before any lookup, so
	// that a forbidden client does not learn which stores exist. identity is zero if the request
	// needed no signature. It does not guard other handlers that use [Server.Resources]. nil: every
	// request is allowed. See remote/PROTOCOL.md 3.3.
	Authorize func(ctx context.Context, identity auth.PublicKey, op request.Op,
		store auth.StoreID) error
	// Only limits the server to these stores. nil: every store of the backend.
	Only []auth.StoreID
	// Policy decides about pushes to unknown stores. Default [RejectUnknown].
	Policy Policy
	// Authority decides which key may sign a push. nil: the key that the server holds for the store.
	Authority Authority
	// MayRevert reports whether the configuration names the identity or the credential of a request
	// as a writer of this store; being valid is not enough. Such a push may make a root of the
	// history the head again, which needs a [Promoter]. So may a push of the root that an Authority
	// names (ByRoot). Others are answered with 409, since a replayed signature must not roll a store
	// back. nil: always false.
	MayRevert func(by Requester, store auth.StoreID) bool
	// Credential returns the name of the credential in the headers of a push or a tombstone. It
	// returns "" if there is none, and an error for an invalid one, which counts as none. It is
	// called after authentication, rate limits and Authorize. A request with a credential may make a
	// first push that Policy refuses as unknown; updates need only the store's signature. nil: there
	// are no credentials. [Credentials] has an implementation.
	Credential func(r *http.Request) (name string, err error)
	// Received is called after a push, a promotion or a revocation, when it is durable and before the
	// response. The context does not end with the request. Calls may be concurrent, and calls for one
	// store may be out of order. An error is logged and changes neither the store nor the response.
	Received func(ctx context.Context, r Received) error
	// Access is called at the end of every request, for an access log and for metrics. Calls may be
	// concurrent.
	Access func(ctx context.Context, a Access)
	// Quota bounds the stores that pushes create. It needs a backend that is a [Catalog]. A push over
	// the quota is answered with 507. nil: no limit.
	Quota *Quota
	// MaxModule is the largest module of a push, in bytes. Default [DefaultMaxModule].
	MaxModule int64
	// MaxPending and PendingTTL bound the pending roots of a store: how many (default 2; the oldest
	// is dropped) and how long (default 24 hours).
	MaxPending int
	PendingTTL time.Duration
	// MaxTombstones is how many tombstones are kept for a store. Default 4096.
	MaxTombstones int
	// Objects takes module uploads in place of the server. nil: clients upload to the server.
	Objects ObjectStore
	// WithholdRevoked answers 410 for revoked modules. Default: they are served, and clients enforce
	// the tombstone in the descriptor.
	WithholdRevoked bool
	// Resources serves content, proof and delta. nil: the server makes one with keyed decoys, limited
	// by Only and WithholdRevoked. Another ResourceIndex is not limited by them.
	Resources *ResourceIndex
	// DecoySecret is the [ResourceIndexOptions] Secret of the ResourceIndex that the server makes. It
	// should stay the same over restarts: what changes over a restart is recognizable as a decoy.
	DecoySecret []byte
	// Prover makes execution proofs. nil: there are none.
	Prover Prover
	// MaxDelta is how many decoded bytes one delta may have. Default [DefaultMaxDelta].
	MaxDelta int64
	// MaxInlineModule is the longest module that GET serves, in bytes. For a longer one the response
	// names the JSON-RPC tier of package rpc. Default: no limit.
	MaxInlineModule int64
	// Limits bounds the resources that clients use.
	Limits Limits
	// TrustedProxies are the peers whose X-Forwarded-For is trusted. Default none.
	TrustedProxies []netip.Prefix
	// UploadIdle is how long a client may send nothing of a request body before the connection is
	// closed; it must average 4 KiB a second. Default 1 minute. It needs a ResponseWriter that can
	// set read deadlines, like those of net/http.
	UploadIdle time.Duration
	// DownloadIdle is how long a client may read nothing of a response before the connection is
	// closed; it must average 4 KiB a second. Default 1 minute. It needs a ResponseWriter that can
	// set write deadlines.
	DownloadIdle time.Duration
	// Authenticator authenticates requests. The default has a window of 300 s and a bounded nonce
	// table in memory. Package noncefile keeps the nonces of pushes and tombstones on disk.
	Authenticator *request.Authenticator
	// Now is the clock of limits, pending roots and the default Authenticator. Default [time.Now].
	Now func() time.Time
	// Logger logs the causes of status 500, which responses do not contain. It never logs keys or
	// tokens. Default: discarded.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Policy == nil {
		d.Policy = RejectUnknown{}
	}
	d.MaxModule = positive(d.MaxModule, wire.DefaultMaxModule)
	d.MaxPending = positive(d.MaxPending, 2)
	d.PendingTTL = positive(d.PendingTTL, 24*time.Hour)
	d.MaxTombstones = positive(d.MaxTombstones, 4096)
	d.MaxDelta = positive(d.MaxDelta, DefaultMaxDelta)
	d.UploadIdle = positive(d.UploadIdle, time.Minute)
	d.DownloadIdle = positive(d.DownloadIdle, time.Minute)
	d.Limits = d.Limits.withDefaults()
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Authenticator == nil {
		d.Authenticator = &request.Authenticator{Now: d.Now, Start: d.Now()}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// A Server answers the routes under /stores/ from a [Backend]. It is an [http.Handler] and safe for
// concurrent use. The program is responsible for listening, TLS and connection timeouts. Mount it
// at "/stores/", or as the only handler: an [http.ServeMux] in front of it redirects unclean paths,
// the Server itself never redirects. Under a path prefix, wrap it in [http.StripPrefix]; its URLs
// are then https://host/prefix/stores/ID. A dig:// locator has no prefix.
//
// The backend's interfaces decide which routes exist: a [Receiver] takes pushes, a [Revoker] takes
// tombstones, a [Promoter] takes pending pushes.
type Server struct {
	opt    Options
	log    *slog.Logger
	routes map[string]map[string]route // tail of the path → method

	back Backend
	optional
	only map[auth.StoreID]bool

	perIP       *buckets[netip.Addr]
	perIdentity *buckets[auth.PublicKey]
	perStore    *buckets[auth.StoreID]
	uploads     *budget // concurrent module uploads
	// peeks counts uploads whose first bytes must be read before they can be checked.
	peeks        *budget
	deltas       *semaphore.Weighted // deltas that are being computed
	bodies       *budget             // bytes of JSON requests, beyond freeBody each
	declarations declarations
	resources    *ResourceIndex
	damage       *damageTracker
	recipes      *recipes
}

// New returns a Server for b. o may be nil. It starts no goroutines and needs no closing.
func New(b Backend, o *Options) *Server {
	opt := o.withDefaults()
	s := &Server{
		opt: opt, log: opt.Logger, back: b, optional: optionalOf(b),
		perIP:       newBuckets[netip.Addr](opt.Limits.PerIP, opt.Limits.Tracked),
		perIdentity: newBuckets[auth.PublicKey](opt.Limits.PerIdentity, opt.Limits.Tracked),
		perStore:    newBuckets[auth.StoreID](opt.Limits.PerStore, opt.Limits.Tracked),
		uploads: &budget{total: int64(opt.Limits.Uploads), perStore: int64(opt.Limits.UploadsPerStore),
			perAddress:  int64(opt.Limits.UploadsPerAddress),
			perIdentity: int64(opt.Limits.UploadsPerIdentity)},
		peeks:  &budget{total: maxPeeks, perAddress: maxPeeksEach, perIdentity: maxPeeksEach},
		deltas: semaphore.NewWeighted(int64(opt.Limits.Deltas)),
		bodies: &budget{total: opt.Limits.Bodies, perAddress: max(opt.Limits.Bodies/4,
			maxDeltaJSON)},
		declarations: newDeclarations(),
	}
	s.recipes = newRecipes(s.optional)
	if opt.Only != nil {
		s.only = make(map[auth.StoreID]bool)
		for _, id := range opt.Only {
			s.only[id] = true
		}
	}
	if s.resources = opt.Resources; s.resources == nil {
		s.resources = NewResourceIndex(b,
			&ResourceIndexOptions{Secret: opt.DecoySecret, WithholdRevoked: opt.WithholdRevoked})
		s.resources.only = func(id auth.StoreID) bool { return !s.notServed(id) }
		s.resources.damage = newDamageTracker(b, s.catalog, opt.Logger, opt.Now)
		s.damage = s.resources.damage
	} else {
		s.damage = newDamageTracker(b, s.catalog, opt.Logger, opt.Now)
	}
	s.routes = s.table()
	return s
}

// Resources returns the ResourceIndex that serves content, proof and delta, for a JSON-RPC handler
// beside the server.
func (s *Server) Resources() *ResourceIndex { return s.resources }

// Serving yields the served stores and their heads, in no particular order; a store without a
// generation has a zero root. With an error it yields the store whose head cannot be read, for
// example because it is damaged, and continues. An error of the list itself has a zero store and
// ends the iteration; it is [errors.ErrUnsupported] for a backend that is no [Catalog].
func (s *Server) Serving(ctx context.Context) iter.Seq2[module.ID, error] {
	return func(yield func(module.ID, error) bool) {
		if s.catalog == nil {
			yield(module.ID{},
				fmt.Errorf("remote: list what is served: the backend does not list its stores: %w",
					errors.ErrUnsupported))
			return
		}
		for id, err := range s.catalog.Stores(ctx) {
			if err != nil {
				yield(module.ID{}, fmt.Errorf("remote: list what is served: %w", err))
				return
			}
			if s.notServed(id) {
				continue
			}
			s.damage.checkOnce(ctx, id)
			var head auth.SignedRoot
			err := s.damage.refuse(ctx, id)
			if err == nil {
				head, err = s.back.Head(ctx, id)
			}
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since it was listed
			}
			if err == nil && !head.Root.IsZero() {
				err = s.opens(ctx, module.ID{Store: id, Root: head.Root})
			}
			if err != nil {
				s.damage.note(ctx, module.ID{Store: id}, err)
				err = fmt.Errorf("remote: read the head of store %s: %w", id, err)
			}
			if !yield(module.ID{Store: id, Root: head.Root}, err) {
				return
			}
		}
	}
}

// opens returns an error if a generation is held but cannot be opened.
func (s *Server) opens(ctx context.Context, id module.ID) error {
	m, err := s.back.Module(ctx, id.Store, id.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return m.Close()
}

// head returns the confirmed head of a served store.
func (s *Server) head(ctx context.Context, id auth.StoreID) (auth.SignedRoot, error) {
	if s.notServed(id) {
		return auth.SignedRoot{}, unknownStore()
	}
	if err := s.damage.refuse(ctx, id); err != nil {
		return auth.SignedRoot{}, err
	}
	return s.back.Head(ctx, id)
}

// notServed reports whether Options.Only excludes a store.
func (s *Server) notServed(id auth.StoreID) bool { return s.only != nil && !s.only[id] }

// tombstones returns the tombstones of a store; none if the backend is no Revoker.
func (s *Server) tombstones(ctx context.Context, id auth.StoreID) ([]auth.Tombstone, error) {
	if s.revoker == nil {
		return nil, nil
	}
	ts, err := s.revoker.Tombstones(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ts, err
}

// isRevoked reports whether ts revoke root.
func isRevoked(ts []auth.Tombstone, root merkle.Hash) bool {
	return slices.ContainsFunc(ts, func(t auth.Tombstone) bool { return t.Revokes(root) })
}
