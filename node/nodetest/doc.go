// Package nodetest tests implementations of the interfaces of a node. [TestStorage] is the suite
// that every storage.Storage passes:
//
//	func TestMyStorage(t *testing.T) {
//		nodetest.TestStorage(t, func(t *testing.T) nodetest.Storage {
//			dir := t.TempDir()
//			return nodetest.Storage{
//				Open: func(t *testing.T) storage.Storage { return open(t, dir) },
//			}
//		})
//	}
package nodetest
