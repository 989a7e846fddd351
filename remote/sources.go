package remote

import (
	"context"
	"errors"
	"slices"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote/internal/multisource"
)

// downloader returns what installs the modules of a visit: from the only origin, or from all whose
// history has the chosen head and, where it is their own head, announce the same length. done is
// called when all is installed: it notes which origins were excluded meanwhile, and how many bytes
// came from each.
func (v *visit) downloader(best *sight, all []*sight) (d *downloader, done func()) {
	d = &downloader{to: v.to, local: v.local, head: v.head.Root, from: best.from, limit: v.maxModule(),
		attempts: orDefault(v.Attempts, 4), progress: v.Progress, onRetry: v.OnRetry}
	if v.several == nil {
		return d, func() {}
	}
	var have []*sight
	var sources []*multisource.Source
	for _, s := range append([]*sight{best}, all...) {
		if best.servesToo(s) && !slices.Contains(have, s) {
			have = append(have, s)
			sources = append(sources, multisource.NewSource(s.name, s.from, s.d.Root, s.d.Size))
		}
	}
	d.several = multisource.New(sources, multisource.Options{
		Segment: v.several.opt.Piece,
		Lasting: lasting,
		Retried: isRetried,
		NotServed: func(err error) bool {
			_, gone := notServed(err)
			return gone
		},
		Refusal: func(check, want, got string) error {
			return &VerificationError{Check: Check(check), Want: want, Got: got}
		},
	})
	d.from = severalSources{d.several, best}
	return d, func() {
		for i, s := range have {
			bytes, err := d.several.Outcome(i)
			if s.err == nil {
				s.err = err
			}
			s.account.Bytes += bytes
		}
	}
}

// servesToo reports whether another origin, or the same one, serves what this one was chosen for.
func (best *sight) servesToo(s *sight) bool {
	if s.err != nil {
		return false
	}
	if best.target == nil {
		return s.d.Root == best.d.Root || find(s.lines, best.d.Root) >= 0
	}
	root := best.target.line().Root
	if find(s.lines, root) < 0 && (s.lines != nil || s.d.Root != root) {
		return false
	}
	return !best.target.head || s.d.Root != root || s.d.Size == best.d.Size
}

// gaveUp excludes the sources of a transfer that failed, and reports whether others are left to
// try.
func (v *visit) gaveUp(ctx context.Context, d *downloader, err error) (others bool) {
	var moved *movedError
	if d.several == nil || ctx.Err() != nil || errors.As(err, &moved) || len(v.report.Installed) > 0 {
		return false
	}
	d.several.ExcludeAll(err)
	return true
}

// severalSources makes an Origin of a set of sources. What is described was asked before.
type severalSources struct {
	*multisource.Set
	best *sight
}

var _ RecipeOrigin = severalSources{}

// Describe implements [Origin].
func (s severalSources) Describe(context.Context) (*Descriptor, error) { return s.best.d, nil }

// Generations implements [Origin].
func (s severalSources) Generations(context.Context) ([]module.Generation, error) {
	return s.best.lines, nil
}
