package remote

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/multisource"
)

// downloader returns the downloader of a sync. It reads from the only origin, or from all origins
// that serve the target of best; see servesToo. The caller calls done at the end, which adds to the
// reports which origins were excluded meanwhile and how many bytes came from each.
func (v *syncRun) downloader(best *snapshot, all []*snapshot) (d *downloader, done func()) {
	d = &downloader{to: v.to, local: v.local, head: v.head.Root, from: best.from, limit: v.maxModule(),
		attempts: orDefault(v.Attempts, 4), progress: v.Progress, onRetry: v.OnRetry}
	if v.several == nil {
		return d, func() {}
	}
	var have []*snapshot
	for _, s := range append([]*snapshot{best}, all...) {
		if best.servesToo(s) && !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	d.several = v.several.join(best, have, v.several.opt.SegmentSize)
	d.from = d.several
	return d, func() {
		for i, s := range have {
			bytes, err := d.several.Outcome(i)
			if s.err == nil {
				s.err = err
			}
			s.report.Bytes += bytes
		}
	}
}

// A sourceSet is several origins of one store that share the transfer of a module. It is an
// interface, and [NewOrigins] alone refers to joinSources, so that a program that clones from a
// single origin does not link package multisource.
type sourceSet interface {
	RecipeOrigin
	// Outcome returns how many bytes of the i-th origin were used, and why it was excluded, if it
	// was.
	Outcome(i int) (bytes int64, excluded error)
	// ExcludeAll excludes the remaining origins with err.
	ExcludeAll(err error)
	// Retry reports whether to make another attempt after err.
	Retry(ctx context.Context, root merkle.Hash, err error) bool
	// Settle ends the transfer of a generation whose module passed the checks. open opens the module.
	Settle(root merkle.Hash, open func() (io.ReadSeekCloser, error)) error
}

// joinSources returns the sourceSet of the origins in have. segment is the number of bytes per
// request.
func joinSources(best *snapshot, have []*snapshot, segment int64) sourceSet {
	var sources []*multisource.Source
	for _, s := range have {
		sources = append(sources, multisource.NewSource(s.name, s.from, s.descriptor.Root,
			s.descriptor.Size))
	}
	return severalSources{multisource.New(sources, multisource.Options{
		Segment: segment,
		Lasting: lasting,
		Retried: isRetried,
		NotServed: func(err error) bool {
			_, gone := notServed(err)
			return gone
		},
		Refusal: func(check, want, got string) error {
			return &VerificationError{Check: Check(check), Want: want, Got: got}
		},
	}), best}
}

// servesToo reports whether s, which may be best, serves the target of best. Where that is the
// head of both, both must announce the same size.
func (best *snapshot) servesToo(s *snapshot) bool {
	if s.err != nil {
		return false
	}
	if best.target == nil {
		return s.descriptor.Root == best.descriptor.Root || find(s.lines, best.descriptor.Root) >= 0
	}
	root := best.target.line().Root
	if find(s.lines, root) < 0 && (s.lines != nil || s.descriptor.Root != root) {
		return false
	}
	return !best.target.head || s.descriptor.Root != root || s.descriptor.Size == best.descriptor.Size
}

// excludeSources excludes the sources of a failed transfer, and reports whether other origins may
// be tried.
func (v *syncRun) excludeSources(ctx context.Context, d *downloader, err error) (others bool) {
	var moved *movedError
	if d.several == nil || ctx.Err() != nil || errors.As(err, &moved) || len(v.report.Installed) > 0 {
		return false
	}
	d.several.ExcludeAll(err)
	return true
}

// severalSources is an Origin that reads modules from a set of sources. Descriptor and history are
// those of best.
type severalSources struct {
	*multisource.Set
	best *snapshot
}

var _ sourceSet = severalSources{}

// Describe implements [Origin].
func (s severalSources) Describe(context.Context) (*Descriptor, error) {
	return s.best.descriptor,
		nil
}

// Generations implements [Origin].
func (s severalSources) Generations(context.Context) ([]module.Generation, error) {
	return s.best.lines, nil
}
