package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// questions makes the requests for one read of a store, and keeps the records that they return.
type questions struct {
	Source
	name    string
	store   auth.StoreID
	settled uint32
	hops    int

	top     Block                       // the newest block
	highest uint32                      // the greatest height in an answer
	records map[merkle.Hash]CoinRecord  // of the coins with the store's hint, by id
	odd     map[merkle.Hash]merkle.Hash // the coin with an odd amount, by parent
	hinted  bool                        // records were requested
	lookups int
}

// invalid returns the error for an answer that contradicts a hash or another answer.
func (q *questions) invalid(asked, format string, args ...any) error {
	err := fmt.Errorf("%w: %s", ErrSourceInvalid, fmt.Sprintf(format, args...))
	return &SourceError{Source: q.name, Asked: asked, Err: err}
}

// moved is like invalid, for a contradiction that a reorganization can cause.
func (q *questions) moved(asked, format string, args ...any) error {
	return fmt.Errorf("%w%w", q.invalid(asked, format, args...), hidden{errMoved})
}

// hidden wraps an error for errors.Is and has no text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

func (q *questions) peak(ctx context.Context) (*Block, error) {
	b, err := q.Peak(ctx)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, &SourceError{Source: q.name, Asked: "its newest block",
			Err: fmt.Errorf("%w: it has none", ErrUnavailable)}
	}
	q.top = *b
	return b, nil
}

// check checks the id and the heights of a record.
func (q *questions) check(id merkle.Hash, rec *CoinRecord) error {
	asked := fmt.Sprintf("coin %v", id)
	switch found := rec.Coin.ID(); {
	case found != id:
		return q.invalid(asked, "it answered with coin %v", found)
	case rec.Spent != 0 && rec.Spent < rec.Confirmed:
		return q.invalid(asked, "it was made in block %d and spent in block %d", rec.Confirmed, rec.Spent)
	}
	q.highest = max(q.highest, rec.Confirmed, rec.Spent)
	return nil
}

// record returns the record of a coin, or nil if there is none.
func (q *questions) record(ctx context.Context, id merkle.Hash) (*CoinRecord, error) {
	if rec, ok := q.records[id]; ok {
		q.highest = max(q.highest, rec.Confirmed, rec.Spent)
		return &rec, nil
	}
	if q.lookups++; q.lookups > lookupsToHint {
		if err := q.prefetch(ctx); err != nil {
			return nil, err
		}
		if rec, ok := q.records[id]; ok {
			q.highest = max(q.highest, rec.Confirmed, rec.Spent)
			return &rec, nil
		}
	}
	rec, err := q.CoinRecord(ctx, id)
	if err != nil || rec == nil {
		return nil, err
	}
	return rec, q.check(id, rec)
}

// prefetch requests the records of all coins with the store's hint, once. They only save
// lookups. A list that is too long is ignored.
func (q *questions) prefetch(ctx context.Context) error {
	src, ok := q.Source.(HintSource)
	if !ok || q.hinted {
		return nil
	}
	q.hinted = true
	list, err := src.ByHint(ctx, merkle.Hash(q.store), true)
	if err != nil {
		if errors.Is(err, ErrTooLarge) || errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	}
	q.records = make(map[merkle.Hash]CoinRecord, len(list))
	q.odd = make(map[merkle.Hash]merkle.Hash, len(list))
	for _, rec := range list {
		if rec.Spent != 0 && rec.Spent < rec.Confirmed {
			continue
		}
		id := rec.Coin.ID()
		q.records[id] = rec
		if rec.Coin.Amount%2 == 1 {
			q.odd[rec.Coin.Parent] = id
		}
	}
	return nil
}

// checkSpend checks that a spend is that of the requested coin.
func (q *questions) checkSpend(coin Coin, height uint32, sp *CoinSpend) error {
	asked := fmt.Sprintf("the spend of coin %v", coin.ID())
	switch {
	case sp == nil:
		return q.moved(asked, "it was spent in block %d, and there is no spend of it", height)
	case sp.Coin != coin:
		return q.invalid(asked, "it answered with the spend of coin %v", sp.Coin.ID())
	}
	return nil
}
