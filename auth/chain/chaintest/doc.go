// Package chaintest has a blockchain in memory for tests of programs that follow stores on the
// chain: it makes stores, and everything that can happen to one, without keys or a network.
//
//	c := chaintest.New(nil)
//	s := c.Mint(chain.Metadata{Root: root}, chaintest.Anyone(1))
//	s.Update(another)
//	resolver := chain.NewResolver(c, nil)
//
// The [Chain] is a [chain.Source] with every capability, which counts how it is called. Every
// step of a [Store] makes a block, unless [Chain.Together] gathers several; [Chain.Farm] adds
// blocks on top, and [Chain.Reorg] takes them away again. The coins and spends are those of the
// real chain, bit for bit: real programs in all their layers, whose owners are puzzles that
// need no signature ([Anyone]), or one that nobody checks ([Standard]). What a spend does is
// the store's say, the programs are not run; that running them does the same is for this
// package's tests.
//
// [Chain.Handler] is the RPC of a full node that has the chain, for [net/http/httptest].
// [Chain.Spend] puts anything on the chain, true or not.
package chaintest
