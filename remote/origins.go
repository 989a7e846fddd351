package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/multisource"
)

// A Mirror is one of several origins of a store.
type Mirror struct {
	// Name is how errors and reports call it. "": what the origin says as a [fmt.Stringer]; of a
	// [Client], scheme and host.
	Name   string
	Origin Origin
}

// OriginsOptions say how [Origins] share a transfer.
type OriginsOptions struct {
	// SegmentSize is how many bytes of a module are asked for at once. Default 1 MiB. At most 2 + 2
	// pieces for each origin are held in memory, and never more than 16.
	SegmentSize int64
	// SlowAfter is how long an origin may be slower than another one that has answered before it is
	// left out. Default 10 s.
	SlowAfter time.Duration
}

// Origins are several origins of one store, for [Clone] and [Pull]. None is trusted more than a
// single one would be: each descriptor and each history passes the checks of [Sync.Clone] by
// itself, or its origin is left out. Of those that are left, the one whose history contains the
// heads of the others says what is installed; heads that do not go together are [ErrForked], and
// the evidence is kept. Every valid tombstone counts that any of them shows.
//
// The bytes of a module are taken from all that have it, in pieces; who is slow loses its piece to
// another. When what was put together is refused, each origin is tried by itself until one gives a
// module that passes, and whoever sent a piece that is not of that module is named in
// [Report].Origins and left out from then on. When none passes, nothing is written and the error is
// a [*VerificationError] of [CheckSources] that wraps all the reasons.
//
// Used by themselves, as an [Origin], the methods ask one mirror after another, in the order given,
// until one answers. They may be called concurrently.
type Origins struct {
	mirrors []Mirror
	opt     OriginsOptions
	join    func(best *snapshot, have []*snapshot, segment int64) sourceSet // joinSources
}

var _ Origin = (*Origins)(nil)

// errSlow is why an origin is excluded that answers, but much later than others.
var errSlow = multisource.ErrSlow

// NewOrigins joins mirrors of one store, at least one. It sends no request. A name that comes twice
// gets a number.
func NewOrigins(mirrors []Mirror, o *OriginsOptions) (*Origins, error) {
	if len(mirrors) == 0 {
		return nil, fmt.Errorf("%w: no origin is given", ErrBadURL)
	}
	all := &Origins{join: joinSources}
	if o != nil {
		all.opt = *o
	}
	all.opt.SegmentSize = orDefault(all.opt.SegmentSize, 1<<20)
	all.opt.SlowAfter = orDefault(all.opt.SlowAfter, 10*time.Second)
	names := map[string]int{}
	for _, m := range mirrors {
		if m.Name == "" {
			m.Name = originName(m.Origin)
		}
		if names[m.Name]++; names[m.Name] > 1 {
			m.Name = fmt.Sprintf("%s (%d)", m.Name, names[m.Name])
		}
		all.mirrors = append(all.mirrors, m)
	}
	return all, nil
}

// Describe implements [Origin].
func (o *Origins) Describe(ctx context.Context) (d *Descriptor, err error) {
	err = o.first(func(from Origin) error { d, err = from.Describe(ctx); return err })
	return d, err
}

// Generations implements [Origin].
func (o *Origins) Generations(ctx context.Context) (lines []module.Generation, err error) {
	err = o.first(func(from Origin) error { lines, err = from.Generations(ctx); return err })
	return lines, err
}

// Module implements [Origin].
func (o *Origins) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	r, _, err := o.ModuleFrom(ctx, root, 0)
	return r, err
}

// ModuleFrom is Module from an offset on. A mirror that is no [RangeOrigin] begins at 0.
func (o *Origins) ModuleFrom(ctx context.Context, root merkle.Hash,
	offset int64) (r io.ReadCloser, start int64, err error) {
	err = o.first(func(from Origin) error {
		r, start, err = multisource.OpenAt(ctx, from, root, offset)
		return err
	})
	return r, start, err
}

// first asks one mirror after another until one has no error.
func (o *Origins) first(ask func(Origin) error) error {
	var all []error
	for _, m := range o.mirrors {
		err := ask(m.Origin)
		if err == nil {
			return nil
		}
		all = append(all, fmt.Errorf("%s: %w", m.Name, err))
	}
	return errors.Join(all...)
}
