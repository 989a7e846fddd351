package remote_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// TestMirrors lets mirrors pull from a publisher and from one another at random. Each history must
// be a prefix of the publisher's and never become shorter, and its head must be held. A pull from
// a mirror that is behind is a rollback; no other pull may fail.
func TestMirrors(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, seed))
	t.Logf("seed %d", seed)
	publisher, by := store(t, launcher, 1)
	mirrors := []*remotetest.Memory{publisher.Memory}
	for range 4 {
		m := publisher.empty()
		if _, err := remote.Clone(t.Context(), m, publisher,
			remote.Trust{Publisher: by.PublicKey()}); err != nil {
			t.Fatal(err)
		}
		mirrors = append(mirrors, m)
	}
	history := func(m *remotetest.Memory) []module.Generation {
		lines, err := m.Generations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	for step, published := 0, 1; step < 150; step++ {
		if rnd.IntN(5) == 0 {
			publisher.publish(t, by, published)
			published++
			continue
		}
		to, from := mirrors[1+rnd.IntN(4)], mirrors[rnd.IntN(5)]
		before, theirs := history(to), history(from)
		_, err := remote.Pull(t.Context(), to, &direct{Memory: from}, remote.Trust{})
		after := history(to)
		switch {
		case len(theirs) < len(before):
			if !errors.Is(err, remote.ErrRollback) {
				t.Fatalf("step %d: %d lines from a mirror of %d: %v", step, len(before), len(theirs), err)
			}
			equal(t, "history after a refusal", after, before)
		case err != nil:
			t.Fatalf("step %d: %v", step, err)
		default:
			equal(t, "history", after, theirs)
		}
		equal(t, "the publisher's beginning", after, history(publisher.Memory)[:len(after)])
		if held := holds(t, to); !held[len(held)-1] {
			t.Fatalf("step %d: the head is not held", step)
		}
	}
}
