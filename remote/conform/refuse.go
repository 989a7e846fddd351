package conform

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

const knownBody = "the reference keeps whatever comes under a signed root (§6.3)"

// asError is errors.As.
func asError[E error](err error, target *E) bool { return errors.As(err, target) }

// refusalChecks push what must not be taken.
func refusalChecks() []check {
	// bad is a PUT of a fresh generation, changed so that it has to be refused.
	bad := func(name, spec string, level Level, status int, known string,
		change func(ctx context.Context, s *session, p probe, g generation,
			parent merkle.Hash) (probe, error)) check {
		return check{"refuse/" + name, spec, level, func(ctx context.Context, s *session) error {
			g, parent, err := s.next(ctx)
			if err != nil {
				return err
			}
			if err := s.remember(ctx); err != nil {
				return err
			}
			p, err := change(ctx, s, s.put(g, parent), g, parent)
			if err != nil {
				return err
			}
			a, err := s.send(ctx, p)
			if err != nil {
				return err
			}
			if err := a.is(status); err != nil {
				if a.status/100 == 2 {
					err = as(known, err)
				}
				return err
			}
			return nil
		}}
	}
	header := func(name, value string) func(context.Context, *session, probe, generation,
		merkle.Hash) (probe, error) {
		return func(_ context.Context, _ *session, p probe, _ generation, _ merkle.Hash) (probe, error) {
			if value == "" {
				return p.without(name), nil
			}
			return p.with(name, value), nil
		}
	}
	// signed replaces the signatures by others.
	signed := func(by func(ctx context.Context, s *session,
		g generation) (auth.SignedRoot, error)) func(context.Context, *session, probe, generation,
		merkle.Hash) (probe, error) {
		return func(ctx context.Context, s *session, p probe, g generation,
			_ merkle.Hash) (probe, error) {
			head, err := by(ctx, s, g)
			return s.signatures(p, head), err
		}
	}
	// body sends another one than the headers say.
	body := func(make func(ctx context.Context, s *session,
		g generation) (generation, error)) func(context.Context, *session, probe, generation,
		merkle.Hash) (probe, error) {
		return func(ctx context.Context, s *session, _ probe, g generation,
			parent merkle.Hash) (probe, error) {
			g, err := make(ctx, s, g)
			return s.put(g, parent), err
		}
	}
	list := []check{
		bad("another-parent", "§6.3", Must, http.StatusConflict, "", header(headerParent, random().String())),
		bad("no-parent-at-all", "§6.3", Must, http.StatusConflict, "", header(headerParent, merkle.Hash{}.String())),
		{"refuse/rollback", "§6.11", Must, func(ctx context.Context, s *session) error {
			_, parent, err := s.next(ctx)
			if err != nil {
				return err
			}
			if err := s.remember(ctx); err != nil {
				return err
			}
			i := slices.IndexFunc(s.writer.pushed, func(g generation) bool { return g.head.Root != parent })
			if i < 0 {
				return skip("this run has not pushed two generations")
			}
			return as("the reference takes it (§6.11)", s.refused(ctx, s.put(s.writer.pushed[i], parent), http.StatusConflict))
		}},
		bad("another-key", "§6.3", Must, http.StatusForbidden, "", signed(func(ctx context.Context, s *session, g generation) (auth.SignedRoot, error) {
			return auth.SignRoot(ctx, g.head.Store, g.head.Root, freshKey())
		})),
		bad("signature-of-another-root", "§6.3", Must, http.StatusForbidden, "", signed(func(ctx context.Context, s *session, g generation) (auth.SignedRoot, error) {
			return auth.SignRoot(ctx, g.head.Store, random(), s.opt.Write.Key)
		})),
		bad("signature-of-another-store", "§6.3", Must, http.StatusForbidden, "", signed(func(ctx context.Context, s *session, g generation) (auth.SignedRoot, error) {
			return auth.SignRoot(ctx, nowhere(), g.head.Root, s.opt.Write.Key)
		})),
		bad("wrong-tagged-signature", "§6.1", Extension, http.StatusForbidden, "the reference does not look at this header (§6.1)",
			func(ctx context.Context, s *session, p probe, g generation, _ merkle.Hash) (probe, error) {
				other, err := auth.SignRoot(ctx, g.head.Store, g.head.Root, freshKey())
				return p.with(headerTagged, other.Tagged.String()), err
			}),
		bad("malformed-tagged-signature", "§6.1", Extension, http.StatusUnprocessableEntity, "the reference does not look at this header (§6.1)", header(headerTagged, "x")),
		bad("no-signature", "§6.3", Must, http.StatusUnprocessableEntity, "", header(headerSignature, "")),
		bad("malformed-signature", "§6.3", Must, http.StatusUnprocessableEntity, "", header(headerSignature, "x")),
		bad("malformed-parent", "§6.2", Must, http.StatusUnprocessableEntity, "", header(headerParent, "x")),
		bad("missing-parent", "§6.2", Should, http.StatusUnprocessableEntity, "the reference takes the head for the parent (§6.2)", header(headerParent, "")),
		bad("unknown-mode", "§6.2", Extension, http.StatusUnprocessableEntity, "the reference takes everything but pending for advance (§6.2)", header(headerMode, "perhaps")),
		bad("two-roots", "§6.2", Extension, http.StatusUnprocessableEntity, "the reference takes the query's (§6.2)", header(headerRoot, random().String())),
		bad("missing-root", "§6.2", Must, http.StatusUnprocessableEntity, "", func(_ context.Context, _ *session, p probe, _ generation, _ merkle.Hash) (probe, error) {
			p.query = ""
			return p.without(headerRoot), nil
		}),
		bad("malformed-root", "§6.2", Must, http.StatusUnprocessableEntity, "", func(_ context.Context, _ *session, p probe, _ generation, _ merkle.Hash) (probe, error) {
			p.query = "root=x"
			return p.with(headerRoot, "x"), nil
		}),
		bad("body-of-another-root", "§6.3", Must, http.StatusUnprocessableEntity, knownBody, body(func(ctx context.Context, s *session, g generation) (generation, error) {
			other, err := s.fresh(ctx)
			g.body = other.body
			return g, err
		})),
		bad("body-with-a-flipped-bit", "§6.3", Must, http.StatusUnprocessableEntity, knownBody, body(func(_ context.Context, _ *session, g generation) (generation, error) {
			g.body = slices.Clone(g.body)
			g.body[len(g.body)-1] ^= 1 // of the last chunk: there is no filler
			return g, nil
		})),
		bad("body-cut-short", "§6.3", Must, http.StatusUnprocessableEntity, knownBody, body(func(_ context.Context, _ *session, g generation) (generation, error) {
			g.body = g.body[:len(g.body)-7]
			return g, nil
		})),
		bad("body-of-another-store", "§6.3", Must, http.StatusUnprocessableEntity, knownBody, body(func(ctx context.Context, s *session, g generation) (generation, error) {
			other, err := s.build(ctx, nowhere(), s.opt.Write.Key, s.opt.Write.Key.PublicKey())
			if err != nil {
				return g, err
			}
			other.head, err = auth.SignRoot(ctx, s.opt.Write.Store, other.head.Root, s.opt.Write.Key)
			return other, err
		})),
		bad("body-with-another-key", "§6.3", Must, http.StatusUnprocessableEntity, knownBody, body(func(ctx context.Context, s *session, g generation) (generation, error) {
			return s.build(ctx, s.opt.Write.Store, s.opt.Write.Key, freshKey().PublicKey())
		})),
		bad("not-the-announced-bytes", "§6.3", Extension, http.StatusUnprocessableEntity, "the reference ignores what push-init declares (§6.5)",
			func(ctx context.Context, s *session, p probe, g generation, parent merkle.Hash) (probe, error) {
				other := g
				other.body = append(slices.Clone(g.body[:len(g.body)-1]), g.body[len(g.body)-1]^1)
				_, err := s.init(ctx, other, parent)
				return p, err
			}),
		bad("recipe-on-an-unknown-base", "RECIPES §4", Extension, http.StatusPreconditionFailed, "", func(ctx context.Context, s *session, _ probe, g generation, parent merkle.Hash) (probe, error) {
			p, err := s.byRecipe(ctx, g, parent, nil)
			return p.with(headerBase, random().String()), err
		}),
		bad("recipe-with-another-chunk", "RECIPES §4", Extension, http.StatusUnprocessableEntity, "", func(ctx context.Context, s *session, _ probe, g generation, parent merkle.Hash) (probe, error) {
			return s.byRecipe(ctx, g, parent, func(chunks []byte) { chunks[0] ^= 1 })
		}),
		{"refuse/too-large", "§6.3", Must, func(ctx context.Context, s *session) error {
			g, parent, err := s.next(ctx)
			if err != nil {
				return err
			}
			p := s.put(g, parent).with("Expect", "100-continue")
			p.body, p.stream, p.size = nil, &untouched{}, 1<<40
			return s.refused(ctx, p, http.StatusRequestEntityTooLarge)
		}},
		{"refuse/before-the-body", "§6.3", Should, func(ctx context.Context, s *session) error {
			g, parent, err := s.next(ctx)
			if err != nil {
				return err
			}
			stream := &untouched{from: strings.NewReader(string(g.body))}
			p := s.put(g, parent).with("Expect", "100-continue").with(headerParent, random().String())
			p.body, p.stream, p.size = nil, stream, int64(len(g.body))
			if _, err := s.expect(ctx, p, http.StatusConflict); err != nil {
				return skip("the push was not refused as refuse/another-parent wants: %v", err)
			}
			if stream.read.Load() {
				return as("the reference takes the whole body first (§6.3)", found("a refusal by the headers, with the body unread (Expect: 100-continue)", "100 Continue"))
			}
			return nil
		}},
	}
	return append(list, initRefusals()...)
}

