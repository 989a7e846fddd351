// Package chain reads what Chia's chain says about a store: which root it has now, which it had, and who may write.
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
// A store is a row of coins of which one is unspent. The first is made by a launcher coin, whose id is the store's id
// for ever; each spend of one makes the next. A coin is fixed by its id: id, puzzle hash and the hash of what the coin
// carries are hashes of one another, so who knows an id and sees a puzzle and a solution can compute the next coin.
// [Launch] and [State.Next] do that, and [State.Search] where a puzzle uses an operator that package
// internal/clvm does not have. A [State] is what one coin says: the root, metadata, the owner and the delegates.
//
//	launcher ──spend──▶ first coin ──spend──▶ coin ──spend──▶ coin, unspent: the tip
//	 = store id         generation 0          1               2
//
// The owner's name and those of the delegates are words beside a spend, which anyone may write there. They are taken
// only where they hash to what the coin has; else OwnerKnown or DelegatesKnown is false, and nobody is let in by them.
//
// # What is believed
//
// A [Source] is asked for coins and spends, and its answers are material: every coin, puzzle and state is held to
// hashes that begin with the store's id. Three things no hash shows, and they are the source's word: that a spend
// happened, that none came after it, and in which block it was. What stands against a false word:
//
//   - a full node of one's own ([NewFullNode]), or several sources that have to agree ([Quorum]);
//   - the newest block has to be of the present ([Options].MaxSkew);
//   - a generation that was once settled has to stay ([ErrRollback]), from one program to the next with a [Memory];
//   - the network's name ([Options].Network).
//
// Where the source cannot be asked, or is not believed, there is an error and nothing else: [ErrUnavailable] and
// [ErrRateLimited] are trouble with the network, everything else is a check that failed. Each error names the host,
// what was asked and what to do. An older answer stands in only where AllowCached says so, and then says [StatusCached].
//
// # Settled and not
//
// Blocks can be given up again. A generation in the newest block is read (Options.MinDepth 1) and called
// [StatusShallow]; from SettledDepth on, 32 blocks or about ten minutes, it is [StatusAnchored]. Only what is settled says
// who may write ([Resolver.CanWrite], [Authority]), so that a key which is removed is refused from that depth on. When the
// chain gives a generation up, the resolver goes back to the newest one that is still there, and on from it.
//
// # What it costs
//
// The tip of a store takes three calls: the newest block, the coins hinted to the store, and the spend that made the
// newest of them. A whole history takes one call for each spent coin and four or five besides. With what was found before,
// and nothing new, it is two calls. A block without a time costs one more, now and then. See TestResolverCalls.
//
// # Sources
//
// [RPC] speaks to a full node or a public host of the same shape, [Static] answers from what was put into it, [Cached]
// keeps settled spends on disk, [Quorum] takes several. [Pinned] has roots from a configuration and is no source but an
// anchor. Package chaintest has a whole chain in memory, for tests.
//
// Everything here only reads. Nothing signs, and no key is ever needed.
//
// LINEAGE.md, beside the code, describes what is read and every check that is made.
package chain
