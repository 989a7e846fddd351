package puzzle

import (
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Quote returns the program (q . n), which returns n.
func Quote(n *clvm.Node) *clvm.Node { return clvm.Pair(clvm.Int(1), n) }

// Hash returns the atom of a hash.
func Hash(h merkle.Hash) *clvm.Node { return clvm.Atom(h[:]) }

// NewStandard returns the standard puzzle with a synthetic key.
func NewStandard(key [48]byte) *clvm.Node {
	return clvm.Curry(Program("standard"), clvm.Atom(key[:]))
}

// NewWriter returns the writer layer around a puzzle.
func NewWriter(inner *clvm.Node) *clvm.Node { return clvm.Curry(Program("writer"), inner) }

// NewOracle returns the puzzle of an oracle, which pays a fee and announces OracleText:
//
//	(q (51 puzzle-hash fee) (62 "$"))
func NewOracle(to merkle.Hash, fee uint64) *clvm.Node {
	pay := clvm.List(clvm.Int(CondCreateCoin), Hash(to), clvm.Uint(fee))
	say := clvm.List(clvm.Int(CondAnnounce), clvm.Text(OracleText))
	return Quote(clvm.List(pay, say))
}

// NewDelegation returns the delegation layer around an owner. root is that of the delegates.
func NewDelegation(store [32]byte, owner, root merkle.Hash) *clvm.Node {
	return clvm.Curry(Program("delegation"), Hash(Delegation), clvm.Atom(store[:]), Hash(owner),
		Hash(root))
}

// NewStore returns the puzzle of a store coin: the singleton around the state layer.
func NewStore(store [32]byte, metadata, inner *clvm.Node) *clvm.Node {
	state := clvm.Curry(Program("state"), Hash(State), metadata, Hash(Updater), inner)
	self := clvm.Pair(Hash(Singleton), clvm.Pair(clvm.Atom(store[:]), Hash(Launcher)))
	return clvm.Curry(Program("singleton"), self, state)
}

// NewCAT returns the puzzle of a coin of an asset around the puzzle that holds it.
func NewCAT(asset merkle.Hash, inner *clvm.Node) *clvm.Node {
	return clvm.Curry(Program("cat"), Hash(CAT), Hash(asset), inner)
}

// NewUpdater returns the program that updates the metadata.
func NewUpdater() *clvm.Node { return clvm.Int(updaterProgram) }
