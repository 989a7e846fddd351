package spend

import (
	"fmt"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
)

// An OracleSpend spends a store unchanged and pays an oracle of it. Anyone may do that.
type OracleSpend struct {
	Payer  []Input // at least one
	Fee    uint64  // in mojos, besides the fee of the oracle
	Oracle int     // which oracle among the delegates, from 0
}

// Oracle appends the spend and returns the store's next coin. Errors are [ErrNoOracle],
// [ErrNoCoins], [ErrInsufficientFunds], [ErrAmount], [ErrWrongKey] and [ErrStore].
//
// The payer's condition names the puzzle of the store and not its coin. If two users spend the
// same store coin in one block, both spends are one: the oracle is paid once, and the second
// payment becomes fee. So ask the mempool first for another spend of the store coin.
func (d *Draft) Oracle(s *Store, p OracleSpend) (*Store, error) {
	next, err := d.oracle(s, &p)
	if err != nil {
		return nil, fmt.Errorf("spend store %v by an oracle: %w", s.ID, err)
	}
	return next, nil
}

func (d *Draft) oracle(s *Store, p *OracleSpend) (*Store, error) {
	oracle, ok := s.oracle(p.Oracle)
	if !ok {
		return nil, fmt.Errorf("%w: oracle %d of %d delegates", ErrNoOracle, p.Oracle, len(s.Delegates))
	}
	rest, err := pay(p.Payer, oracle.Fee, p.Fee)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	list, err := s.list()
	if err != nil {
		return nil, err
	}
	next, err := s.next(list, *s)
	if err != nil {
		return nil, err
	}
	lead := p.Payer[0]
	o := d.begin(p.Fee)
	o.fee += s.Coin.Amount - 1 // the next coin has one mojo
	o.others(p.Payer)
	said := announcement(s.Coin.PuzzleHash, []byte(puzzle.OracleText))
	conditions := []*clvm.Node{condition(condAssertPuzzle, puzzle.Hash(said))}
	conditions = append(conditions, o.change(lead, rest, true)...)
	if p.Fee > 0 {
		conditions = append(conditions, reserveFee(p.Fee))
	}
	o.standard(lead, conditions...)
	o.steps = []Step{{Before: s, After: next, spend: len(o.spends)}}
	o.makes(s.Coin.ID(), oracle.Puzzle, oracle.Fee)
	o.made = append(o.made, next.Coin)
	if err := o.reveal(s, puzzle.NewOracle(oracle.Puzzle, oracle.Fee), clvm.Nil()); err != nil {
		return nil, err
	}
	return next, o.commit()
}

// oracle returns the oracle of that number.
func (s *Store) oracle(n int) (chain.Delegate, bool) {
	for _, d := range s.Delegates {
		if d.Role != chain.RoleOracle {
			continue
		}
		if n == 0 {
			return d, d.Fee%2 == 0
		}
		n--
	}
	return chain.Delegate{}, false
}
