package nodetest_test

import (
	"testing"

	"github.com/dig-network/digstore/node/nodetest"
	"github.com/dig-network/digstore/node/storage"
)

// A test of one's own storage.
func ExampleTestStorage() {
	_ = func(t *testing.T) {
		nodetest.TestStorage(t, func(t *testing.T) nodetest.Storage {
			s := storage.NewMemory(nil)
			return nodetest.Storage{Open: func(*testing.T) storage.Storage { return s }}
		})
	}
}
