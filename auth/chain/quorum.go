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

// QuorumOptions configure a [Quorum]. The zero value means the defaults.
type QuorumOptions struct {
	// Agree is how many sources must give the same answer. Default: more than half.
	Agree int
	// Lag is how many blocks a source may be behind the highest one to be used. Default 3.
	Lag uint32
	// Margin is how many blocks below the lowest peak of the used sources they are compared.
	// Default 2.
	Margin uint32
	// Hold is how long a height of comparison is used. Default 15 s.
	Hold time.Duration
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// A Quorum is a [Source] that combines several. It returns an answer if enough of them give the
// same. The peaks of sources differ by some blocks, so a Quorum shows the chain at a height
// that all have reached. It hides newer blocks, except in the Pending of a record. If too few
// sources agree, the error is [ErrSourcesDisagree] and has the answers; if too few answer, it
// is [ErrUnavailable]. See auth/chain/LINEAGE.md 10.2.
type Quorum struct {
	sources []Source
	opt     QuorumOptions

	lock  chan struct{} // capacity 1; the goroutine that receives the value may begin a round
	until time.Time
	round quorumRound
}

// quorumRound is a height of comparison, and the sources that have reached it.
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

// NewQuorum returns a Quorum of sources. It is an error if Agree is not more than half of them,
// or more than there are.
func NewQuorum(sources []Source, o *QuorumOptions) (*Quorum, error) {
	q := &Quorum{sources: slices.Clone(sources), lock: make(chan struct{}, 1)}
	q.lock <- struct{}{}
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
		return nil, fmt.Errorf("chain quorum: want from %d to %d of %d sources to agree, found %d",
			n/2+1, n, n, q.opt.Agree)
	}
	return q, nil
}

// String returns the number that must agree and the names of all sources.
func (q *Quorum) String() string {
	names := make([]string, len(q.sources))
	for i, s := range q.sources {
		names[i] = nameOf(s)
	}
	return fmt.Sprintf("%d of {%s}", q.opt.Agree, strings.Join(names, ", "))
}

// Trust returns [TrustQuorum].
func (q *Quorum) Trust() Trust { return TrustQuorum }

// begin returns the current round, or begins one if there is none or the last has ended.
func (q *Quorum) begin(ctx context.Context) (quorumRound, error) {
	select {
	case <-q.lock:
		defer func() { q.lock <- struct{}{} }()
	case <-ctx.Done():
		return quorumRound{}, fmt.Errorf("wait for the newest block of %s: %w", q, context.Cause(ctx))
	}
	if q.opt.Now().Before(q.until) {
		return q.round, nil
	}
	votes := askAll(ctx, q.sources, len(q.sources)+1,
		func(ctx context.Context, s Source) (*Block, string, error) {
			b, err := s.Peak(ctx)
			if err == nil && b == nil {
				err = fmt.Errorf("%w: no block", ErrUnavailable)
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
		best = max(best, v.answer.Height)
	}
	low := best
	var present []Source
	for _, v := range votes {
		if v.err == nil && best-v.answer.Height <= q.opt.Lag {
			low = min(low, v.answer.Height)
			present = append(present, v.source)
		}
	}
	if len(present) < q.opt.Agree {
		err := fmt.Errorf("%w: want %d of %d sources within %d blocks of the highest, found %d",
			ErrUnavailable, q.opt.Agree, len(q.sources), q.opt.Lag, len(present))
		return quorumRound{}, q.failed("the newest block", withCauses(err, errs))
	}
	if low <= q.opt.Margin {
		err := fmt.Errorf("%w: a peak of %d is too low to compare", ErrUnavailable, low)
		return quorumRound{}, q.failed("the newest block", err)
	}
	q.round = quorumRound{height: low - q.opt.Margin, present: present}
	q.until = q.opt.Now().Add(q.opt.Hold)
	return q.round, nil
}

// failed returns the error of a request.
func (q *Quorum) failed(asked string, err error) error {
	return &SourceError{Source: q.String(), Asked: asked, Err: err}
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
	ask := func(ctx context.Context, s Source) (*Block, string, error) {
		b, err := blockAt(ctx, s, height)
		if b == nil {
			return nil, "none", err
		}
		return b, fmt.Sprintf("%v with time %d", b.Hash, b.Time), err
	}
	return agreed(q, fmt.Sprintf("block %d", height), askAll(ctx, round.present, q.opt.Agree, ask))
}

// CoinRecord implements [Source].
func (q *Quorum) CoinRecord(ctx context.Context, id merkle.Hash) (*CoinRecord, error) {
	round, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	ask := func(ctx context.Context, s Source) (*CoinRecord, string, error) {
		rec, err := s.CoinRecord(ctx, id)
		if err != nil || rec == nil {
			return nil, "no such coin", err
		}
		clipped, there := round.clip(*rec)
		if !there {
			return nil, "no such coin", nil
		}
		return &clipped, recordKey(clipped), nil
	}
	votes := askAll(ctx, round.present, q.opt.Agree, ask)
	rec, err := agreed(q, fmt.Sprintf("coin %v", id), votes)
	if rec != nil {
		for _, v := range votes {
			if v.err == nil && v.answer != nil {
				rec.Pending = max(rec.Pending, v.answer.Pending)
			}
		}
	}
	return rec, err
}

// clip returns a record at the height of comparison, and false if the coin does not exist there.
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
	ask := func(ctx context.Context, s Source) (*CoinSpend, string, error) {
		sp, err := s.CoinSpend(ctx, id, height)
		if err != nil || sp == nil {
			return nil, "no such spend", err
		}
		h := sha256.New()
		fmt.Fprintf(h, "%d %d ", len(sp.Puzzle), len(sp.Solution))
		h.Write(sp.Puzzle)
		h.Write(sp.Solution)
		return sp, fmt.Sprintf("spend %x of coin %v", h.Sum(nil), sp.Coin.ID()), nil
	}
	asked := fmt.Sprintf("the spend of coin %v", id)
	return agreed(q, asked, askAll(ctx, round.present, q.opt.Agree, ask))
}

// Network implements [NetworkSource].
func (q *Quorum) Network(ctx context.Context) (string, error) {
	ask := func(ctx context.Context, s Source) (string, string, error) {
		n, ok := s.(NetworkSource)
		if !ok {
			return "", "", errors.ErrUnsupported
		}
		name, err := n.Network(ctx)
		return name, quote(name), err
	}
	return agreed(q, "the network", askAll(ctx, q.sources, q.opt.Agree, ask))
}

// Children implements [ChildSource].
func (q *Quorum) Children(ctx context.Context, parents []merkle.Hash) ([]CoinRecord, error) {
	l := listRequirements{asked: "coins by parent", includeSpent: true, strict: true}
	return q.list(ctx, l, func(ctx context.Context, s Source) ([]CoinRecord, error) {
		if c, ok := s.(ChildSource); ok {
			return c.Children(ctx, parents)
		}
		return nil, errors.ErrUnsupported
	})
}

// ByHint implements [HintSource]. It leaves out coins that too few sources know, because hints
// are not needed for a decision.
func (q *Quorum) ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord,
	error) {
	l := listRequirements{asked: fmt.Sprintf("coins of hint %v", hint), includeSpent: includeSpent}
	return q.list(ctx, l, func(ctx context.Context, s Source) ([]CoinRecord, error) {
		if c, ok := s.(HintSource); ok {
			return c.ByHint(ctx, hint, true)
		}
		return nil, errors.ErrUnsupported
	})
}

