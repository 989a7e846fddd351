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
	walkAhead     = 4  // spends that are asked for ahead of the one that is read
	lookupsToHint = 8  // single lookups before all records are asked for at once
	maxCandidates = 32 // coins of a hint that are looked at
)

// resolve returns the lineage of the store: from what is known, by the newest coin alone, or from the launcher on.
// What is known is not changed.
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
	return line, q.guard(known, line)
}

// guard refuses a lineage without the newest generation that was settled before, and takes the guard over.
func (q *questions) guard(known, line *lineage) error {
	if known == nil || known.settled == 0 {
		return nil
	}
	e := known.entries[known.settled-1]
	if !line.has(e) {
		return q.rollback(e)
	}
	line.settled = max(line.settled, 1+slices.IndexFunc(line.entries, func(o Entry) bool { return o.CoinID == e.CoinID }))
	return nil
}

func (q *questions) rollback(e Entry) error {
	return &SourceError{Source: q.name, Asked: "the history of the store", Err: fmt.Errorf(
		"%w: coin %v with root %v, which was settled in block %d, is not in it; the source lies, is behind, or is on another network: name another source",
		ErrRollback, e.CoinID, e.Root, e.Height)}
}

// resume goes on from what is known. Generations that the chain has given up are dropped, as far as they were not
// settled. It returns nil when it finds nothing to go on from and the whole history has to be read.
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

// newest finds the newest coin by its hint, and makes sure of it by the spend that made it: two questions for a store
// of any age. It returns nil when that does not lead anywhere. See auth/chain/LINEAGE.md 7.2.
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
	list = slices.DeleteFunc(list, func(rec CoinRecord) bool { return rec.Coin.Amount%2 == 0 || rec.Spent != 0 })
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

// launch reads the launcher and returns a lineage of the store's first coin, and that coin's record.
func (q *questions) launch(ctx context.Context) (*lineage, *CoinRecord, error) {
	rec, err := q.record(ctx, merkle.Hash(q.store))
	if err != nil {
		return nil, nil, err
	}
	asked := "the store's launcher"
	switch {
	case rec == nil:
		return nil, nil, &SourceError{Source: q.name, Asked: asked, Err: fmt.Errorf("%w; is the id right, and the network?", ErrStoreNotFound)}
	case rec.Spent == 0:
		return nil, nil, &SourceError{Source: q.name, Asked: asked, Err: fmt.Errorf("%w: its launcher coin waits to be spent", ErrNotMinted)}
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

// confirm adds a state that a spend in the block of that height made, if the chain has the coin.
func (q *questions) confirm(ctx context.Context, line *lineage, s *State, height uint32) (*CoinRecord, error) {
	id := s.CoinID()
	rec, err := q.record(ctx, id)
	if err != nil {
		return nil, err
	}
	asked := fmt.Sprintf("coin %v", id)
	switch {
	case rec == nil:
		return nil, q.moved(asked, "the spend in block %d makes it, and it is not there", height)
	case rec.Confirmed != height:
		return nil, q.moved(asked, "the spend in block %d makes it, and it was made in block %d", height, rec.Confirmed)
	case len(line.entries) >= q.hops:
		return nil, &SourceError{Source: q.name, Asked: "the history of the store", Err: fmt.Errorf("%w: more than %d coins", ErrTooLarge, q.hops)}
	}
	line.add(s, rec)
	if depth(q.top, rec.Confirmed) >= q.settled {
		line.states = []*State{s} // nothing goes back before it
	}
	return rec, nil
}

// walkFrom goes on from the last coin of the lineage, whose record is rec. See auth/chain/LINEAGE.md 7.1.
func (q *questions) walkFrom(ctx context.Context, line *lineage, rec *CoinRecord) error {
	if rec.Spent != 0 && line.whole && len(line.entries) == 1 { // the first coin has no hint, and there are more
		if err := q.prefetch(ctx); err != nil {
			return err
		}
	}
	ahead := newAhead(ctx, q.Source)
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

// search reads a spend whose puzzle cannot be run, with the help of the coins that it made.
func (q *questions) search(ctx context.Context, s *State, sp *CoinSpend, why error) (*State, error) {
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
