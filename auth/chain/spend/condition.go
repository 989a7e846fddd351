package spend

import (
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// The conditions that are written or understood. See auth/chain/spend/SPENDS.md 3.1.
const (
	condRemark           = 1
	condSigParent        = 43
	condSigMe            = 50
	condSigUnsafe        = 49
	condCreateCoin       = 51
	condReserveFee       = 52
	condAnnounceCoin     = 60
	condAssertCoin       = 61
	condAnnouncePuzzle   = 62
	condAssertPuzzle     = 63
	condConcurrent       = 64
	condMyID             = 70
	condMyParent         = 71
	condMyPuzzle         = 72
	condMyAmount         = 73
	maxAnnouncementBytes = 1024
)

func condition(op int64, args ...*clvm.Node) *clvm.Node {
	return clvm.Pair(clvm.Int(op), clvm.List(args...))
}

// createCoin makes a coin. Without memos the list of memos is left out.
func createCoin(to merkle.Hash, amount uint64, memos ...*clvm.Node) *clvm.Node {
	if len(memos) == 0 {
		return condition(condCreateCoin, puzzle.Hash(to), clvm.Uint(amount))
	}
	return condition(condCreateCoin, puzzle.Hash(to), clvm.Uint(amount), clvm.List(memos...))
}

// hinted makes a coin with its puzzle hash as the hint.
func hinted(to merkle.Hash, amount uint64) *clvm.Node {
	return createCoin(to, amount, puzzle.Hash(to))
}

func reserveFee(fee uint64) *clvm.Node { return condition(condReserveFee, clvm.Uint(fee)) }

// concurrent requires that a coin is spent in the same bundle.
func concurrent(id merkle.Hash) *clvm.Node { return condition(condConcurrent, puzzle.Hash(id)) }

// newMetadata replaces the metadata: (-24 updater ((metadata updater-hash) ())).
func newMetadata(list *clvm.Node) *clvm.Node {
	solution := clvm.List(clvm.List(list, puzzle.Hash(puzzle.Updater)), clvm.Nil())
	return condition(puzzle.CondNewMetadata, puzzle.NewUpdater(), solution)
}

// newDelegates replaces the delegates: (-13 root . memos). The memos are the end of the list.
func newDelegates(root merkle.Hash, memos []*clvm.Node) *clvm.Node {
	return condition(puzzle.CondNewMerkle, append([]*clvm.Node{puzzle.Hash(root)}, memos...)...)
}

// melt makes no coin in place of the store's.
func melt() *clvm.Node {
	return condition(condCreateCoin, clvm.Nil(), clvm.Int(puzzle.AmountMelt))
}

// announcement returns the id of an announcement: SHA-256(sender || message).
func announcement(sender merkle.Hash, message []byte) merkle.Hash {
	return merkle.Sum(append(sender[:], message...))
}

// standardSolution returns the solution of a standard puzzle: (() (q . conditions) ()).
func standardSolution(conditions []*clvm.Node) *clvm.Node {
	return clvm.List(clvm.Nil(), puzzle.Quote(clvm.List(conditions...)), clvm.Nil())
}

// serial serializes a program that this package made. It is within the limits.
func serial(n *clvm.Node) []byte {
	b, err := clvm.Append(nil, n, nil)
	if err != nil {
		panic("spend: " + err.Error())
	}
	return b
}
