package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// A model is the state of a store in the simplest form.
type model struct {
	history []merkle.Hash
	pending []waiting // oldest first
	revoked map[merkle.Hash]bool
}

type waiting struct{ root, parent merkle.Hash }

func (m *model) head() (h merkle.Hash) {
	if n := len(m.history); n > 0 {
		h = m.history[n-1]
	}
	return h
}

func (m *model) waits(root merkle.Hash) int {
	return slices.IndexFunc(m.pending, func(w waiting) bool { return w.root == root })
}

func (m *model) forget(root merkle.Hash) {
	m.pending = slices.DeleteFunc(m.pending, func(w waiting) bool { return w.root == root })
}

// push applies remote/PROTOCOL.md 6.3 from step 9 on to a push with a valid signature and returns
// the status.
func (m *model) push(root, parent merkle.Hash, pending bool) int {
	switch {
	case m.revoked[root]:
		return 403
	case root == m.head():
		return 200
	case slices.Contains(m.history, root), parent != m.head():
		return 409
	}
	m.forget(root)
	if pending {
		m.pending = append(m.pending, waiting{root, parent})
		m.pending = m.pending[max(0, len(m.pending)-2):]
		return 202
	}
	m.history = append(m.history, root)
	return 201
}

func (m *model) promote(root merkle.Hash) error {
	i := m.waits(root)
	switch {
	case m.revoked[root]:
		return auth.ErrRevoked
	case i < 0:
		return fs.ErrNotExist
	case m.pending[i].parent != m.head():
		return remote.ErrNonFastForward
	}
	m.forget(root)
	m.history = append(m.history, root)
	return nil
}

// TestServerIsItsModel applies random pushes, promotions and revocations to a server and to its
// model, and compares them.
func TestServerIsItsModel(t *testing.T) {
	const generations = 6
	s := newSite(t, generations, nil)
	seeds := uint64(2)
	if vectors.Long(t) {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			backend := remotetest.NewStores(s.now)
			s.serve(backend, &server.Options{Limits: noLimit, Policy: server.TrustOnFirstUse{}})
			m := &model{revoked: map[merkle.Hash]bool{}}
			for range 25 {
				s.clock.Add(1)
				i := rnd.IntN(generations)
				head := s.heads[i]
				switch op := rnd.IntN(10); {
				case op < 7:
					parent := m.head()
					if rnd.IntN(4) == 0 {
						parent = s.heads[rnd.IntN(generations)].Root
					}
					mode := "advance"
					if op < 2 {
						mode = "pending"
					}
					got := s.put(head, parent, s.modules[i], set("X-Dig-Push-Mode", mode)).StatusCode
					if want := m.push(head.Root, parent, mode == "pending"); got != want {
						t.Fatalf("%s of generation %d: %d, want %d", mode, i, got, want)
					}
				case op < 9:
					got := s.server.Promote(t.Context(), s.id, head.Root)
					if want := m.promote(head.Root); (got == nil) != (want == nil) || !errors.Is(got, want) {
						t.Fatalf("promote generation %d: %v, want %v", i, got, want)
					}
				case len(m.history) > 0:
					body := s.tombstone(auth.Tombstone{Store: s.id, Root: head.Root}, s.publisher)
					want(t, s.do("POST", s.path("/tombstone"), strings.NewReader(body), asJSON), 201, "")
					m.revoked[head.Root] = true
				}
				s.agrees(t, backend, m)
			}
		})
	}
}

// agrees compares the state of the server with the model.
func (s *site) agrees(t *testing.T, b *remotetest.Stores, m *model) {
	t.Helper()
	lines, err := b.Generations(t.Context(), s.id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var roots []merkle.Hash
	for _, g := range lines {
		roots = append(roots, g.Root)
	}
	if !slices.Equal(roots, m.history) {
		t.Fatalf("history %v, want %v", roots, m.history)
	}
	for i, h := range s.heads {
		status, body := 404, "*"
		if slices.Contains(m.history, h.Root) {
			status, body = 200, string(s.modules[i])
		}
		want(t, s.do("GET", s.path("/module?root="+h.Root.String()), nil), status, body)
	}
}

// TestPullersBesideAPublisher clones and pulls a store from many clients while generations are
// pushed: each client sees only whole generations, in order, no head is lost, and no state of the
// clients remains.
func TestPullersBesideAPublisher(t *testing.T) {
	pullers, generations := 100, 5
	if vectors.Long(t) {
		pullers, generations = 1000, 20
	}
	s := newSite(t, generations, nil)
	backend := remotetest.NewStores(s.now)
	s.serve(backend, &server.Options{Limits: noLimit, Policy: server.TrustOnFirstUse{}})
	want(t, s.put(s.heads[0], merkle.Hash{}, s.modules[0]), 201, "")
	goroutines := runtime.NumGoroutine()
	origin := remotetest.NewOrigin(s.server)
	var wg sync.WaitGroup
	pulled, ended := make(chan struct{}, pullers), make(chan struct{})
	// published[n] is closed after generation n, so that every pull finds something
	published := make([]chan struct{}, generations)
	for n := range published {
		published[n] = make(chan struct{})
	}
	for range pullers {
		wg.Go(func() {
			c, err := origin.Client(s.id, &remote.ClientOptions{Now: s.now})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			local := remotetest.NewMemory(s.id, s.now)
			for last := -1; last < len(s.heads)-1; {
				if last >= 0 {
					<-published[last+1]
				}
				if _, err := remote.Pull(t.Context(), local, c, remote.Trust{KeyHashID: true}); err != nil {
					t.Error(err)
					return
				}
				select {
				case pulled <- struct{}{}:
				default:
				}
				head, _ := local.Head(t.Context())
				at := slices.Index(s.heads, head)
				if at < last {
					t.Errorf("from generation %d to %d", last, at)
					return
				}
				last = at
				if m, err := local.Module(t.Context(), head.Root); err != nil {
					t.Error(err)
				} else if got, err := io.ReadAll(m); err != nil || !bytes.Equal(got, s.modules[at]) {
					t.Errorf("generation %d is not what was pushed: %v", at, err)
				}
			}
		})
	}
	go func() { wg.Wait(); close(ended) }()
	for n := 1; n < len(s.heads); n++ {
		for range pullers / len(s.heads) { // pulls, so that some begin with each generation
			select {
			case <-pulled:
			case <-ended:
			}
		}
		want(t, s.put(s.heads[n], s.heads[n-1].Root, s.modules[n]), 201, "")
		close(published[n])
	}
	<-ended
	origin.Close()
	if lines, err := backend.Generations(t.Context(), s.id); err != nil || len(lines) != len(s.heads) {
		t.Errorf("%d generations of %d are there, %v", len(lines), len(s.heads), err)
	}
	for n := 0; runtime.NumGoroutine() > goroutines; n++ {
		if runtime.Gosched(); n == 1_000_000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}
