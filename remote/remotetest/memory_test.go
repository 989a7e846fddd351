package remotetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryIsALocal(t *testing.T) {
	remotetest.TestLocal(t, func(_ *testing.T, id auth.StoreID) remote.Local { return remotetest.NewMemory(id, nil) })
}

func TestStoresAreABackend(t *testing.T) {
	remotetest.TestBackend(t, func(*testing.T) remote.Backend { return remotetest.NewStores(nil) })
}

// TestReadOnlyBackend holds what can only be read to what is left of the promises.
func TestReadOnlyBackend(t *testing.T) {
	remotetest.TestBackend(t, func(*testing.T) remote.Backend { return struct{ remote.Backend }{remotetest.NewStores(nil)} })
}
