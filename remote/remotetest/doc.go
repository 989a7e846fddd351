// Package remotetest helps to test what clones, pulls, pushes and serves.
//
// [Memory] is a store in memory: a [remote.Local] with everything that is optional there. [Stores]
// puts several of them together into a [server.Backend] that also takes pushes and tombstones. Both
// are small but whole: they keep generations as [module.Recipe] and each chunk once, and hold
// modules to what the interfaces promise.
//
// [NewOrigin] serves an [http.Handler], usually a [*server.Server], over pipes inside the process:
// real HTTP, no ports, and no waiting under testing/synctest.
//
// [Liars] are origins that do not tell the truth, each in one way, about the store of a [World].
// Each names the check of package remote that has to refuse it.
//
// Whoever writes a Local or a Backend of their own holds it to the interfaces with [TestLocal] and
// [TestBackend], to what must survive a restart with [TestPersistence], to serving on what it
// cloned with [TestMirror], and sends it to all the liars with [TestLiars]:
//
//	func TestStore(t *testing.T) {
//		open := func(t *testing.T, id auth.StoreID) remote.Local { return newStore(t.TempDir(), id) }
//		w, err := remotetest.NewWorld(t.Context(), nil) // or NewLargeWorld
//		if err != nil {
//			t.Fatal(err)
//		}
//		remotetest.TestLocal(t, w, open)
//		remotetest.TestLiars(t, w, open)
//	}
//
// Nothing here is fit for production: memory is all the storage there is.
package remotetest