// initRefusals announce what must not be pushed.
func initRefusals() []check {
	bad := func(name string, level Level, status int,
		make func(ctx context.Context, s *session, g generation,
			parent merkle.Hash) (probe, error)) check {
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
	return []check{
		bad("init-without-a-body", Must, http.StatusUnprocessableEntity, func(_ context.Context, s *session, g generation, parent merkle.Hash) (probe, error) {
			p := s.announce(g, parent)
			p.body = []byte("{}")
			return p, nil
		}),
		bad("init-on-another-parent", Must, http.StatusConflict, func(_ context.Context, s *session, g generation, _ merkle.Hash) (probe, error) {
			return s.announce(g, random()), nil
		}),
		bad("init-by-another-key", Must, http.StatusForbidden, func(ctx context.Context, s *session, g generation, parent merkle.Hash) (probe, error) {
			other, err := auth.SignRoot(ctx, g.head.Store, g.head.Root, freshKey())
			return s.signatures(s.announce(g, parent), other), err
		}),
		bad("complete-without-an-upload", Should, http.StatusUnprocessableEntity, func(_ context.Context, s *session, g generation, _ merkle.Hash) (probe, error) {
			p := probe{tail: "/module/complete", store: s.opt.Write.Store}.asJSON(map[string]string{"upload_id": g.head.Root.String(), "new_root": g.head.Root.String()})
			return s.signatures(p, g.head), nil
		}),
		{"refuse/without-a-token", "§6.3", Should, func(ctx context.Context, s *session) error {
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
		}},
		{"refuse/leaves-no-trace", "§6.3", Must, func(ctx context.Context, s *session) error {
			if !s.writer.counted {
				return skip("nothing was refused")
			}
			lines, err := s.readLines(ctx, s.opt.Write.Store)
			if err != nil {
				return err
			}
			if !slices.Equal(lines, s.writer.before) {
				return found("the history as it was before all these", "%d lines, and they were %d", len(lines), len(s.writer.before))
			}
			return nil
		}},
	}
}

// remember notes the history before the first refusal.
func (s *session) remember(ctx context.Context) (err error) {
	if !s.writer.counted {
		s.writer.before, err = s.readLines(ctx, s.opt.Write.Store)
		s.writer.counted = err == nil
	}
	return err
}

// An untouched is a body that should not be read.
type untouched struct {
	from io.Reader
	read atomic.Bool
}

func (u *untouched) Read(p []byte) (int, error) {
	u.read.Store(true)
	if u.from == nil {
		return 0, errors.New("the origin asked for a body of 1 TiB")
	}
	return u.from.Read(p)
}
