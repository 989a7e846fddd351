// Package capsuletest tests implementations of the interfaces of package capsule. [TestStore] is
// the suite that every capsule.Store passes:
//
//	func TestMyStore(t *testing.T) {
//		capsuletest.TestStore(t, func(t *testing.T) capsuletest.Instance {
//			dir := t.TempDir()
//			return capsuletest.Instance{Open: func(t *testing.T) capsule.Store { return open(t,
//			dir) }}
//		})
//	}
//
// [TestSource] is the suite for a capsule.Source that is only read.
//
// [Plots] is a plot in memory, for tests of what asks or answers challenges.
package capsuletest
