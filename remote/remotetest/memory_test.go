package remotetest_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func memory(_ *testing.T, id auth.StoreID) remote.Local { return remotetest.NewMemory(id, nil) }

// worlds runs a suite with the small World, and in a long run also with the large one.
func worlds(t *testing.T, suite func(t *testing.T, w *remotetest.World)) {
	t.Helper()
	with := func(name string, world func() (*remotetest.World, error)) {
		t.Run(name, func(t *testing.T) {
			w, err := world()
			if err != nil {
				t.Fatal(err)
			}
			suite(t, w)
		})
	}
	with("small", smallWorld)
	if vectors.Long(t) {
		with("large", largeWorld)
	}
}

var (
	smallWorld = sync.OnceValues(func() (*remotetest.World, error) {
		return remotetest.NewWorld(context.Background(), nil)
	})
	largeWorld = sync.OnceValues(func() (*remotetest.World, error) {
		return remotetest.NewLargeWorld(context.Background(), nil)
	})
)

func TestMemoryIsALocal(t *testing.T) {
	worlds(t, func(t *testing.T, w *remotetest.World) { remotetest.TestLocal(t, w, memory) })
}

func TestLiars(t *testing.T) {
	worlds(t, func(t *testing.T, w *remotetest.World) { remotetest.TestLiars(t, w, memory) })
}

// minimal is a Local without optional interfaces.
type minimal struct {
	remote.Local
	memory *remotetest.Memory
}

func (m minimal) Install(ctx context.Context, lines []module.Generation,
	head auth.SignedRoot, r io.Reader,
	check func(*module.Module) error) error {
	err := m.Local.Install(ctx, lines, head, r, check)
	if len(lines) == 0 {
		return err
	}
	return errors.Join(err, m.memory.Discard(ctx, lines[len(lines)-1].Root))
}

// TestMinimal checks that a correct Local without optional interfaces passes.
func TestMinimal(t *testing.T) {
	open := func(t *testing.T, id auth.StoreID) remote.Local {
		m := remotetest.NewMemory(id, nil)
		return minimal{m, m}
	}
	w, err := smallWorld()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("local", func(t *testing.T) { remotetest.TestLocal(t, w, open) })
	if vectors.Long(t) {
		t.Run("liars", func(t *testing.T) { remotetest.TestLiars(t, w, open) })
	}
}

func TestMemoryIsKept(t *testing.T) {
	worlds(t, func(t *testing.T, w *remotetest.World) {
		remotetest.TestPersistence(t, w, func(_ *testing.T, id auth.StoreID) func() remote.Local {
			m := remotetest.NewMemory(id, nil)
			return func() remote.Local { return m }
		})
	})
}

func TestMemoryIsAMirror(t *testing.T) {
	worlds(t, func(t *testing.T, w *remotetest.World) {
		remotetest.TestMirror(t, w, func(_ *testing.T, id auth.StoreID) (remote.Local, server.Backend) {
			m := remotetest.NewMemory(id, nil)
			return m, remotetest.NewStores(nil, m)
		})
	})
}

func TestStoresAreABackend(t *testing.T) {
	worlds(t, func(t *testing.T, w *remotetest.World) {
		remotetest.TestBackend(t, w, func(*testing.T) server.Backend { return remotetest.NewStores(nil) })
	})
}

// TestReadOnlyBackend runs the applicable tests on a read-only backend.
func TestReadOnlyBackend(t *testing.T) {
	worlds(t, func(t *testing.T, w *remotetest.World) {
		remotetest.TestBackend(t, w, func(*testing.T) server.Backend {
			return struct{ server.Backend }{remotetest.NewStores(nil)}
		})
	})
}

// TestHonest is the counterpart of TestLiars, with an honest origin.
func TestHonest(t *testing.T) {
	world, err := remotetest.NewWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h, err := world.Honest(t.Context(), remotetest.Generations)
		if err != nil {
			t.Fatal(err)
		}
		origin := remotetest.NewOrigin(h)
		defer origin.Close()
		client, err := origin.Client(world.Store, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		trust := remote.Trust{Publisher: world.Publisher.PublicKey()}
		for held := range remotetest.Generations + 1 {
			local, err := world.Memory(t.Context(), held)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := remote.Pull(t.Context(), local, client, trust); err != nil {
				t.Fatalf("with %d generations held: %v", held, err)
			}
			if head, err := local.Head(t.Context()); err != nil ||
				head != world.Heads[remotetest.Generations-1] {
				t.Errorf("with %d generations held: head %v, %v", held, head, err)
			}
		}
	})
}

// TestWorldIsTheSameEveryTime checks that a World is deterministic, which golden files rely on.
func TestWorldIsTheSameEveryTime(t *testing.T) {
	a, err := remotetest.NewWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := remotetest.NewWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Heads != b.Heads {
		t.Error("two worlds differ")
	}
}
