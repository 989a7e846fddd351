package remotetest_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// TestLiars clones and pulls from every liar: the check that its lie is made for refuses it, nothing is written, and
// what was there before still reads.
func TestLiars(t *testing.T) {
	world, err := remotetest.NewWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	trust := remote.Trust{Publisher: world.Publisher.PublicKey()}
	for _, liar := range remotetest.Liars() {
		for _, visit := range []struct {
			name string
			held int // generations that are there before
			want remotetest.Refusal
			do   func(t *testing.T, to remote.Local, from remote.Origin) error
		}{
			{"clone", 0, liar.Clone, func(t *testing.T, to remote.Local, from remote.Origin) error {
				_, err := remote.Clone(t.Context(), to, from, trust)
				return err
			}},
			{"pull", 2, liar.Pull, func(t *testing.T, to remote.Local, from remote.Origin) error {
				_, err := remote.Pull(t.Context(), to, from, trust)
				return err
			}},
		} {
			t.Run(liar.Name+"/"+visit.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h, err := liar.Handler(t.Context(), world)
					if err != nil {
						t.Fatal(err)
					}
					origin := remotetest.NewOrigin(h)
					defer origin.Close()
					client, err := origin.Client(world.Store, &remote.ClientOptions{MaxModule: 4 << 20})
					if err != nil {
						t.Fatal(err)
					}
					defer client.Close()
					local, err := world.Memory(t.Context(), visit.held)
					if err != nil {
						t.Fatal(err)
					}
					err = visit.do(t, local, client)
					if visit.want.IsZero() {
						if err != nil {
							t.Fatalf("%s: %v", liar.Lie, err)
						}
						return
					}
					refused(t, err, visit.want)
					unchanged(t, world, local, visit.held)
				})
			})
		}
	}
}

func refused(t *testing.T, err error, want remotetest.Refusal) {
	t.Helper()
	if err == nil {
		t.Fatal("it was believed")
	}
	var v *remote.VerificationError
	if errors.As(err, &v) != (want.Check != "") || v != nil && v.Check != want.Check {
		t.Errorf("refused by %q: %v\nwant check %q", check(v), err, want.Check)
	}
	if want.Err != nil && !errors.Is(err, want.Err) {
		t.Errorf("got %v, want %v in it", err, want.Err)
	}
}

func check(v *remote.VerificationError) remote.Check {
	if v == nil {
		return ""
	}
	return v.Check
}

// unchanged holds a store to the state it had: the first n generations, each of which reads.
func unchanged(t *testing.T, w *remotetest.World, m *remotetest.Memory, n int) {
	t.Helper()
	lines, err := m.Generations(t.Context())
	if err != nil || len(lines) != n {
		t.Fatalf("history %v, %v: want %d lines", lines, err, n)
	}
	var root merkle.Hash
	for i, g := range lines {
		root = g.Root
		if root != w.Heads[i].Root {
			t.Errorf("generation %d is %s", i, root)
		}
		r, err := m.Module(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, w.Modules[i]) {
			t.Errorf("generation %d does not read as it did: %v", i, err)
		}
		r.Close()
	}
	if head, err := m.Head(t.Context()); err != nil || head.Root != root {
		t.Errorf("head %v, %v: want %s", head.Root, err, root)
	}
}

// TestHonest is the other half: the same visits at an origin that does not lie.
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
		for _, held := range []int{0, 1, 2, 3} {
			local, err := world.Memory(t.Context(), held)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := remote.Pull(t.Context(), local, client, trust); err != nil {
				t.Fatalf("with %d generations held: %v", held, err)
			}
			if head, err := local.Head(t.Context()); err != nil || head != world.Heads[remotetest.Generations-1] {
				t.Errorf("with %d generations held: head %v, %v", held, head, err)
			}
		}
	})
}

// TestWorldIsTheSameEveryTime is what makes goldens over it possible.
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
