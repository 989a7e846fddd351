package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Preview says what a clone or pull would bring, as far as its origins tell before a module is
// fetched.
type Preview struct {
	Store      auth.StoreID        `json:"store_id"`
	From       merkle.Hash         `json:"from"`       // the local head; zero: there is none
	Root       merkle.Hash         `json:"root"`       // what would be the local head
	Generation uint64              `json:"generation"` // its number
	UpToDate   bool                `json:"up_to_date"` // Root is the local head already
	Lines      int                 `json:"lines"`      // that the history would grow by
	ToFetch    []PreviewGeneration `json:"coming"`     // the generations that would be fetched, in this order
	Publisher  auth.PublicKey      `json:"publisher"`  // as the origin tells; zero where nothing signed says
	Basis      Basis               `json:"basis,omitempty"`
	Unanchored bool                `json:"unanchored"` // see Report
	Unsigned   bool                `json:"unsigned"`   // see Report
	Checks     []PassedCheck       `json:"checks"`     // that passed; those of the module itself are still to come
	Origins    []OriginReport      `json:"origins"`
}

// A PreviewGeneration is a generation that would be fetched.
type PreviewGeneration struct {
	Generation uint64      `json:"generation"`
	Root       merkle.Hash `json:"root"`
	Size       int64       `json:"size"`     // of the module, in bytes, as the origin says; -1: it does not
	Transfer   int64       `json:"transfer"` // bytes that would travel for it; -1: not known
	Recipe     bool        `json:"recipe"`   // by its recipe and the chunks that are not held
}

// Preview makes the checks of [Sync.Pull] up to where it would fetch a module, and says what it
// would fetch. It asks for the recipe of what is new where both sides know recipes, and changes
// nothing: neither pins nor tombstones nor evidence are kept. An error is what Pull would fail
// with.
func (s *Sync) Preview(ctx context.Context, to Local, from Origin) (*Preview, error) {
	v, err := s.newRun(ctx, to)
	if err != nil {
		return nil, err
	}
	v.to = readOnlyLocal{to}
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	snapshots, err := v.readOrigins(ctx, from)
	if err != nil {
		return nil, err
	}
	best, err := v.selectOrigin(ctx, snapshots)
	if err != nil {
		return nil, err
	}
	v.reportOrigins(snapshots)
	p := &Preview{Store: v.store, From: v.head.Root, Root: v.head.Root, UpToDate: best.target == nil,
		Publisher:  v.pins.Publisher,
		Unanchored: v.required.IsZero(), Checks: best.checks, Origins: v.report.Origins,
		ToFetch: []PreviewGeneration{}}
	d, _ := v.downloader(best, snapshots)
	var lines []module.Generation
	if s.AllGenerations {
		if lines, err = v.local.lines(ctx); err != nil {
			return nil, err
		}
	}
	if t := best.target; t != nil {
		p.Root, p.Generation, p.Lines = t.line().Root, t.line().Number, len(t.lines)
		p.Publisher, p.Basis, p.Unsigned = t.key, t.basis, t.unsigned()
		if err := p.add(ctx, d, to, t.line(), t.size); err != nil {
			return nil, err
		}
		lines = append(lines[:len(lines):len(lines)], t.lines[:len(t.lines)-1]...)
	} else if g, ok, err := v.local.line(ctx, v.head.Root); err != nil {
		return nil, err
	} else if ok {
		p.Generation = g.Number
	}
	if !s.AllGenerations {
		return p, nil
	}
	seen := map[merkle.Hash]bool{p.Root: true}
	for _, g := range lines {
		if seen[g.Root] {
			continue
		}
		seen[g.Root] = true
		if err := p.add(ctx, d, to, g, 0); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readOnlyLocal is a Local of which only what reads is left: what is optional, and writes, is not
// seen.
type readOnlyLocal struct{ Local }

// add notes a generation, unless it is held.
func (p *Preview) add(ctx context.Context, d *downloader, to Local, g module.Generation,
	size int64) error {
	held, err := has(ctx, to, g.Root)
	if held || err != nil {
		return err
	}
	c := PreviewGeneration{Generation: g.Number, Root: g.Root, Size: -1, Transfer: -1}
	if size > 0 {
		c.Size = size
	} else if m, ok := d.from.(RangeOrigin); ok {
		switch c.Size, err = m.Stat(ctx, g.Root); {
		case errors.Is(err, errors.ErrUnsupported):
			c.Size = -1
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrVerification):
			return nil // this origin does not have it
		case err != nil:
			return fmt.Errorf("remote: ask for the size of %s: %w", g.Root, err)
		}
	}
	if c.Transfer, c.Recipe, err = d.transferCost(ctx, to, g, c.Size); err != nil {
		return err
	}
	p.ToFetch = append(p.ToFetch, c)
	return nil
}

// transferCost is what fetching a generation would cost: its recipe and what of it is not held
// where that is less than the module, else the rest of the module.
func (d *downloader) transferCost(ctx context.Context, to Local, g module.Generation,
	size int64) (bytes int64, recipe bool, err error) {
	bytes = size
	if kept, ok := to.(Resumer); ok && size > 0 {
		held, err := kept.Held(ctx, g.Root)
		if err != nil {
			return 0, false, fmt.Errorf("remote: look for a part of %s: %w", g.Root, err)
		}
		bytes = max(0, size-held)
	}
	assembler, ok1 := to.(Assembler)
	from, ok2 := d.from.(RecipeOrigin)
	if !ok1 || !ok2 {
		return bytes, false, nil
	}
	bases, err := d.bases(ctx, assembler, g)
	if err != nil || len(bases) == 0 {
		return bytes, false, err
	}
	answer, err := from.OpenRecipe(ctx, g.Root, bases)
	switch {
	case errors.Is(err, ErrTooLarge):
		return bytes, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("remote: fetch recipe of %s: %w", g.Root, err)
	case answer.Recipe == nil:
		return bytes, false, answer.Module.Close()
	}
	a := &assembly{from: from, recipe: answer.Recipe,
		offsets: answer.Recipe.Offsets(), done: answer.Size}
	if err := a.find(ctx, assembler); err != nil {
		return 0, false, err
	}
	if by := answer.Size + a.cost(); bytes < 0 || by < bytes {
		return by, true, nil
	}
	return bytes, false, nil
}
