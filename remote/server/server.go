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

// Options are the choices of a [Server]. Fields that are not positive, and nil ones, take their
// defaults.
type Options struct {
	// Anonymous lets everybody read without a signature. Pushes and tombstones stay authenticated
	// unless AnonymousWrites opens them as well; they need the store's signature in any case.
	Anonymous       bool
	AnonymousWrites bool
	// Authorize may forbid what an authenticated identity asks for: an error is answered by 403
	// without a word of it. It is asked about every request, reads included, after authentication and
	// limits and before anything is looked up, so that who is forbidden does not learn what is here;
	// about a request that nobody had to sign with the zero key. It does not stand before what else is
	// served from [Server.Resources]. nil: everybody may. See remote/PROTOCOL.md 3.3.
	Authorize func(ctx context.Context, identity auth.PublicKey, op request.Op,
		store auth.StoreID) error
	// Only narrows what is served and taken to these stores. nil: every store of the backend.
	Only []auth.StoreID
	// Policy decides about pushes to stores that are not here yet. Default [RejectUnknown].
	Policy Policy
	// Authority decides whose signature counts. nil: that of the key which the store is held under.
	Authority Authority
	// MayRevert reports whether configuration binds the identity or the credential of a request to
	// this store as a writer's: one that is merely valid here does not count. Such a push may make a
	// root of the history the head again, which needs a [Promoter]; so may the root that an Authority
	// names by itself (ByRoot). All others are answered 409, since an old signature that is sent again
	// must not roll a store back. nil: nobody's.
	MayRevert func(by Requester, store auth.StoreID) bool
	// Credential names the credential that a push or a tombstone carries in its headers: "" and no
	// error where it carries none, an error where it carries one that is not valid, which counts as
	// none. It is asked after authentication, limits and Authorize. A request with a credential may
	// make a first push that Policy refuses as unknown; updates need the store's signature only. nil:
	// there are none. [Credentials] has one.
	Credential func(r *http.Request) (name string, err error)
	// Received is called after a push, a promotion or a revocation, when it is durable and before it
	// is answered. The context does not end with the request. Calls may be concurrent, and those of
	// one store in another order than that of its history. An error is logged; it changes neither what
	// was received nor the answer.
	Received func(ctx context.Context, r Received) error
	// Access is called at the end of every request, for an access log and for metrics. Calls may be
	// concurrent.
	Access func(ctx context.Context, a Access)
	// Quota bounds the stores that pushes bring, and needs a backend that is a [Catalog]. What is over
	// is answered by 507. nil: no bound.
	Quota *Quota
	// MaxModule is the largest module that a push may bring, in bytes. Default [DefaultMaxModule].
	MaxModule int64
	// MaxPending and PendingTTL bound the pending roots of a store: how many (default 2; the oldest
	// gives way) and how long (default 24 hours).
	MaxPending int
	PendingTTL time.Duration
	// MaxTombstones is how many tombstones are kept for a store. Default 4096.
	MaxTombstones int
	// Objects takes modules in the server's place. nil: they come in line.
	Objects ObjectStore
	// WithholdRevoked answers 410 for modules that are revoked. Default: they are served and the
	// tombstone is in the descriptor, so that clients enforce it.
	WithholdRevoked bool
	// ResourceIndex answers content, proof and delta. nil: one of the server's own, with keyed decoys,
	// which Only and WithholdRevoked narrow; those of another are its own business.
	Resources *ResourceIndex
	// DecoySecret makes the decoys of the server's own Contents: [ResourceIndexOptions] Secret. A
	// server that is started again keeps it, or else what changes over a restart is seen to be no
	// resource.
	DecoySecret []byte
	// Prover makes execution proofs. nil: there are none.
	Prover Prover
	// MaxDelta is how many decoded bytes one delta may have. Default [DefaultMaxDelta].
	MaxDelta int64
	// MaxInlineModule is the longest module that GET answers, in bytes; longer ones are for the
	// JSON-RPC tier of package rpc, and the answer says so. Default: there is no limit.
	MaxInlineModule int64
	// Limits bound what is done for others.
	Limits Limits
	// TrustedProxies are the peers whose X-Forwarded-For is believed. Default none.
	TrustedProxies []netip.Prefix
	// UploadIdle is how long the body of a request may be silent before it is dropped; in the long run
	// it has to bring 4 KiB a second. Default 1 minute. It needs a ResponseWriter that can set read
	// deadlines, as those of net/http can.
	UploadIdle time.Duration
	// DownloadIdle is how long a client may take nothing of its answer before it is cut off; in the
	// long run it has to take 4 KiB a second. Default 1 minute. It needs a ResponseWriter that can set
	// write deadlines.
	DownloadIdle time.Duration
	// Authenticator authenticates requests. Default one of its own, with a window of 300 s and a
	// bounded nonce memory, which does not outlive the process: package noncefile keeps the nonces of
	// pushes and tombstones on disk.
	Authenticator *request.Authenticator
	// Now is the clock of limits, pending roots and the default Authenticator. Default [time.Now].
	Now func() time.Time
	// Logger gets what answers do not say: the causes of status 500. Default: discarded. No keys or
	// tokens are logged.
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
// concurrent use; listening, TLS and timeouts of connections are the program's business. Mount it
// at "/stores/", or as the only handler: an [http.ServeMux] in front of it redirects unclean paths,
// the Server itself never redirects. Under a path prefix it stands behind [http.StripPrefix], and
// is reached by https://host/prefix/stores/ID; a dig:// locator has no prefix.
//
// What the backend can do decides which routes there are: a [Receiver] takes pushes, a [Revoker]
// takes tombstones, a [Promoter] takes pending pushes.
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
	uploads     *budget // places of module uploads
	// places of uploads whose first bytes have to be read before they can be checked
	peeks        *budget
	deltas       *semaphore.Weighted // each a delta that is being computed
	bodies       *budget             // bytes of JSON requests, beyond what everybody may send
	declarations declarations
	resources    *ResourceIndex
	damage       *damageTracker
	recipes      *recipes
}

// New returns a Server for b. It starts nothing and needs no closing. o may be nil.
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

// ResourceIndex returns what content, proof and delta are answered from, for a JSON-RPC handler
// beside the server.
func (s *Server) Resources() *ResourceIndex { return s.resources }

// Serving lists the stores that are served and their heads, in no particular order; a store without
// a generation has a zero root. With an error it yields the store whose head cannot be read, a
// damaged one perhaps, and goes on with the next; a zero store stands for an error of the list
// itself, which ends it. That is [errors.ErrUnsupported] for a backend that is no [Catalog].
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

// opens is an error when a generation cannot be opened though it is held.
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

// head is the confirmed head of a store that is served here.
func (s *Server) head(ctx context.Context, id auth.StoreID) (auth.SignedRoot, error) {
	if s.notServed(id) {
		return auth.SignedRoot{}, unknownStore()
	}
	if err := s.damage.refuse(ctx, id); err != nil {
		return auth.SignedRoot{}, err
	}
	return s.back.Head(ctx, id)
}

// notServed reports whether a store lies outside what Options.Only names.
func (s *Server) notServed(id auth.StoreID) bool { return s.only != nil && !s.only[id] }

// tombstones are those of a store; none when the backend keeps none.
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

// isRevoked reports whether ts name root or the whole store.
func isRevoked(ts []auth.Tombstone, root merkle.Hash) bool {
	return slices.ContainsFunc(ts, func(t auth.Tombstone) bool { return t.Revokes(root) })
}
