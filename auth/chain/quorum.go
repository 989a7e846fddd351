package chain

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/merkle"
)

// QuorumOptions say how a [Quorum] counts. The zero value is good.
type QuorumOptions struct {
	// Agree is how many sources have to say the same. Default: more than half.
	Agree int
	// Lag is how many blocks a source may be behind the best one to be heard. Default 3.
	Lag uint32
	// Margin is how many blocks below the lowest peak that is heard the sources are compared. Default 2.
	Margin uint32
	// Hold is for how long one height of comparison serves. Default 15 s.
	Hold time.Duration
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// A Quorum is a [Source] made of several, which believes what enough of them say. Sources are never at quite the same
// block, so it shows the chain as of a height that all have reached: what is newer does not exist for it yet, save as
// the Pending of a record. Where too few agree it is [ErrSourcesDisagree], with who said what; where too few can be
// asked, [ErrUnavailable]. See auth/chain/LINEAGE.md 10.2.
type Quorum struct {
	sources []Source
	opt     QuorumOptions

	turn  chan struct{} // holds one token: who has it may begin a round
	until time.Time
	round quorumRound
}

// quorumRound is one height of comparison, and who has reached it.
type quorumRound struct {
	height  uint32
	present []Source
}

var (
	_ Source        = (*Quorum)(nil)
	_ ChildSource   = (*Quorum)(nil)
	_ HintSource    = (*Quorum)(nil)
	_ PuzzleSource  = (*Quorum)(nil)
	_ NetworkSource = (*Quorum)(nil)
	_ TrustSource   = (*Quorum)(nil)
)

// NewQuorum returns a source made of these. Agree has to be more than half of them, and not more than there are: an
// error else.
func NewQuorum(sources []Source, o *QuorumOptions) (*Quorum, error) {
	q := &Quorum{sources: slices.Clone(sources), turn: make(chan struct{}, 1)}
	q.turn <- struct{}{}
	if o != nil {
		q.opt = *o
	}
	n := len(sources)
	q.opt.Agree = cmp.Or(q.opt.Agree, n/2+1)
	q.opt.Lag = cmp.Or(q.opt.Lag, 3)
	q.opt.Margin = cmp.Or(q.opt.Margin, 2)
	q.opt.Hold = cmp.Or(q.opt.Hold, 15*time.Second)
	if q.opt.Now == nil {
		q.opt.Now = time.Now
	}
	if q.opt.Agree > n || q.opt.Agree <= n/2 {
		return nil, fmt.Errorf("chain quorum: %d of %d sources; wanted more than half, and no more than there are", q.opt.Agree, n)
	}
	return q, nil
}

// String names all sources.
func (q *Quorum) String() string {
	names := make([]string, len(q.sources))
	for i, s := range q.sources {
		names[i] = nameOf(s)
	}
	return fmt.Sprintf("%d of {%s}", q.opt.Agree, strings.Join(names, ", "))
}

// Trust is [TrustQuorum].
func (q *Quorum) Trust() Trust { return TrustQuorum }

// begin returns the current round, and begins one where there is none or the last is over.
func (q *Quorum) begin(ctx context.Context) (quorumRound, error) {
	select {
	case <-q.turn:
		defer func() { q.turn <- struct{}{} }()
	case <-ctx.Done():
		return quorumRound{}, fmt.Errorf("wait for the newest block of %s: %w", q, context.Cause(ctx))
	}
	if q.opt.Now().Before(q.until) {
		return q.round, nil
	}
	votes := asks(ctx, q.sources, len(q.sources)+1, func(ctx context.Context, s Source) (*Block, string, error) {
		b, err := s.Peak(ctx)
		if err == nil && b == nil {
			err = fmt.Errorf("%w: it has no block", ErrUnavailable)
		}
		return b, "", err
	})
	var best uint32
	var errs []error
	for _, v := range votes {
		if v.err != nil {
			errs = append(errs, v.err)
			continue
		}
		best = max(best, v.what.Height)
	}
	low := best
	var present []Source
	for _, v := range votes {
		if v.err == nil && best-v.what.Height <= q.opt.Lag {
			low = min(low, v.what.Height)
			present = append(present, v.who)
		}
	}
	if len(present) < q.opt.Agree {
		return quorumRound{}, &SourceError{Source: q.String(), Asked: "the newest block", Err: because(fmt.Errorf("%w: %d of %d sources are there and within %d blocks of the best, and %d have to be",
			ErrUnavailable, len(present), len(q.sources), q.opt.Lag, q.opt.Agree), errs)}
	}
	if low <= q.opt.Margin {
		return quorumRound{}, &SourceError{Source: q.String(), Asked: "the newest block", Err: fmt.Errorf("%w: a peak of %d leaves nothing to compare", ErrUnavailable, low)}
	}
	q.round = quorumRound{height: low - q.opt.Margin, present: present}
	q.until = q.opt.Now().Add(q.opt.Hold)
	return q.round, nil
}

// Peak returns the block at the height of comparison.
func (q *Quorum) Peak(ctx context.Context) (*Block, error) {
	round, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	return q.BlockAt(ctx, round.height)
}

// BlockAt implements [Source].
func (q *Quorum) BlockAt(ctx context.Context, height uint32) (*Block, error) {
	round, err := q.begin(ctx)
	if err != nil || height > round.height {
		return nil, err
	}
	return agreed(q, fmt.Sprintf("block %d", height), asks(ctx, round.present, q.opt.Agree, func(ctx context.Context, s Source) (*Block, string, error) {
		b, err := blockAt(ctx, s, height)
		if b == nil {
			return nil, "none", err
		}
		return b, fmt.Sprintf("%v of time %d", b.Hash, b.Time), err
	}))
}

// CoinRecord implements [Source].
func (q *Quorum) CoinRecord(ctx context.Context, id merkle.Hash) (*CoinRecord, error) {
	round, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	votes := asks(ctx, round.present, q.opt.Agree, func(ctx context.Context, s Source) (*CoinRecord, string, error) {
		rec, err := s.CoinRecord(ctx, id)
		if err != nil || rec == nil {
			return nil, "no such coin", err
		}
		clipped, there := round.clip(*rec)
		if !there {
			return nil, "no such coin", nil
		}
		return &clipped, recordKey(clipped), nil
	})
	rec, err := agreed(q, fmt.Sprintf("coin %v", id), votes)
	if rec != nil {
		for _, v := range votes {
			if v.err == nil && v.what != nil {
				rec.Pending = max(rec.Pending, v.what.Pending)
			}
		}
	}
	return rec, err
}

// clip shows a record as of the height of comparison.
func (round quorumRound) clip(rec CoinRecord) (CoinRecord, bool) {
	if rec.Confirmed > round.height {
		return rec, false
	}
	if rec.Spent > round.height {
		rec.Spent, rec.Pending = 0, rec.Spent
	}
	return rec, true
}

func recordKey(rec CoinRecord) string {
	spent := "unspent"
	if rec.Spent != 0 {
		spent = fmt.Sprintf("spent in block %d", rec.Spent)
	}
	return fmt.Sprintf("coin %v of block %d, %s", rec.Coin.ID(), rec.Confirmed, spent)
}

// CoinSpend implements [Source].
func (q *Quorum) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*CoinSpend, error) {
	round, err := q.begin(ctx)
	if err != nil || height > round.height {
		return nil, err
	}
	return agreed(q, fmt.Sprintf("the spend of coin %v", id), asks(ctx, round.present, q.opt.Agree, func(ctx context.Context, s Source) (*CoinSpend, string, error) {
		sp, err := s.CoinSpend(ctx, id, height)
		if err != nil || sp == nil {
			return nil, "no such spend", err
		}
		h := sha256.New()
		fmt.Fprintf(h, "%d %d ", len(sp.Puzzle), len(sp.Solution))
		h.Write(sp.Puzzle)
		h.Write(sp.Solution)
		return sp, fmt.Sprintf("spend %x of coin %v", h.Sum(nil), sp.Coin.ID()), nil
	}))
}

