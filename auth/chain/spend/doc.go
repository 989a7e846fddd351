// Package spend makes the spends that change stores on the Chia chain: mint, update, delegate,
// transfer and melt, with fees and payments. It sends nothing and holds no secret key.
//
// # In short
//
//	d := spend.NewDraft(spend.Mainnet())
//	next, err := d.Change(store, spend.Change{By: chain.RoleWriter, Key: writer, Metadata: &m})
//	err = d.Fee(spend.Fee{Payer: coins, Amount: 50_000_000})
//	plan, err := d.Plan(ctx, nil)              // runs and checks everything
//	sum, err := spend.Sign(plan.Messages, signer)
//	bundle, err := plan.Bundle(sum)            // checks the signature
//	body, err := bundle.PushRequest()          // for push_tx of a full node
//
// # From a draft to a bundle
//
// A spend reveals the puzzle of a coin and gives it a solution. The puzzle returns conditions: make
// these coins, pay this fee, let this key sign. A bundle is a list of spends, which the network
// accepts or refuses as a whole.
//
//	coins, keys, store ──▶ Draft ──Plan──▶ Plan ──signatures──▶ chain.Bundle ──▶ push_tx
//	                       spends          checked               signed
//
// A [Draft] collects spends. Its methods take the coins, the public halves of keys and what is
// wanted, and append the spends or return an error. They are pure functions: no clock, no
// randomness, no network. The same arguments make the same bytes. Where the reference,
// @dignetwork/datalayer-driver, has the operation, the bytes are the same as well.
//
// A [Plan] is a draft that passed the checks. It lists what has to be signed by which key, so
// signatures can come from any wallet, or from several: see [Sign] and [Plan.Bundle]. A wallet that
// returns a whole bundle is checked by [Plan.Accept].
//
// # Stores
//
// A [Store] is a store coin with what its spend has to reveal. [Open] makes it from the state that
// a chain.Resolver returns and from the spend that made the coin. [Draft.Mint] and [Draft.Change]
// return the next coin, which the same draft can spend again: one bundle can mint a store and
// update it several times.
//
// An update replaces the metadata as a whole. [Change].Parent is the root that the caller built on:
// a store with another root is [ErrConflict].
//
// # What is checked
//
// [Draft.Plan] runs every puzzle with its solution, as a node would, and compares what comes out
// with what was asked for: every coin that is made, the fee, every message and its key, and the
// state of each store as package chain reads it. Fees and payments have limits, see [Limits].
// Whether the coins exist and are unspent is for the caller to ask.
//
// Some mistakes cannot be undone, and the network accepts them: a store that is given to a puzzle
// hash of no key, metadata that no reader understands, a mint that pays less than it should. The
// methods refuse them where they can. [Draft.Melt] needs the store's id as a confirmation.
//
// # Coins
//
// [Select] chooses coins for an amount. The first coin of a payer is the lead: it carries the
// conditions, and the rest of all coins returns to its key. The other coins only require that the
// lead is spent with them.
//
// Drafts are not safe for concurrent use. Plans and stores are not changed after they were made.
//
// SPENDS.md, in the directory of this package, describes every spend and every check, for other
// implementations.
package spend
