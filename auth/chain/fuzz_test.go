package chain_test

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// ofThisPackage reports whether an error wraps an exported error of this package.
func ofThisPackage(err error) bool {
	for _, known := range []error{
		chain.ErrMalformed, chain.ErrTooLarge, chain.ErrSourceInvalid, chain.ErrNotDataStore, chain.ErrMelted, chain.ErrUpdaterChanged,
		chain.ErrInvalidSpend, chain.ErrUnsupportedOp, chain.ErrUnresolvable, context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func bytesOf(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzNext: a spend of any inner puzzle, with any metadata and solution, is refused with an
// exported error, or read as the network reads it: if running the whole puzzle with the whole
// solution has a value, its odd coin is the coin that Next computed by the rules of the layers.
func FuzzNext(f *testing.F) {
	zeroRoot := "ffa0" + hex.EncodeToString(make([]byte, 32)) + "80"
	newRoot := "ffa0" + hex.EncodeToString(make([]byte, 31)) + "0180"
	guard := clvm.Int(11).TreeHash()
	create := "ff33ffa0" + hex.EncodeToString(guard[:]) + "ff0180"
	update := "ff81e8ff0bffffff" + newRoot + "ffa0" + hex.EncodeToString(guard[:]) + "80ff808080"
	for _, inner := range []string{"01", "ff01ff" + create + "80", "ff01ff" + update + "ff" + create +
		"80", "ff01ff" + create + "ff" + update + "80"} {
		f.Add(bytesOf(inner), bytesOf(zeroRoot), bytesOf("80"))
	}
	f.Add(bytesOf("01"), bytesOf(zeroRoot), bytesOf("ff"+create+"80"))
	f.Add(bytesOf("01"), bytesOf(zeroRoot), bytesOf("ff"+update+"ff"+create+"80"))
	f.Add(bytesOf("01"), bytesOf("ffa0"+hex.EncodeToString(make([]byte, 32))+"ffff6c826869ffff622a80"),
		bytesOf("ff"+create+"80"))

	s := chaintest.New(nil).Mint(chain.Metadata{}, chaintest.Anyone(1))
	id := s.ID()
	admin, writer := chaintest.Admin(chaintest.Anyone(2)), chaintest.Writer(chaintest.Anyone(3))
	addPieces(f, s.Solve(nil, chaintest.CreateCoin(merkle.Hash(guard), 1)))
	s.Delegate(nil, admin, writer)
	addPieces(f, s.Solve(nil, chaintest.CreateCoin(merkle.Hash(guard), 1)))
	addPieces(f, s.Solve(&admin, chaintest.UpdateMetadata(chain.Metadata{})))
	addPieces(f, s.Solve(&writer, chaintest.UpdateMetadata(chain.Metadata{})))
	parent := merkle.Sum([]byte("the parent's parent"))
	f.Fuzz(func(t *testing.T, inner, metadata, solution []byte) {
		puzzle, err := chaintest.StorePuzzle(id, metadata, inner)
		if err != nil || len(puzzle) > 1<<16 {
			return
		}
		env, err := clvm.Parse(solution, nil)
		if err != nil {
			return
		}
		program, err := clvm.Parse(puzzle, nil)
		if err != nil {
			t.Fatal(err)
		}
		// The coin's parent is another coin of the store, with any inner puzzle.
		proof := clvm.List(clvm.Atom(parent[:]), clvm.Atom(parent[:]), clvm.Int(1))
		whole := clvm.List(proof, clvm.Int(1), clvm.List(env))
		text, err := clvm.Append(nil, whole, nil)
		if err != nil {
			return // too large to be serialized without sharing
		}
		sp := &chain.CoinSpend{Coin: chain.Coin{Parent: parent, PuzzleHash: program.TreeHash(),
			Amount: 1}, Puzzle: puzzle, Solution: text}
		next, err := chain.FromSpend(t.Context(), id, sp)
		if err != nil {
			if !ofThisPackage(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		conditions, err := clvm.Run(t.Context(), program, whole, &clvm.Limits{Steps: 1 << 22})
		if err != nil {
			return // the layers refuse the conditions of the inner puzzle
		}
		found := 0
		for condition := range conditions.Items() {
			items, _, ok := condition.Take(3)
			if !ok {
				continue
			}
			op, _ := items[0].Atom()
			ph, isHash := items[1].Bytes32()
			amount, isAmount := items[2].Uint64()
			if op == "\x33" && isHash && isAmount && amount%2 == 1 {
				found++
				if made := (chain.Coin{Parent: sp.Coin.ID(), PuzzleHash: ph,
					Amount: amount}); made != next.Coin {
					t.Fatalf("run as a whole it makes %+v, read it makes %+v", made, next.Coin)
				}
			}
		}
		if found != 1 {
			t.Fatalf("run as a whole it makes %d odd coins, read it makes %+v", found, next.Coin)
		}
	})
}

// addPieces adds the inner puzzle, the metadata and the inner solution of a spend to the seeds
// of FuzzNext.
func addPieces(f *testing.F, sp *chain.CoinSpend) {
	program, err := clvm.Parse(sp.Puzzle, nil)
	if err != nil {
		f.Fatal(err)
	}
	solution, err := clvm.Parse(sp.Solution, nil)
	if err != nil {
		f.Fatal(err)
	}
	_, singleton, _ := program.Uncurry()
	_, state, _ := singleton[1].Uncurry()
	items, _, _ := solution.Take(3)
	inner, _, _ := items[2].Pair()
	var texts [3][]byte
	for i, n := range []*clvm.Node{state[3], state[1], inner} {
		if texts[i], err = clvm.Append(nil, n, nil); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(texts[0], texts[1], texts[2])
}

// FuzzLaunch: any launcher's solution is refused with an exported error, or makes a store that
// the rest of the package accepts.
func FuzzLaunch(f *testing.F) {
	c := chaintest.New(nil)
	owner := chaintest.Anyone(1)
	s := c.Mint(chain.Metadata{Root: merkle.Sum([]byte("one"))}, owner,
		chaintest.Writer(chaintest.Anyone(2)))
	record, err := c.CoinRecord(context.Background(), merkle.Hash(s.ID()))
	if err != nil {
		f.Fatal(err)
	}
	launch := lastSpend(f, c, record.Coin)
	f.Add(launch.Solution)
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, solution []byte) {
		sp := *launch
		sp.Solution = solution
		state, err := chain.Launch(s.ID(), &sp)
		if err != nil {
			if !ofThisPackage(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if state.Generation != 0 || state.Coin.Parent != record.Coin.ID() || state.Coin.Amount%2 == 0 ||
			state.By != chain.RoleNone {
			t.Fatalf("%+v is no first state", state)
		}
	})
}

// FuzzSearch: any search for any child returns an exported error or a state of that child.
func FuzzSearch(f *testing.F) {
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Opaque(1))
	before := s.State()
	s.Update(merkle.Sum([]byte("one")))
	real := lastSpend(f, c, before.Coin)
	child := s.Coin()
	f.Add(real.Solution, child.PuzzleHash[:])
	f.Fuzz(func(t *testing.T, solution, puzzleHash []byte) {
		sp, want := *real, child
		sp.Solution = solution
		copy(want.PuzzleHash[:], puzzleHash)
		state, err := before.Search(t.Context(), &sp, want)
		if err != nil {
			if !ofThisPackage(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if state.Coin != want || state.Generation != 1 {
			t.Fatalf("%+v, searched for %+v", state, want)
		}
	})
}