// Network implements [NetworkSource].
func (q *Quorum) Network(ctx context.Context) (string, error) {
	return agreed(q, "the network", asks(ctx, q.sources, q.opt.Agree, func(ctx context.Context, s Source) (string, string, error) {
		n, ok := s.(NetworkSource)
		if !ok {
			return "", "", errors.ErrUnsupported
		}
		name, err := n.Network(ctx)
		return name, quote(name), err
	}))
}

// Children implements [ChildSource].
func (q *Quorum) Children(ctx context.Context, parents []merkle.Hash) ([]CoinRecord, error) {
	return q.list(ctx, "coins by parent", true, true, func(ctx context.Context, s Source) ([]CoinRecord, error) {
		if c, ok := s.(ChildSource); ok {
			return c.Children(ctx, parents)
		}
		return nil, errors.ErrUnsupported
	})
}

// ByHint implements [HintSource]. Coins that too few sources know are left out: hints decide nothing.
func (q *Quorum) ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord, error) {
	return q.list(ctx, fmt.Sprintf("coins of hint %v", hint), includeSpent, false, func(ctx context.Context, s Source) ([]CoinRecord, error) {
		if c, ok := s.(HintSource); ok {
			return c.ByHint(ctx, hint, true)
		}
		return nil, errors.ErrUnsupported
	})
}

