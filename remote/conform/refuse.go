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

// Known deviations of the reference, as texts for findings.
const (
	knownBody     = "the reference keeps whatever comes under a signed root (§6.3)"
	knownTagged   = "the reference does not look at this header (§6.1)"
	knownParent   = "the reference takes the head for the parent (§6.2)"
	knownMode     = "the reference takes everything but pending for advance (§6.2)"
	knownTwoRoots = "the reference takes the query's (§6.2)"
	knownInit     = "the reference ignores what push-init declares (§6.5)"
)

// asError is errors.As.
func asError[E error](err error, target *E) bool { return errors.As(err, target) }

// refusalChecks are the checks of pushes that the origin must refuse.
func refusalChecks() []check {
	const (
		conflict  = http.StatusConflict
		forbidden = http.StatusForbidden
		invalid   = http.StatusUnprocessableEntity
		noBase    = http.StatusPreconditionFailed
	)
	list := []check{
		badPush("another-parent", "§6.3", Must, conflict, "", withHeader(headerParent, random().String())),
		badPush("no-parent-at-all", "§6.3", Must, conflict, "", withHeader(headerParent, merkle.Hash{}.String())),
		{"refuse/rollback", "§6.11", Must, refuseRollback},
		badPush("another-key", "§6.3", Must, forbidden, "", signedBy(anotherKey)),
		badPush("signature-of-another-root", "§6.3", Must, forbidden, "", signedBy(anotherRoot)),
		badPush("signature-of-another-store", "§6.3", Must, forbidden, "", signedBy(anotherStore)),
		badPush("wrong-tagged-signature", "§6.1", Extension, forbidden, knownTagged, wrongTagged),
		badPush("malformed-tagged-signature", "§6.1", Extension, invalid, knownTagged, withHeader(headerTagged, "x")),
		badPush("no-signature", "§6.3", Must, invalid, "", withHeader(headerSignature, "")),
		badPush("malformed-signature", "§6.3", Must, invalid, "", withHeader(headerSignature, "x")),
		badPush("malformed-parent", "§6.2", Must, invalid, "", withHeader(headerParent, "x")),
		badPush("missing-parent", "§6.2", Should, invalid, knownParent, withHeader(headerParent, "")),
		badPush("unknown-mode", "§6.2", Extension, invalid, knownMode, withHeader(headerMode, "perhaps")),
		badPush("two-roots", "§6.2", Extension, invalid, knownTwoRoots, withHeader(headerRoot, random().String())),
		badPush("missing-root", "§6.2", Must, invalid, "", missingRoot),
		badPush("malformed-root", "§6.2", Must, invalid, "", malformedRoot),
		badPush("body-of-another-root", "§6.3", Must, invalid, knownBody, withBody(bodyOfAnotherRoot)),
		badPush("body-with-a-flipped-bit", "§6.3", Must, invalid, knownBody, withBody(bodyWithAFlippedBit)),
		badPush("body-cut-short", "§6.3", Must, invalid, knownBody, withBody(bodyCutShort)),
		badPush("body-of-another-store", "§6.3", Must, invalid, knownBody, withBody(bodyOfAnotherStore)),
		badPush("body-with-another-key", "§6.3", Must, invalid, knownBody, withBody(bodyWithAnotherKey)),
		badPush("not-the-announced-bytes", "§6.3", Extension, invalid, knownInit, anotherAnnounced),
		badPush("recipe-on-an-unknown-base", "RECIPES §4", Extension, noBase, "", recipeOnAnUnknownBase),
		badPush("recipe-with-another-chunk", "RECIPES §4", Extension, invalid, "", recipeWithAnotherChunk),
		{"refuse/too-large", "§6.3", Must, refuseTooLarge},
		{"refuse/before-the-body", "§6.3", Should, refuseBeforeTheBody},
	}
	return append(list, initRefusals()...)
}

// A pushChange changes the PUT p of generation g on parent, so that it has to be refused.
type pushChange func(ctx context.Context, s *session, p probe, g generation,
	parent merkle.Hash) (probe, error)

// badPush is a check that a changed PUT of a fresh generation is refused with a status. known
// describes the reference's answer.
func badPush(name, spec string, level Level, status int, known string, change pushChange) check {
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
		err = a.is(status)
		if a.status/100 == 2 {
			err = as(known, err)
		}
		return err
	}}
}

// withHeader sets a header, or removes it if value is empty.
func withHeader(name, value string) pushChange {
	return func(_ context.Context, _ *session, p probe, _ generation, _ merkle.Hash) (probe, error) {
		if value == "" {
			return p.without(name), nil
		}
		return p.with(name, value), nil
	}
}

// signedBy replaces the signatures by those that sign returns.
func signedBy(sign func(context.Context, *session,
	generation) (auth.SignedRoot, error)) pushChange {
	return func(ctx context.Context, s *session, p probe, g generation,
		_ merkle.Hash) (probe, error) {
		head, err := sign(ctx, s, g)
		return s.signatures(p, head), err
	}
}

