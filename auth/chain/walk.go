package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/merkle"
)

const (
	walkAhead     = 4  // spends that are requested ahead
	lookupsToHint = 8  // single lookups before all records are requested at once
	maxCandidates = 32 // coins of a hint that are tried
)

// resolve returns the lineage of the store. It continues from known, or reads only the newest
// coin, or reads from the launcher on. It does not change known.
func (q *questions) resolve(ctx context.Context, known *lineage, whole bool) (*lineage, error) {
	if known != nil && (known.whole || !whole) {
		line, err := q.resume(ctx, known)
		if line != nil || err != nil {
			return line, err
		}
	}
	if known == nil && !whole {
		line, err := q.newest(ctx)
		if line != nil || err != nil {
			return line, err
		}
	}
	line, rec, err := q.launch(ctx)
	if err == nil {
		err = q.walkFrom(ctx, line, rec)
	}
	if err != nil {
		return nil, err
	}
	return line, q.checkSettled(known, line)
}

// checkSettled returns an error for a lineage without the newest generation that was settled
// before, and updates line.settled.
func (q *questions) checkSettled(known, line *lineage) error {
	if known == nil || known.settled == 0 {
		return nil
	}
	e := known.entries[known.settled-1]
	if !line.has(e) {
		return q.rollback(e)
	}
	same := func(o Entry) bool { return o.CoinID == e.CoinID }
	line.settled = max(line.settled, 1+slices.IndexFunc(line.entries, same))
	return nil
}

func (q *questions) rollback(e Entry) error {
	err := fmt.Errorf("%w: coin %v with root %v, settled in block %d, is missing; the source is "+
		"wrong, behind, "+
		"or on another network", ErrRollback, e.CoinID, e.Root, e.Height)
	return &SourceError{Source: q.name, Asked: "the history of the store", Err: err}
}

// resume continues from the newest known generation that is still on the chain. It drops later
// generations, unless they were settled. It returns nil if the whole history must be read.
func (q *questions) resume(ctx context.Context, known *lineage) (*lineage, error) {
	line := known.clone()
	line.melted, line.pending = nil, 0
	for i := len(line.entries) - 1; i >= 0 && line.state(i) != nil; i-- {
		e := line.entries[i]
		rec, err := q.record(ctx, e.CoinID)
		if err != nil {
			return nil, err
		}
		if rec != nil && rec.Confirmed == e.Height {
			line.cut(i + 1)
			return line, q.walkFrom(ctx, line, rec)
		}
		if i == line.settled-1 && rec == nil {
			return nil, q.rollback(e)
		}
	}
	return nil, nil
}

// newest finds the newest coin by its hint, and verifies it with the spend that made it. It
// takes two requests for a store of any age. It returns nil if it finds none. See
// auth/chain/LINEAGE.md 7.2.
func (q *questions) newest(ctx context.Context) (*lineage, error) {
	src, ok := q.Source.(HintSource)
	if !ok {
		return nil, nil
	}
	list, err := src.ByHint(ctx, merkle.Hash(q.store), false)
	if errors.Is(err, ErrTooLarge) || errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	other := func(rec CoinRecord) bool { return rec.Coin.Amount%2 == 0 || rec.Spent != 0 }
	list = slices.DeleteFunc(list, other)
	slices.SortFunc(list, func(a, b CoinRecord) int { return cmp.Compare(b.Confirmed, a.Confirmed) })
	for _, rec := range list[:min(len(list), maxCandidates)] {
		sp, err := q.CoinSpend(ctx, rec.Coin.Parent, rec.Confirmed)
		if err != nil {
			return nil, err
		}
		if sp == nil || sp.Coin.ID() != rec.Coin.Parent {
			continue
		}
		s, err := FromSpend(ctx, q.store, sp)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil || s.Coin != rec.Coin {
			continue
		}
		q.highest = max(q.highest, rec.Confirmed)
		line := &lineage{whole: s.Generation == 0, pending: rec.Pending}
		line.add(s, &rec)
		return line, nil
	}
	return nil, nil
}