// ByPuzzleHash implements [PuzzleSource]. Coins that too few sources know are a disagreement.
func (q *Quorum) ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash, includeSpent bool) ([]CoinRecord, error) {
	return q.list(ctx, fmt.Sprintf("coins at %v", puzzleHash), includeSpent, true, func(ctx context.Context, s Source) ([]CoinRecord, error) {
		if c, ok := s.(PuzzleSource); ok {
			return c.ByPuzzleHash(ctx, puzzleHash, true)
		}
		return nil, errors.ErrUnsupported
	})
}

// list asks everybody for a list with spent coins, and returns the records that enough lists have. With strict set, a
// record that fewer have is a disagreement.
func (q *Quorum) list(ctx context.Context, asked string, includeSpent, strict bool, question func(context.Context, Source) ([]CoinRecord, error)) ([]CoinRecord, error) {
	round, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	votes := asks(ctx, round.present, len(q.sources)+1, func(ctx context.Context, s Source) ([]CoinRecord, string, error) {
		list, err := question(ctx, s)
		return list, "", err
	})
	count := make(map[string]int)
	records := make(map[string]CoinRecord)
	var order []string
	var errs []error
	answered := 0
	for _, v := range votes {
		if v.err != nil {
			errs = append(errs, v.err)
			continue
		}
		answered++
		once := make(map[string]bool)
		for _, rec := range v.what {
			clipped, there := round.clip(rec)
			key := recordKey(clipped)
			if !there || once[key] {
				continue
			}
			once[key] = true
			if count[key]++; count[key] == 1 {
				order = append(order, key)
			}
			records[key] = clipped
		}
	}
	if answered < q.opt.Agree {
		for _, err := range errs {
			if errors.Is(err, errors.ErrUnsupported) {
				return nil, fmt.Errorf("%s: %s: %w", q, asked, errors.ErrUnsupported)
			}
		}
		return nil, &SourceError{Source: q.String(), Asked: asked, Err: because(fmt.Errorf("%w: %d answered, and %d have to", ErrUnavailable, answered, q.opt.Agree), errs)}
	}
	var out []CoinRecord
	for _, key := range order {
		switch {
		case count[key] >= q.opt.Agree:
			if rec := records[key]; includeSpent || rec.Spent == 0 {
				out = append(out, rec)
			}
		case strict:
			return nil, &SourceError{Source: q.String(), Asked: asked, Err: fmt.Errorf("%w: %d of %d know %s", ErrSourcesDisagree, count[key], answered, key)}
		}
	}
	return out, nil
}
