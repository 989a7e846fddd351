package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Promote makes a pending root the head of its store (remote/PROTOCOL.md 6.8). The program calls it
// when the chain has confirmed the root, for example. A root that is not pending, or is older than
// PendingTTL, is [fs.ErrNotExist]; a parent that is no longer the head is [ErrNonFastForward]; a
// revoked root is [auth.ErrRevoked]; a backend that is no [Promoter] is [errors.ErrUnsupported].
func (s *Server) Promote(ctx context.Context, store auth.StoreID, root merkle.Hash) error {
	err := s.promote(ctx, store, root)
	if errors.Is(err, module.ErrNotHead) && !errors.Is(err, wire.ErrNonFastForward) {
		err = fmt.Errorf("%w: %w", wire.ErrNonFastForward, err)
	}
	if err != nil {
		return fmt.Errorf("promote root %s of store %s: %w", root, store, err)
	}
	return nil
}

func (s *Server) promote(ctx context.Context, store auth.StoreID, root merkle.Hash) error {
	if s.promoter == nil {
		return fmt.Errorf("the backend keeps no pending roots: %w", errors.ErrUnsupported)
	}
	ts, err := s.tombstones(ctx, store)
	if err != nil {
		return err
	}
	if isRevoked(ts, root) {
		return auth.ErrRevoked
	}
	head, err := s.back.Head(ctx, store)
	if err != nil {
		return err
	}
	s.trimPending(ctx, store)
	if err := s.promoter.Promote(ctx, store, root); err != nil {
		return err
	}
	s.notify(ctx, Received{Event: EventPromotion, Store: store, Root: root, Parent: head.Root})
	return nil
}

// trimPending drops the pending roots of a store that are too old or too many. It logs errors; the
// next call tries again.
func (s *Server) trimPending(ctx context.Context, store auth.StoreID) {
	all, err := s.promoter.Pending(ctx, store)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.ErrorContext(ctx, "cannot list pending roots", "store", store, "err", err)
		}
		return
	}
	slices.SortStableFunc(all, func(a, b module.Generation) int { return a.Time.Compare(b.Time) })
	oldest := s.opt.Now().Add(-s.opt.PendingTTL)
	for i, g := range all {
		if len(all)-i <= s.opt.MaxPending && !g.Time.Before(oldest) {
			continue
		}
		if err := s.promoter.Drop(ctx, store, g.Root); err != nil {
			s.log.ErrorContext(ctx, "cannot drop a pending root", "store", store, "root", g.Root, "err", err)
		}
	}
}
