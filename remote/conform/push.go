package conform

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/dig-network/digstore/merkle"
)

const knownForm = "the reference takes the tagged form only, since its v0.4.0 " +
	"(remote/PROTOCOL.md 6.1)"

// pushChecks are the checks of pushes that the origin must accept.
func pushChecks() []check {
	return []check{
		{"push/first", "§6.9", Must, pushFirst},
		{"push/second", "§6.4", Must, pushSecond},
		{"push/descriptor", "§5.1", Must, pushDescriptor},
		{"push/both-forms-served", "§6.1", Extension, pushBothFormsServed},
		{"push/served", "§5.3", Must, pushServed},
		{"push/older-served", "§5.3", Must, pushOlderServed},
		{"push/history", "§5.2", Must, pushHistory},
		{"push/time", "§5.2", Should, pushTime},
		{"push/init", "§6.5", Should, pushInit},
		{"push/init-of-the-head", "§6.5", Extension, pushInitOfTheHead},
		{"push/again", "§6.12", Should, pushAgain},
		{"push/seed-form", "§6.1", Must, pushSeedForm},
		{"push/tagged-form", "§6.1", Must, pushTaggedForm},
		{"push/parent-from-init", "§6.2", Should, pushParentFromInit},
		{"push/by-recipe", "RECIPES §4", Extension, pushByRecipe},
		{"push/presigned", "§6.6", Must, pushPresigned},
		{"push/race", "§6.3", Must, pushRace},
		{"push/pending", "§6.8", Must, pushPending},
		{"push/promote", "§6.8", Must, pushPromote},
	}
}

func pushFirst(ctx context.Context, s *session) error {
	d, err := s.current(ctx)
	if err != nil {
		return err
	}
	if !d.root.IsZero() {
		return skip("the store has generations already")
	}
	g, err := s.fresh(ctx)
	if err != nil {
		return err
	}
	var none *skipped
	if _, err := s.init(ctx, g, merkle.Hash{}); err != nil && !asError(err, &none) {
		return as(
			"origins choose whose first push they take (§6.9): allow store "+s.opt.Write.Store.String(),
			err,
		)
	}
	_, err = s.push(ctx, s.put(g, merkle.Hash{}), g)
	return err
}

func pushSecond(ctx context.Context, s *session) error { return s.advance(ctx, nil) }

func pushDescriptor(ctx context.Context, s *session) error {
	g, _, err := s.last()
	if err != nil {
		return err
	}
	d, err := s.current(ctx)
	if err != nil {
		return err
	}
	key := s.opt.Write.Key.PublicKey()
	if d.root != g.head.Root || d.size != int64(len(g.body)) || d.key != key {
		return found(fmt.Sprintf("root %s, size %d, key %s", g.head.Root, len(g.body), key), "%s, %d, %s",
			d.root, d.size, d.key)
	}
	if err := d.signed(s.opt.Write.Store, key); err != nil {
		return found("the signature that was pushed", "%v", err)
	}
	return nil
}

func pushBothFormsServed(ctx context.Context, s *session) error {
	g, _, err := s.last()
	if err != nil {
		return err
	}
	d, err := s.current(ctx)
	if err != nil {
		return err
	}
	if d.sigs[0] != g.head.Tagged || d.sigs[1] != g.head.Untagged {
		return as(knownForm,
			found("the tagged form in push_sig, the other in push_sig_untagged", "something else"))
	}
	return nil
}

func pushServed(ctx context.Context, s *session) error {
	g, _, err := s.last()
	if err != nil {
		return err
	}
	return s.serves(ctx, g)
}

func pushOlderServed(ctx context.Context, s *session) error {
	_, g, err := s.last()
	if err != nil {
		return err
	}
	return s.serves(ctx, g)
}

func pushHistory(ctx context.Context, s *session) error {
	newest, before, err := s.last()
	if err != nil {
		return err
	}
	lines, err := s.readLines(ctx, s.opt.Write.Store)
	if err != nil {
		return err
	}
	n := len(lines)
	if n < 2 || lines[n-1].Root != newest.head.Root.String() ||
		lines[n-2].Root != before.head.Root.String() {
		return found("the two pushed roots at the end of the history", "%d lines that end otherwise", n)
	}
	return nil
}

func pushTime(ctx context.Context, s *session) error {
	if _, _, err := s.last(); err != nil {
		return err
	}
	lines, err := s.readLines(ctx, s.opt.Write.Store)
	if err != nil || len(lines) == 0 {
		return err
	}
	at, _ := lines[len(lines)-1].Timestamp.Int64()
	if off := s.opt.Now().Sub(time.Unix(at, 0)).Abs(); off > 10*time.Minute {
		return as(knownTimes, found("the time of the push", "%d", at))
	}
	return nil
}

func pushInit(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	a, err := s.init(ctx, g, parent)
	if err != nil {
		return err
	}
	switch {
	case a.Mode == "inline" && a.Upload != "", a.Mode == "presigned" && a.URL != "":
		return nil
	}
	return found("mode inline with upload_id, or presigned with url", "mode %q, upload_id %q", a.Mode,
		a.Upload)
}