// launch reads the launcher. It returns a lineage with the store's first coin, and that coin's
// record.
func (q *questions) launch(ctx context.Context) (*lineage, *CoinRecord, error) {
	rec, err := q.record(ctx, merkle.Hash(q.store))
	if err != nil {
		return nil, nil, err
	}
	asked := "the store's launcher"
	switch {
	case rec == nil:
		return nil, nil, &SourceError{Source: q.name, Asked: asked, Err: ErrStoreNotFound}
	case rec.Spent == 0:
		err := fmt.Errorf("%w: its launcher coin is not spent", ErrNotMinted)
		return nil, nil, &SourceError{Source: q.name, Asked: asked, Err: err}
	}
	sp, err := q.CoinSpend(ctx, merkle.Hash(q.store), rec.Spent)
	if err == nil {
		err = q.checkSpend(rec.Coin, rec.Spent, sp)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := Launch(q.store, sp)
	if err != nil {
		return nil, nil, &SourceError{Source: q.name, Asked: asked, Err: err}
	}
	line := &lineage{whole: true}
	rec, err = q.confirm(ctx, line, s, rec.Spent)
	return line, rec, err
}

// confirm adds a state that a spend in the block at height made, if the chain has its coin.
func (q *questions) confirm(ctx context.Context, line *lineage, s *State,
	height uint32) (*CoinRecord, error) {
	id := s.CoinID()
	rec, err := q.record(ctx, id)
	if err != nil {
		return nil, err
	}
	asked := fmt.Sprintf("coin %v", id)
	switch {
	case rec == nil:
		return nil, q.moved(asked, "the spend in block %d makes it, but it does not exist", height)
	case rec.Confirmed != height:
		return nil, q.moved(asked, "the spend in block %d makes it, but it is of block %d", height,
			rec.Confirmed)
	case len(line.entries) >= q.hops:
		err := fmt.Errorf("%w: more than %d coins", ErrTooLarge, q.hops)
		return nil, &SourceError{Source: q.name, Asked: "the history of the store", Err: err}
	}
	line.add(s, rec)
	if depth(q.top, rec.Confirmed) >= q.settled {
		line.states = []*State{s} // earlier states are not needed
	}
	return rec, nil
}

// walkFrom reads the coins after the last coin of the lineage, whose record is rec. See
// auth/chain/LINEAGE.md 7.1.
func (q *questions) walkFrom(ctx context.Context, line *lineage, rec *CoinRecord) error {
	if rec.Spent != 0 && line.whole && len(line.entries) == 1 { // more coins follow the first
		if err := q.prefetch(ctx); err != nil {
			return err
		}
	}
	ahead := newPrefetcher(ctx, q.Source)
	defer ahead.stop()
	for rec.Spent != 0 {
		s := line.tip()
		sp, err := ahead.spend(ctx, q, s.CoinID(), rec.Spent)
		if err == nil {
			err = q.checkSpend(rec.Coin, rec.Spent, sp)
		}
		if err != nil {
			return err
		}
		next, err := s.Next(ctx, sp)
		if errors.Is(err, ErrUnsupportedOp) {
			next, err = q.search(ctx, s, sp, err)
		}
		var melted *MeltedError
		switch {
		case errors.As(err, &melted):
			line.melted = &MeltedError{Last: s, Height: rec.Spent}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("read the history of store %v: %w", q.store, context.Cause(ctx))
		case err != nil:
			return &SourceError{Source: q.name, Asked: "the history of the store", Err: err}
		}
		if rec, err = q.confirm(ctx, line, next, rec.Spent); err != nil {
			return err
		}
	}
	line.pending = rec.Pending
	return nil
}

// search reads a spend with a puzzle that cannot be run, from the coins that it made.
func (q *questions) search(ctx context.Context, s *State, sp *CoinSpend, why error) (*State,
	error) {
	var made []CoinRecord
	if id, ok := q.odd[s.CoinID()]; ok {
		made = append(made, q.records[id])
	}
	if src, ok := q.Source.(ChildSource); ok && len(made) == 0 {
		list, err := src.Children(ctx, []merkle.Hash{s.CoinID()})
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
		made = list
	}
	made = slices.DeleteFunc(made, func(rec CoinRecord) bool { return rec.Coin.Amount%2 == 0 })
	for _, rec := range made[:min(len(made), maxCandidates)] {
		next, err := s.Search(ctx, sp, rec.Coin)
		if err == nil || ctx.Err() != nil {
			return next, err
		}
		why = err
	}
	return nil, why
}
