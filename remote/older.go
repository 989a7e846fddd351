package remote

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// maxConcurrent is how many generations are fetched concurrently.
const maxConcurrent = 4

// older fetches the generations of the history that are not held, if AllGenerations is set
// (remote/PROTOCOL.md 9.7). It fetches several concurrently; each becomes visible after the one
// before it. It runs after the head is installed, so that an unsigned generation is never the
// newest: only the head is signed.
func (v *syncRun) older(ctx context.Context, d *downloader) error {
	if !v.AllGenerations {
		return nil
	}
	lines, err := v.local.lines(ctx)
	if err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrent)
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
		held, err := has(gctx, v.to, g.Root)
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		if held {
			continue
		}
		turn, done := before, make(chan struct{})
		before = done
		d.turns.Store(g.Root, turn)
		group.Go(func() error {
			// After an error done stays open, so that the generations that wait are not installed.
			err := v.fetchOlder(gctx, d, g)
			if err == nil {
				close(done)
			}
			return err
		})
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// fetchOlder installs one older generation after those before it. A generation that the origin
// lacks, that is unconfirmed or that is revoked is added to Report.Missing. One that fails
// verification is an error.
func (v *syncRun) fetchOlder(ctx context.Context, d *downloader, g module.Generation) error {
	wait := func() error { return d.waitTurn(ctx, g.Root) }
	missing := func(why error) error {
		if err := wait(); err != nil {
			return err
		}
		v.report.Missing = append(v.report.Missing, Missing{g, why})
		return nil
	}
	_, confirmed := v.lineage[g.Root]
	if !confirmed && !v.Trust.AllowUnsignedHistory {
		return missing(&VerificationError{Check: CheckLineage,
			Want: g.Root.String() + " in the lineage", Got: "it is not"})
	}
	if err := v.revoked(g.Root); err != nil {
		return missing(err)
	}
	signed := auth.SignedRoot{Store: v.store, Root: g.Root}
	check := func(m *module.Module) error {
		if err := v.checkModule(ctx, m, g.Root, 0, ignorePassed); err != nil {
			return err
		}
		want := v.pins.Publisher
		if want.IsZero() { // the head was not signed
			want = v.report.Publisher
		}
		if key := m.PublicKey(); !confirmed && key != want {
			return &VerificationError{Check: CheckPublisher, Want: want.String(), Got: key.String(),
				Err: ErrKeyChanged}
		}
		return wait()
	}
	came, err := d.install(ctx, delivery{lines: []module.Generation{g}, head: signed, check: check})
	if err == nil {
		v.installed(g, came)
	}
	if open, gone := notServed(err); gone {
		return missing(open)
	}
	return err
}

// notServed reports whether err means that the origin lacks the generation, and returns that error.
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
