// Package economy has the rules by which a node values what it stores: tiers of handles, shares of
// rewards, bribes, profit and weights. All functions are pure; the caller supplies data from the
// chain, the clock and the disk. The package imports only the standard library.
//
// Amounts are whole thousandths of a DIG ([Amount]), since the token has three decimals. They
// are multiplied and divided without overflow and rounded towards zero.
//
//	share of one capsule      base × tier multiplier × size multiplier / max(1, providers)
//	expected before joining   base × tier multiplier × size multiplier / (providers + 1)
//	reward of the chain       epoch rewards × weight / (total weight × epoch seconds), for each second
//	bribe for each epoch      reward per TB × bytes held / 10^12, when eligible
//
// Costs, multipliers and the length of an epoch are called illustrative by their sources:
// [DefaultRates] has them, and a program takes them from its configuration.
package economy
