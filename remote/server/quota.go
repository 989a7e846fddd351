package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/dig-network/digstore/digstore/module"
)

// A Quota bounds the number and the bytes of the stores that pushes create, for one identity
// (Stores, Bytes) and in total. A field that is not positive means no limit. Identities are free,
// so only the totals protect the disk. A store may exceed a byte limit by its size before the push,
// since the store may already hold parts of the module, and concurrent pushes by one module each.
type Quota struct {
	Stores, TotalStores int
	Bytes, TotalBytes   int64
}

// room returns how many bytes the body of a push may have. The store may already hold parts of a
// module, so a module may exceed the quota by the size of the store. A recipe body has only missing
// chunks and may not. Stores without an owner have no quota.
func (s *Server) room(ctx context.Context, p *push) (int64, error) {
	q := s.opt.Quota
	if q == nil {
		return math.MaxInt64, nil
	}
	if s.catalog == nil {
		return 0, fmt.Errorf("remote: check the quota of a push: the backend is no Catalog: %w",
			errors.ErrUnsupported)
	}
	var all, own struct {
		stores int
		bytes  int64
	}
	owner, owned, held := p.by.Identity, p.isNew(), int64(0)
	var stores []module.Owned
	for o, err := range s.catalog.Owned(ctx) {
		if err != nil {
			return 0, err
		}
		if stores = append(stores, o); o.Store == p.store {
			owner, owned, held = o.Owner, true, o.Bytes
		}
	}
	if !owned {
		return math.MaxInt64, nil
	}
	for _, o := range stores {
		all.stores, all.bytes = all.stores+1, all.bytes+o.Bytes
		if o.Owner == owner {
			own.stores, own.bytes = own.stores+1, own.bytes+o.Bytes
		}
	}
	if p.isNew() && min(left(int64(q.Stores), int64(own.stores)),
		left(int64(q.TotalStores), int64(all.stores))) < 1 {
		return 0, refuse(http.StatusInsufficientStorage, "quota exceeded: no more stores are taken")
	}
	room := min(left(q.Bytes, own.bytes), left(q.TotalBytes, all.bytes))
	if room < 1 {
		return 0, noRoom()
	}
	if !p.recipe && room < math.MaxInt64-held {
		room += held
	}
	return room, nil
}

// left returns limit - used, or math.MaxInt64 if limit is not positive.
func left(limit, used int64) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	return limit - used
}

func noRoom() error {
	return refuse(http.StatusInsufficientStorage, "quota exceeded: no more bytes are taken")
}

// isNew reports whether a push is for the first generation of its store.
func (p *push) isNew() bool { return p.head.Root.IsZero() }

// setOwner records the identity that pushed the first generation of a store.
func (s *Server) setOwner(ctx context.Context, p *push) {
	if s.opt.Quota == nil || !p.isNew() {
		return
	}
	if err := s.catalog.SetOwner(context.WithoutCancel(ctx), p.store, p.by.Identity); err != nil {
		s.log.ErrorContext(ctx, "cannot record the owner of a store: it has no quota", "store",
			p.store, "err", err)
	}
}