func pushInitOfTheHead(ctx context.Context, s *session) error {
	g, before, err := s.last()
	if err != nil {
		return err
	}
	a, err := s.init(ctx, g, before.head.Root)
	if err == nil && a.Status != "advanced" {
		err = found("status advanced", "%q", a.Status)
	}
	return as("the reference answers 409 (§6.12)", err)
}

func pushAgain(ctx context.Context, s *session) error {
	g, before, err := s.last()
	if err != nil {
		return err
	}
	known := "the reference answers 409, or writes a second line (§6.12)"
	for _, parent := range []merkle.Hash{before.head.Root, g.head.Root} {
		a, err := s.expect(ctx, s.put(g, parent), http.StatusOK)
		if err != nil {
			return as(known, err)
		}
		if a.header.Get("ETag") != tag(g.head.Root) {
			return found("the ETag", "%q", a.header.Get("ETag"))
		}
	}
	lines, err := s.readLines(ctx, s.opt.Write.Store)
	if err != nil {
		return err
	}
	if n := count(lines, g.head.Root); n != 1 {
		return as(known, found("one line of the history", "%d", n))
	}
	return nil
}

func pushSeedForm(ctx context.Context, s *session) error {
	return as(knownForm,
		s.advance(ctx, func(p probe, g generation) probe { return p.without(headerTagged) }))
}

func pushTaggedForm(ctx context.Context, s *session) error {
	return s.advance(ctx, func(p probe, g generation) probe {
		return p.without(headerTagged).with(headerSignature, g.head.Tagged.String())
	})
}

func pushParentFromInit(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	if _, err := s.init(ctx, g, parent); err != nil {
		return err
	}
	_, err = s.push(ctx, s.put(g, parent).without(headerParent), g)
	return err
}

func pushPromote(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	if err := s.park(ctx, g, parent); err != nil {
		return err
	}
	_, err = s.push(ctx, s.put(g, parent), g)
	return err
}

// serves checks that the origin serves the bytes that were pushed.
func (s *session) serves(ctx context.Context, g generation) error {
	p := moduleProbe(g.head.Root)
	p.store, p.peek = s.opt.Write.Store, false
	a, err := s.expect(ctx, p, http.StatusOK)
	if err != nil {
		return err
	}
	if got := a.header.Get("ETag"); got != tag(g.head.Root) {
		return as(knownHeadOnly,
			found("the generation that root= names, ETag "+tag(g.head.Root), "%q", got))
	}
	if !bytes.Equal(a.body, g.body) {
		return found("the pushed bytes, bit for bit", "%d others", len(a.body))
	}
	return nil
}

// pushRace pushes two generations on the same parent at once. One must win.
func pushRace(ctx context.Context, s *session) error {
	first, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	second, err := s.fresh(ctx)
	if err != nil {
		return err
	}
	both := []generation{first, second}
	answers, errs := make([]*answer, 2), make([]error, 2)
	var wg sync.WaitGroup
	for i, g := range both {
		wg.Go(func() { answers[i], errs[i] = s.send(ctx, s.put(g, parent)) })
	}
	wg.Wait()
	winner := -1
	for i, a := range answers {
		switch {
		case errs[i] != nil:
			return errs[i]
		case a.status == http.StatusCreated && winner >= 0:
			return as("the reference checks the parent before it takes the body (§6.3)",
				found("201 once and 409 once", "201 twice"))
		case a.status == http.StatusCreated:
			winner = i
		case a.status != http.StatusConflict:
			return a.is(http.StatusCreated, http.StatusConflict)
		}
	}
	if winner < 0 {
		return found("201 once and 409 once", "409 twice")
	}
	d, err := s.current(ctx)
	if err != nil {
		return err
	}
	if d.root != both[winner].head.Root {
		return found("the one that was answered 201 as the head", "%s", d.root)
	}
	s.writer.pushed = append(s.writer.pushed, both[winner])
	return nil
}

// park pushes g in pending mode.
func (s *session) park(ctx context.Context, g generation, parent merkle.Hash) error {
	a, err := s.send(ctx, s.put(g, parent).with(headerMode, "pending"))
	if err != nil {
		return err
	}
	if a.status == http.StatusUnprocessableEntity && bytes.Contains(a.body, []byte("pending")) {
		return skip("the origin takes no pending pushes")
	}
	if err := a.is(http.StatusAccepted); err != nil {
		return err
	}
	if a.header.Get("ETag") != "" {
		return found("202 without an ETag", "%q", a.header.Get("ETag"))
	}
	return nil
}

// pushPending checks that a pending generation is not visible.
func pushPending(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	if err := s.park(ctx, g, parent); err != nil {
		return err
	}
	d, err := s.current(ctx)
	if err != nil {
		return err
	}
	if d.root != parent {
		return found("the head as it was", "%s", d.root)
	}
	lines, err := s.readLines(ctx, s.opt.Write.Store)
	if err != nil {
		return err
	}
	if count(lines, g.head.Root) > 0 {
		return found("no line for a pending root", "one")
	}
	p := moduleProbe(g.head.Root)
	p.store = s.opt.Write.Store
	a, err := s.send(ctx, p)
	if err != nil {
		return err
	}
	if a.status == http.StatusOK && a.header.Get("ETag") != tag(g.head.Root) {
		return nil // the head; module/unknown-root checks this case
	}
	return a.is(http.StatusNotFound)
}
