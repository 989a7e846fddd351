// Package chain reads the coins of a store from the Chia chain: the current root, the earlier
// roots, and the keys that may write.
//
// # In short
//
//	source, err := chain.NewRPC("https://api.coinset.org", nil) // or NewFullNode("", chiaRoot, nil)
//	resolver := chain.NewResolver(source, &chain.Options{Memory: chain.NewDir(dir)})
//	tip, err := resolver.Tip(ctx, store)
//	fmt.Println(tip.Root(), tip.Status)
//	report, err := remote.Clone(ctx, local, origin, remote.Trust{Anchor: resolver})
//
// # A store on the chain
//
// A store is a sequence of coins, of which the last is unspent. A launcher coin makes the first
// one; its id is the store's id. Each spend of a coin makes the next. The id of a coin is a
// hash of its parent's id, its puzzle hash and its amount, and the puzzle hash covers the state
// of the store. So a spend (puzzle and solution) proves the next coin. [Launch] and
// [State.Next] compute it, and [State.Search] does if the puzzle uses an operator that package
// internal/clvm does not have. A [State] is the content of one coin: the root, metadata, the
// owner and the delegates.
//
//	launcher ──spend──▶ first coin ──spend──▶ coin ──spend──▶ coin, unspent: the tip
//	 = store id         generation 0          1               2
//
// The names of the owner and of the delegates are memos of a spend, which anyone can write.
// They are used only if they hash to the hash in the coin. Otherwise OwnerKnown or
// DelegatesKnown is false, and they authorize nothing.
//
// # What is verified
//
// The answers of a [Source] are not trusted: every coin, puzzle and state is checked against
// hashes that begin with the store's id. Hashes do not show that a spend happened, that no spend
// follows it, and in which block it was. A wrong answer about these is limited by:
//
//   - a full node of the user ([NewFullNode]), or several sources that must agree ([Quorum]);
//   - a limit for the age of the newest block ([Options].MaxSkew);
//   - the rule that a settled generation stays ([ErrRollback]), across restarts with a [Memory];
//   - the network's name ([Options].Network).
//
// If the source cannot be reached, or its answer fails a check, the result is an error.
// [ErrUnavailable] and [ErrRateLimited] are errors of the network; any other error is a failed
// check. Errors name the host and the request. An older answer is returned only if
// Options.AllowCached allows it, and then has [StatusCached].
//
// # Settled generations
//
// A reorganization can remove blocks. A generation is read from the newest block on
// (Options.MinDepth 1) and has [StatusShallow]. From SettledDepth on, 32 blocks or about ten
// minutes, it has [StatusAnchored]. Only settled generations authorize writers
// ([Resolver.CanWrite], [Authority]), so a removed key is refused from that depth on. After a
// reorganization the resolver continues from the newest generation that is still on the chain.
//
// # Costs
//
// The tip of a store takes three requests: the newest block, the coins hinted to the store, and
// the spend that made the newest of them. A whole history takes one request for each spent coin
// and four or five more. If the lineage is known and nothing is new, it takes two. Sometimes a
// block without a time costs one more. See TestResolverCalls.
//
// # Sources
//
// [RPC] connects to a full node or a public host with the same interface. [Static] has coins
// and blocks that a program adds. [Cached] keeps settled spends on disk. [Quorum] combines
// several sources.
// [Pinned] has roots from a configuration; it is an anchor and not a source. Package chaintest
// has a whole chain in memory, for tests.
//
// This package only reads. It signs nothing and needs no key. Package spend makes the spends of
// stores; [Bundle] and [ReadPushAnswer] encode and decode requests and answers of push_tx.
//
// LINEAGE.md, in the directory of this package, describes what is read and every check.
package chain
