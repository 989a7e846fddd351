package conform

import (
	"context"
	"net/http"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// initRefusals are the checks of push-init and push-complete requests that the origin must refuse.
func initRefusals() []check {
	const invalid = http.StatusUnprocessableEntity
	return []check{
		badInit("init-without-a-body", Must, invalid, initWithoutABody),
		badInit("init-on-another-parent", Must, http.StatusConflict, initOnAnotherParent),
		badInit("init-by-another-key", Must, http.StatusForbidden, initByAnotherKey),
		badInit("complete-without-an-upload", Should, invalid, completeWithoutAnUpload),
		{"refuse/without-a-token", "§6.3", Should, refuseWithoutAToken},
		{"refuse/leaves-no-trace", "§6.3", Must, refuseLeavesNoTrace},
	}
}

// badInit is a check that a request about a fresh generation, which make returns, is refused with a
// status.
func badInit(name string, level Level, status int, make func(ctx context.Context, s *session,
	g generation, parent merkle.Hash) (probe, error)) check {
	return check{"refuse/" + name, "§6.5", level, func(ctx context.Context, s *session) error {
		g, parent, err := s.next(ctx)
		if err != nil {
			return err
		}
		p, err := make(ctx, s, g, parent)
		if err != nil {
			return err
		}
		a, err := s.send(ctx, p)
		if err != nil {
			return err
		}
		if noRoute(a) {
			return skip("the origin has no such route")
		}
		return a.is(status)
	}}
}

func initWithoutABody(_ context.Context, s *session, g generation,
	parent merkle.Hash) (probe, error) {
	p := s.announce(g, parent)
	p.body = []byte("{}")
	return p, nil
}

func initOnAnotherParent(_ context.Context, s *session, g generation,
	_ merkle.Hash) (probe, error) {
	return s.announce(g, random()), nil
}

func initByAnotherKey(ctx context.Context, s *session, g generation,
	parent merkle.Hash) (probe, error) {
	other, err := auth.SignRoot(ctx, g.head.Store, g.head.Root, freshKey())
	return s.signatures(s.announce(g, parent), other), err
}

func completeWithoutAnUpload(_ context.Context, s *session, g generation,
	_ merkle.Hash) (probe, error) {
	root := g.head.Root.String()
	p := probe{tail: "/module/complete", store: s.opt.Write.Store}.asJSON(
		map[string]string{"upload_id": root, "new_root": root})
	return s.signatures(p, g.head), nil
}

func refuseWithoutAToken(ctx context.Context, s *session) error {
	if s.opt.Write.Token == "" {
		return skip("no token is known to be wanted")
	}
	key := freshKey()
	store := auth.StoreIDFromKey(key.PublicKey())
	g, err := s.build(ctx, store, key, key.PublicKey())
	if err != nil {
		return err
	}
	p := s.announce(g, merkle.Hash{}).without("Authorization")
	p.store = store
	return s.refused(ctx, p, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
}

func refuseLeavesNoTrace(ctx context.Context, s *session) error {
	if !s.writer.counted {
		return skip("nothing was refused")
	}
	lines, err := s.readLines(ctx, s.opt.Write.Store)
	if err != nil {
		return err
	}
	if !slices.Equal(lines, s.writer.before) {
		return found("the history as it was before all these", "%d lines, and they were %d", len(lines),
			len(s.writer.before))
	}
	return nil
}
