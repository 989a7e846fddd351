package chaintest

import (
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// program returns the program of that name.
func program(name string) *clvm.Node { return puzzle.Program(name) }

func parse(b []byte) *clvm.Node {
	n, err := clvm.Parse(b, nil)
	if err != nil {
		panic(fmt.Sprintf("chaintest: %v", err))
	}
	return n
}

func serial(n *clvm.Node) []byte {
	b, err := clvm.Append(nil, n, nil)
	if err != nil {
		panic(fmt.Sprintf("chaintest: %v", err))
	}
	return b
}

func hashNode(h merkle.Hash) *clvm.Node { return clvm.Atom(h[:]) }

// A Puzzle is the puzzle of a coin. The puzzles of this package let anyone spend, or need a
// signature that is not checked.
type Puzzle struct {
	program *clvm.Node
	// solution returns the solution for which the program returns these conditions.
	solution func(conditions *clvm.Node) *clvm.Node
}

// Anyone returns a puzzle that takes its conditions from the solution. Each n gives another hash.
func Anyone(n int) Puzzle {
	all := clvm.Int(1)
	return Puzzle{
		// (i (q . n) 1 1)
		program:  clvm.List(clvm.Int(3), clvm.Pair(clvm.Int(1), clvm.Int(int64(n))), all, all),
		solution: func(conditions *clvm.Node) *clvm.Node { return conditions },
	}
}

// Standard returns the standard puzzle with key, which for a wallet's address is the synthetic
// key.
func Standard(key auth.PublicKey) Puzzle {
	return Puzzle{
		program: clvm.Curry(program("standard"), clvm.Atom(key[:])),
		solution: func(conditions *clvm.Node) *clvm.Node {
			return clvm.List(clvm.Nil(), clvm.Pair(clvm.Int(1), conditions), clvm.Nil())
		},
	}
}

// Quoted returns the puzzle (q . conditions), which always returns these conditions.
func Quoted(conditions ...Condition) Puzzle {
	return Puzzle{
		program:  clvm.Pair(clvm.Int(1), conditionList(conditions)),
		solution: func(*clvm.Node) *clvm.Node { return clvm.Nil() },
	}
}

// Opaque returns a puzzle like Anyone that uses an operator that package internal/clvm does not
// have.
func Opaque(n int) Puzzle {
	all := clvm.Int(1)
	unknown := clvm.List(clvm.Int(62), clvm.Pair(clvm.Int(1), clvm.Int(int64(n)))) // keccak256
	return Puzzle{
		program:  clvm.List(clvm.Int(3), unknown, all, all),
		solution: func(conditions *clvm.Node) *clvm.Node { return conditions },
	}
}

// StorePuzzle returns the puzzle of a coin of the store with that metadata and inner puzzle,
// all three serialized. An error means that one of them cannot be parsed.
func StorePuzzle(store auth.StoreID, metadata, inner []byte) ([]byte, error) {
	list, err := clvm.Parse(metadata, nil)
	if err != nil {
		return nil, fmt.Errorf("chaintest: metadata: %w", err)
	}
	program, err := clvm.Parse(inner, nil)
	if err != nil {
		return nil, fmt.Errorf("chaintest: inner puzzle: %w", err)
	}
	return clvm.Append(nil, singleton(store, stateLayer(list, program)), nil)
}

// Hash returns the puzzle's hash.
func (p Puzzle) Hash() merkle.Hash { return p.program.TreeHash() }

// A Delegate is a puzzle besides the owner's that may spend a store's coin.
type Delegate struct {
	chain.Delegate
	puzzle Puzzle
}

// Admin returns an admin with that puzzle.
func Admin(p Puzzle) Delegate {
	return Delegate{chain.Delegate{Role: chain.RoleAdmin, Puzzle: p.Hash()}, p}
}

// Writer returns a writer with that puzzle.
func Writer(p Puzzle) Delegate {
	layer := Puzzle{
		program:  clvm.Curry(program("writer"), p.program),
		solution: func(conditions *clvm.Node) *clvm.Node { return clvm.List(p.solution(conditions)) },
	}
	return Delegate{chain.Delegate{Role: chain.RoleWriter, Puzzle: p.Hash()}, layer}
}

// Oracle returns an oracle that pays fee, which must be even, to a puzzle hash.
func Oracle(to merkle.Hash, fee uint64) Delegate {
	say := Condition{clvm.List(clvm.Int(62), clvm.Text("$"))}
	return Delegate{chain.Delegate{Role: chain.RoleOracle, Puzzle: to, Fee: fee},
		Quoted(CreateCoin(to, fee), say)}
}

// Spend returns a spend of a coin at the puzzle's hash with these conditions. It does not add it
// to a chain.
func (p Puzzle) Spend(coin chain.Coin, conditions ...Condition) *chain.CoinSpend {
	return &chain.CoinSpend{Coin: coin, Puzzle: serial(p.program),
		Solution: serial(p.solution(conditionList(conditions)))}
}
