package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
)

// A Quota bounds what pushes may fill of a server's disk with stores that they bring: how many, and how many bytes,
// those of one identity and all of them. A field that is not positive is no limit. Identities cost nothing, so it is the
// totals that protect a disk; the others share it out. What is under way at the same time may go beyond a limit by a
// module each.
type Quota struct {
	Stores, TotalStores int
	Bytes, TotalBytes   int64
}

// An Owners is a [Receiver] that remembers who brought its stores. Optional; a [Quota] needs it.
type Owners interface {
	// SetOwner notes who brought a store, durably.
	SetOwner(ctx context.Context, s auth.StoreID, owner auth.PublicKey) error
	// Owned yields the stores with an owner in no particular order. It stops after an error.
	Owned(ctx context.Context) iter.Seq2[module.Owned, error]
}

// checkQuota refuses a push that has no room: bytes is how many it brings besides what is here, 0 where that is not
// known. Stores without an owner have no quota.
func (s *Server) checkQuota(ctx context.Context, p *push, bytes int64) error {
	q := s.opt.Quota
	if q == nil {
		return nil
	}
	if s.owners == nil {
		return fmt.Errorf("remote: check the quota of a push: the backend knows no owners: %w", errors.ErrUnsupported)
	}
	var all, own struct {
		stores int
		bytes  int64
	}
	owner, owned := p.by.Identity, p.isNew()
	var stores []module.Owned
	for o, err := range s.owners.Owned(ctx) {
		if err != nil {
			return err
		}
		if stores = append(stores, o); o.Store == p.store {
			owner, owned = o.Owner, true
		}
	}
	if !owned {
		return nil
	}
	for _, o := range stores {
		all.stores, all.bytes = all.stores+1, all.bytes+o.Bytes
		if o.Owner == owner {
			own.stores, own.bytes = own.stores+1, own.bytes+o.Bytes
		}
	}
	if p.isNew() && (over(int64(q.Stores), int64(own.stores), 1) || over(int64(q.TotalStores), int64(all.stores), 1)) {
		return refuse(http.StatusInsufficientStorage, "quota exceeded: no more stores are taken")
	}
	bytes = max(bytes, 1)
	if over(q.Bytes, own.bytes, bytes) || over(q.TotalBytes, all.bytes, bytes) {
		return refuse(http.StatusInsufficientStorage, "quota exceeded: no more bytes are taken")
	}
	return nil
}

func over(limit, used, more int64) bool { return limit > 0 && used > limit-more }

// isNew reports whether a push brings the first generation of its store.
func (p *push) isNew() bool { return p.head.Root.IsZero() }

// setOwner notes who brought a store with its first generation.
func (s *Server) setOwner(ctx context.Context, p *push) {
	if s.opt.Quota == nil || !p.isNew() {
		return
	}
	if err := s.owners.SetOwner(context.WithoutCancel(ctx), p.store, p.by.Identity); err != nil {
		s.log.ErrorContext(ctx, "cannot note who brought a store: it has no quota", "store", p.store, "err", err)
	}
}
