// Package remotetest helps to test programs that clone, pull, push and serve stores.
//
// [Memory] is a store in memory: a [remote.Local] with all optional interfaces. [Stores] combines
// several into a [server.Backend] that also accepts pushes and tombstones. Both are small but
// complete: they keep generations as [module.Recipe] and each chunk once, and make all checks that
// the interfaces require.
//
// [NewOrigin] serves an [http.Handler], usually a [*server.Server], over pipes inside the process:
// real HTTP without ports, which works under testing/synctest.
//
// [Liars] are origins that serve the store of a [World] with one falsehood each. Each names the
// check of package remote that must refuse it.
//
// To test a new Local or Backend, use [TestLocal] and [TestBackend] for the interfaces,
// [TestPersistence] for restarts, [TestMirror] for serving a clone, and [TestLiars] for false
// origins:
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
// The package is for tests only: it stores everything in memory.
package remotetest
