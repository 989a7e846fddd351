package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// maxTogether is how many generations are fetched at a time.
const maxTogether = 4

// older fetches the generations of the history that are not held, when all are wanted (remote/PROTOCOL.md
// 9.7): several at a time, and each becomes visible after the one before it. They come after the head, which alone
// is signed, so that no unsigned generation is ever the newest.
func (v *visit) older(ctx context.Context) error {
	if !v.AllGenerations {
		return nil
	}
	lines, err := v.local.lines(ctx)
	if err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(maxTogether)
	before := make(chan struct{})
	close(before)
	seen := make(map[merkle.Hash]bool, len(lines))
	for _, g := range lines {
		if gctx.Err() != nil {
			break
		}
		if seen[g.Root] {
			continue
		}
		seen[g.Root] = true
		r, err := v.to.Module(gctx, g.Root)
		if err == nil {
			r.Close()
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			group.Go(func() error { return fmt.Errorf("remote: look for local generation %s: %w", g.Root, err) })
			break
		}
		turn, done := before, make(chan struct{})
		before = done
		v.turns.Store(g.Root, turn)
		group.Go(func() error {
			// After an error nobody's turn comes any more.
			err := v.fetchOlder(gctx, g)
			if err == nil {
				close(done)
			}
			return err
		})
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// turn waits until the generation before that of root is installed, when both are fetched at a time. What is not held
// is best asked for after it: the two have much in common.
func (v *visit) turn(ctx context.Context, root merkle.Hash) error {
	before, ok := v.turns.Load(root)
	if !ok {
		return nil
	}
	select {
	case <-before.(chan struct{}):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetchOlder installs one older generation, when its turn has come. That the origin does not have it, or nobody vouches
// for it, is noted in the report; that it is not what it claims to be is an error.
func (v *visit) fetchOlder(ctx context.Context, g module.Generation) error {
	wait := func() error { return v.turn(ctx, g.Root) }
	missing := func(why error) error {
		if err := wait(); err != nil {
			return err
		}
		v.report.Missing = append(v.report.Missing, Missing{g, why})
		return nil
	}
	_, confirmed := v.lineage[g.Root]
	if !confirmed && !v.Trust.AllowUnsignedHistory {
		return missing(&VerificationError{Check: CheckLineage, Want: g.Root.String() + " in the lineage", Got: "it is not"})
	}
	if err := v.revoked(g.Root); err != nil {
		return missing(err)
	}
	signed := auth.SignedRoot{Store: v.store, Root: g.Root}
	err := v.transfer(ctx, []module.Generation{g}, signed, 0, func(m *module.Module) error {
		if err := v.checkModule(ctx, m, g.Root, 0); err != nil {
			return err
		}
		want := v.pins.Publisher
		if want.IsZero() { // the head was not signed
			want = v.report.Publisher
		}
		if key := m.PublicKey(); !confirmed && key != want {
			return &VerificationError{Check: CheckPublisher, Want: want.String(), Got: key.String(), Err: ErrKeyChanged}
		}
		return wait()
	})
	if open, gone := notServed(err); gone {
		return missing(open)
	}
	return err
}

// notServed reports whether err is an origin that does not have the generation that was asked for.
func notServed(err error) (open error, gone bool) {
	var (
		failed *openError
		tag    *VerificationError
	)
	if !errors.As(err, &failed) {
		return nil, false
	}
	return failed.err, errors.Is(err, fs.ErrNotExist) || errors.As(err, &tag) && tag.Check == CheckETag
}

// transfer is install, from one origin after another where there are several and what they send is refused.
func (v *visit) transfer(ctx context.Context, lines []module.Generation, head auth.SignedRoot, size int64, check func(*module.Module) error) error {
	c, several := v.from.(*crowd)
	if !several {
		return v.install(ctx, lines, head, size, check)
	}
	root := lines[len(lines)-1].Root
	for {
		err := v.install(ctx, lines, head, size, check)
		if err == nil {
			return c.settle(ctx, root, v.to)
		}
		if !c.again(ctx, root, err) {
			return err
		}
		if r, ok := v.to.(Resumer); ok {
			if err := r.Discard(ctx, root); err != nil {
				return fmt.Errorf("remote: discard the part of %s: %w", root, err)
			}
		}
	}
}
