package nodetest

import (
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// Storage is one storage under test. It is empty at first.
type Storage struct {
	// Open opens an instance with the content of the last one. The suite has closed the last one if
	// it is an io.Closer. For a storage without persistence Open returns the same value each time.
	Open func(t *testing.T) storage.Storage
	// OpenReader opens a second instance, which is only read, while another one is open; the
	// suite closes it. nil: Open does that too.
	OpenReader func(t *testing.T) storage.Storage
}

// TestStorage runs the suite. Each subtest calls empty for a new storage. After every change the
// suite checks the storage through the instance that made it, through a second open one, and
// through a new one. Staged content may be lost when the storage is opened again.
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
