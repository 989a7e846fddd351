package nodetest

import (
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// Storage is one storage under test. It is empty at first.
type Storage struct {
	// Open opens an instance that sees what the last one has kept. The one before, when it is an
	// io.Closer, has been closed. A storage that keeps nothing beyond its life returns the same
	// value each time.
	Open func(t *testing.T) storage.Storage
	// OpenReader opens a second instance, which is only read, while another one is open; the
	// suite closes it. nil: Open does that too.
	OpenReader func(t *testing.T) storage.Storage
}

// TestStorage runs the suite. Each subtest asks for a storage of its own. After every change the
// suite looks at the storage through the instance that made it, through a second one that is open
// at the same time, and through a fresh one. Staged content may be gone when the storage is opened
// again.
func TestStorage(t *testing.T, empty func(t *testing.T) Storage) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *harness)
	}{
		{"Absent", testAbsent},
		{"Contents", testContents},
		{"Ranges", testRanges},
		{"Staged", testStaged},
		{"WrongBytes", testWrongBytes},
		{"CommitRefused", testCommitRefused},
		{"Heads", testHeads},
		{"Meta", testMeta},
		{"PartialHoldings", testPartialHoldings},
		{"Discard", testDiscard},
		{"Remove", testRemove},
		{"Cancelled", testCancelled},
		{"Concurrent", testConcurrent},
		{"Random", testRandom},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &harness{t: t, under: empty(t), contents: map[merkle.Hash][]byte{},
				stores: map[auth.StoreID]*model{}}
			h.Storage = h.under.Open(t)
			t.Cleanup(func() { closeStorage(h.Storage) })
			c.run(t, h)
		})
	}
}