// ByPuzzleHash implements [PuzzleSource]. A coin that too few sources know is an error.
func (q *Quorum) ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash,
	includeSpent bool) ([]CoinRecord, error) {
	l := listRequirements{
		asked: fmt.Sprintf("coins at %v", puzzleHash), includeSpent: includeSpent, strict: true,
	}
	return q.list(ctx, l, func(ctx context.Context, s Source) ([]CoinRecord, error) {
		if c, ok := s.(PuzzleSource); ok {
			return c.ByPuzzleHash(ctx, puzzleHash, true)
		}
		return nil, errors.ErrUnsupported
	})
}

// listRequirements say which records a list has.
type listRequirements struct {
	asked        string // what the list is, for errors
	includeSpent bool
	strict       bool // a record that too few sources have is an error
}

// list requests a list with spent coins from all sources, and returns the records that enough
// of them have.
func (q *Quorum) list(ctx context.Context, l listRequirements,
	question func(context.Context, Source) ([]CoinRecord, error)) ([]CoinRecord, error) {
	round, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	ask := func(ctx context.Context, s Source) ([]CoinRecord, string, error) {
		list, err := question(ctx, s)
		return list, "", err
	}
	votes := askAll(ctx, round.present, len(q.sources)+1, ask)
	tally := recordTally{count: make(map[string]int), records: make(map[string]CoinRecord)}
	var errs []error
	answered := 0
	for _, v := range votes {
		if v.err != nil {
			errs = append(errs, v.err)
			continue
		}
		answered++
		tally.add(round, v.answer)
	}
	if answered < q.opt.Agree {
		for _, err := range errs {
			if errors.Is(err, errors.ErrUnsupported) {
				return nil, fmt.Errorf("%s: %s: %w", q, l.asked, errors.ErrUnsupported)
			}
		}
		err := fmt.Errorf("%w: want %d answers, found %d", ErrUnavailable, q.opt.Agree, answered)
		return nil, q.failed(l.asked, withCauses(err, errs))
	}
	var out []CoinRecord
	for _, key := range tally.order {
		switch count := tally.count[key]; {
		case count >= q.opt.Agree:
			if rec := tally.records[key]; l.includeSpent || rec.Spent == 0 {
				out = append(out, rec)
			}
		case l.strict:
			err := fmt.Errorf("%w: %d of %d know %s", ErrSourcesDisagree, count, answered, key)
			return nil, q.failed(l.asked, err)
		}
	}
	return out, nil
}

// A recordTally counts how many lists have a record.
type recordTally struct {
	count   map[string]int // by recordKey
	records map[string]CoinRecord
	order   []string // keys in the order in which they were first found
}

// add counts the records of one list, each once, at the height of comparison.
func (t *recordTally) add(round quorumRound, list []CoinRecord) {
	counted := make(map[string]bool)
	for _, rec := range list {
		clipped, there := round.clip(rec)
		key := recordKey(clipped)
		if !there || counted[key] {
			continue
		}
		counted[key] = true
		if t.count[key]++; t.count[key] == 1 {
			t.order = append(t.order, key)
		}
		t.records[key] = clipped
	}
}
