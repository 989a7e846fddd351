package conform

import (
	"context"
	"net/http"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// revokeChecks are the checks of tombstones that the origin must accept.
func revokeChecks() []check {
	return []check{
		{"revoke/root", "§7.2", Must, revokeRoot},
		{"revoke/again", "§7.2", Must, revokeAgain},
		{"revoke/in-advance", "§7.2", Extension, revokeInAdvance},
		{"revoke/push-of-a-revoked-root", "§7.4", Extension, revokePushOfARevokedRoot},
	}
}

func revokeRoot(ctx context.Context, s *session) error {
	t, err := s.tombstone(ctx, s.oldest(), auth.Superseded)
	if err != nil {
		return err
	}
	if err := s.revoke(ctx, t); err != nil {
		return err
	}
	list, err := s.entries(ctx, t.Root)
	if err != nil {
		return err
	}
	return one(list, t)
}

func revokeAgain(ctx context.Context, s *session) error {
	t, err := s.tombstone(ctx, s.oldest(), auth.Compromise)
	if err != nil {
		return err
	}
	for range 2 {
		if err := s.revoke(ctx, t); err != nil {
			return err
		}
	}
	list, err := s.entries(ctx, t.Root)
	if err != nil {
		return err
	}
	return one(list, t)
}

func revokeInAdvance(ctx context.Context, s *session) error {
	if len(s.writer.pushed) == 0 {
		return skip("this run has pushed nothing")
	}
	t, err := s.tombstone(ctx, random(), auth.Unspecified)
	if err != nil {
		return err
	}
	return s.revoke(ctx, t)
}

func revokePushOfARevokedRoot(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	t, err := s.tombstone(ctx, g.head.Root, auth.Unspecified)
	if err != nil {
		return err
	}
	if err := s.revoke(ctx, t); err != nil {
		return skip("it could not be revoked: %v", err)
	}
	return as("the reference takes pushes of revoked roots (§7.4)",
		s.refused(ctx, s.put(g, parent), http.StatusForbidden))
}

// lastChecks are the checks that need the results of all others, or revoke the store.
func lastChecks() []check {
	return []check{
		{"limits/retry-after", "§3.7", Should, limitsRetryAfter},
		{"revoke/store", "§7.4", Extension, revokeStore},
	}
}

func limitsRetryAfter(ctx context.Context, s *session) error {
	if len(s.limited) == 0 {
		return skip("the origin was never too busy")
	}
	for _, said := range s.limited {
		if !said {
			return found("Retry-After with 429 and 503", "none")
		}
	}
	return nil
}

func revokeStore(ctx context.Context, s *session) error {
	if !s.opt.Write.RevokeStore {
		return skip("the store shall go on living")
	}
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	t, err := s.tombstone(ctx, merkle.Hash{}, auth.Takedown)
	if err != nil {
		return err
	}
	if err := s.revoke(ctx, t); err != nil {
		return err
	}
	return as("the reference takes pushes into revoked stores (§7.4)",
		s.refused(ctx, s.put(g, parent), http.StatusForbidden))
}

// oldest returns the first root that this run has pushed, or zero.
func (s *session) oldest() merkle.Hash {
	if len(s.writer.pushed) == 0 {
		return merkle.Hash{}
	}
	return s.writer.pushed[0].head.Root
}

// tombstone signs a tombstone of the store that is pushed to. A zero root is the whole store.
func (s *session) tombstone(ctx context.Context, root merkle.Hash,
	why auth.Reason) (auth.Tombstone, error) {
	if root.IsZero() && len(s.writer.pushed) == 0 {
		return auth.Tombstone{}, skip("this run has pushed nothing")
	}
	t := auth.Tombstone{Store: s.opt.Write.Store, Root: root,
		NotAfter: uint64(s.opt.Now().Unix()), Reason: why}
	return auth.SignTombstone(ctx, t, s.opt.Write.Key)
}

// revoke sends a tombstone that the origin must accept.
func (s *session) revoke(ctx context.Context, t auth.Tombstone) error {
	p := probe{tail: "/tombstone", store: t.Store}.asJSON(tombstoneBody(t))
	a, err := s.send(ctx, p)
	if err != nil {
		return err
	}
	if noRoute(a) {
		return skip("the origin takes no tombstones")
	}
	return a.is(http.StatusCreated)
}
