// Package chaintest has a blockchain in memory, for tests of programs that read stores from the
// chain. It makes stores and all their changes without keys or a network.
//
//	c := chaintest.New(nil)
//	s := c.Mint(chain.Metadata{Root: root}, chaintest.Anyone(1))
//	s.Update(another)
//	resolver := chain.NewResolver(c, nil)
//
// The [Chain] is a [chain.Source] with every optional interface, and counts its calls. Every
// step of a [Store] makes a block, unless [Chain.Together] combines several. [Chain.Farm] adds
// blocks, and [Chain.Reorg] removes them. Coins and spends are byte for byte those of the real
// chain, with the real programs of all layers. The owner's puzzle needs no signature ([Anyone]),
// or a signature that is not checked ([Standard]). The Store computes the effect of a spend and
// does not run the programs; the tests of this package check that running them has the same
// effect.
//
// [Chain.Handler] is the RPC of a full node with the chain, for [net/http/httptest].
// [Chain.Spend] adds any spend to the chain, valid or not.
package chaintest
