// Package remotetest helps to test what clones, pulls, pushes and serves.
//
// [Memory] is a store in memory: a [remote.Local] with everything that is optional there. [Stores] puts several of
// them together into a [remote.Backend] that also takes pushes and tombstones. Both are small but whole: they keep
// generations as [module.Recipe] and each chunk once, and hold modules to what the interfaces promise.
//
// [NewOrigin] serves an [http.Handler], usually a [*remote.Server], over pipes inside the process: real HTTP, no ports,
// and no waiting under testing/synctest.
//
// [Liars] are origins that do not tell the truth, each in one way, about the store of a [World]. Each names the check
// of package remote that has to refuse it. Whoever writes another client, or another Local, can send it to all of them:
//
//	for _, liar := range remotetest.Liars() {
//		h, err := liar.Handler(ctx, world)
//		origin := remotetest.NewOrigin(h)
//		// clone from it; want liar.Clone
//	}
//
// Nothing here is fit for production: memory is all the storage there is.
package remotetest
