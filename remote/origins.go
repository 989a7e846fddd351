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
	// Name is the name in errors and reports. Default: the String method of Origin, which for a
	// [Client] returns scheme and host.
	Name   string
	Origin Origin
}

// OriginsOptions configure how [Origins] share a transfer.
type OriginsOptions struct {
	// SegmentSize is the number of bytes of a module per request. Default 1 MiB. With n origins at
	// most 2 + 2n segments are in memory, and never more than 16.
	SegmentSize int64
	// SlowAfter is how long after the first answer of another origin an origin is excluded. Default
	// 10 s.
	SlowAfter time.Duration
}

// Origins are several origins of one store, for [Clone] and [Pull]. Each is checked like a single
// one: an origin whose descriptor or history fails a check of [Sync.Clone] is excluded. Of the
// others, the one whose history contains the heads of all is installed. Conflicting heads are
// [ErrForked], and the evidence is kept. A valid tombstone applies whichever origin serves it.
//
// Segments of a module are read from all origins that have it; a slow origin loses its segment to
// another. If the assembled module fails verification, each origin is tried alone until a module
// passes. An origin that sent a segment that differs from that module is named in [Report].Origins
// and excluded from then on. If none passes, nothing is written and the error is a
// [*VerificationError] of [CheckSources] that wraps all the errors.
//
// The methods of [Origin], called directly, try the mirrors in the order given until one succeeds.
// They may be called concurrently.
type Origins struct {
	mirrors []Mirror
	opt     OriginsOptions
	join    func(best *snapshot, have []*snapshot, segment int64) sourceSet // joinSources
}

var _ Origin = (*Origins)(nil)

// errSlow is the error of an origin that is excluded because it is much slower than others.
var errSlow = multisource.ErrSlow

// NewOrigins returns the Origins of one or more mirrors of one store. It sends no request. It
// appends a number to a repeated name.
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

// ModuleFrom is like Module but starts at offset. For a mirror that is no [RangeOrigin], start is
// 0.
func (o *Origins) ModuleFrom(ctx context.Context, root merkle.Hash,
	offset int64) (r io.ReadCloser, start int64, err error) {
	err = o.first(func(from Origin) error {
		r, start, err = multisource.OpenAt(ctx, from, root, offset)
		return err
	})
	return r, start, err
}

// first calls ask with one mirror after another until it returns nil, and joins the errors.
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