func anotherKey(ctx context.Context, s *session, g generation) (auth.SignedRoot, error) {
	return auth.SignRoot(ctx, g.head.Store, g.head.Root, freshKey())
}

func anotherRoot(ctx context.Context, s *session, g generation) (auth.SignedRoot, error) {
	return auth.SignRoot(ctx, g.head.Store, random(), s.opt.Write.Key)
}

func anotherStore(ctx context.Context, s *session, g generation) (auth.SignedRoot, error) {
	return auth.SignRoot(ctx, nowhere(), g.head.Root, s.opt.Write.Key)
}

func wrongTagged(ctx context.Context, _ *session, p probe, g generation,
	_ merkle.Hash) (probe, error) {
	other, err := auth.SignRoot(ctx, g.head.Store, g.head.Root, freshKey())
	return p.with(headerTagged, other.Tagged.String()), err
}

func missingRoot(_ context.Context, _ *session, p probe, _ generation,
	_ merkle.Hash) (probe, error) {
	p.query = ""
	return p.without(headerRoot), nil
}

func malformedRoot(_ context.Context, _ *session, p probe, _ generation,
	_ merkle.Hash) (probe, error) {
	p.query = "root=x"
	return p.with(headerRoot, "x"), nil
}

// withBody sends the body that change returns, and the headers of the generation that it returns.
func withBody(change func(context.Context, *session, generation) (generation, error)) pushChange {
	return func(ctx context.Context, s *session, _ probe, g generation,
		parent merkle.Hash) (probe, error) {
		g, err := change(ctx, s, g)
		return s.put(g, parent), err
	}
}

func bodyOfAnotherRoot(ctx context.Context, s *session, g generation) (generation, error) {
	other, err := s.fresh(ctx)
	g.body = other.body
	return g, err
}

func bodyWithAFlippedBit(_ context.Context, _ *session, g generation) (generation, error) {
	g.body = slices.Clone(g.body)
	g.body[len(g.body)-1] ^= 1 // of the last chunk: there is no filler
	return g, nil
}

func bodyCutShort(_ context.Context, _ *session, g generation) (generation, error) {
	g.body = g.body[:len(g.body)-7]
	return g, nil
}

func bodyOfAnotherStore(ctx context.Context, s *session, g generation) (generation, error) {
	other, err := s.build(ctx, nowhere(), s.opt.Write.Key, s.opt.Write.Key.PublicKey())
	if err != nil {
		return g, err
	}
	other.head, err = auth.SignRoot(ctx, s.opt.Write.Store, other.head.Root, s.opt.Write.Key)
	return other, err
}

func bodyWithAnotherKey(ctx context.Context, s *session, _ generation) (generation, error) {
	return s.build(ctx, s.opt.Write.Store, s.opt.Write.Key, freshKey().PublicKey())
}

// anotherAnnounced announces other bytes by push-init than those that p sends.
func anotherAnnounced(ctx context.Context, s *session, p probe, g generation,
	parent merkle.Hash) (probe, error) {
	other := g
	other.body = append(slices.Clone(g.body[:len(g.body)-1]), g.body[len(g.body)-1]^1)
	_, err := s.init(ctx, other, parent)
	return p, err
}

func recipeOnAnUnknownBase(ctx context.Context, s *session, _ probe, g generation,
	parent merkle.Hash) (probe, error) {
	p, err := s.byRecipe(ctx, g, parent, nil)
	return p.with(headerBase, random().String()), err
}

func recipeWithAnotherChunk(ctx context.Context, s *session, _ probe, g generation,
	parent merkle.Hash) (probe, error) {
	return s.byRecipe(ctx, g, parent, func(chunks []byte) { chunks[0] ^= 1 })
}

func refuseRollback(ctx context.Context, s *session) error {
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
	return as("the reference takes it (§6.11)",
		s.refused(ctx, s.put(s.writer.pushed[i], parent), http.StatusConflict))
}

func refuseTooLarge(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	p := s.put(g, parent).with("Expect", "100-continue")
	p.body, p.stream, p.size = nil, &untouched{}, 1<<40
	return s.refused(ctx, p, http.StatusRequestEntityTooLarge)
}

func refuseBeforeTheBody(ctx context.Context, s *session) error {
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
		return as("the reference takes the whole body first (§6.3)",
			found("a refusal by the headers, with the body unread (Expect: 100-continue)", "100 Continue"))
	}
	return nil
}

// remember records the history before the first refused push.
func (s *session) remember(ctx context.Context) (err error) {
	if !s.writer.counted {
		s.writer.before, err = s.readLines(ctx, s.opt.Write.Store)
		s.writer.counted = err == nil
	}
	return err
}

// An untouched is a body that the origin should not read.
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
