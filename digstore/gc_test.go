package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

// TestGC: kept generations stay the same bit for bit. Dropped ones are not held, keep their lines
// and can be installed again.
func TestGC(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		keep  int
		roots []int
		want  []int
	}{
		{0, nil, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{1, nil, []int{9}},
		{3, nil, []int{7, 8, 9}},
		{0, []int{0, 5}, []int{0, 5, 9}},
		{2, []int{3}, []int{3, 8, 9}},
	} {
		t.Run(fmt.Sprint(c.keep, c.roots), func(t *testing.T) {
			s, gens, states := history(t, 10)
			modules := map[int][]byte{}
			for i, g := range gens {
				modules[i] = moduleOf(t, s, g.Root)
			}
			o := &digstore.GCOptions{Keep: c.keep}
			for _, i := range c.roots {
				o.Roots = append(o.Roots, gens[i].Root)
			}
			rep, err := s.GC(ctx, o)
			check(t, err)
			if len(rep.Dropped) != len(gens)-len(c.want) {
				t.Errorf("dropped %d", len(rep.Dropped))
			}
			kept := map[int]bool{}
			for _, i := range c.want {
				kept[i] = true
			}
			for i, line := range gens {
				g, err := s.At(line.Root)
				if !kept[i] {
					if !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("generation %d is still here: %v", i, err)
					}
					continue
				}
				check(t, err)
				wantFiles(t, g, states[i])
				if !bytes.Equal(moduleOf(t, s, line.Root), modules[i]) {
					t.Errorf("generation %d has other bytes", i)
				}
			}
			verifyAll(t, s)
			again, err := s.GC(ctx, o)
			check(t, err)
			if len(again.Dropped) != 0 || again.Freed != 0 {
				t.Errorf("a second gc found %+v", again)
			}
			if got, err := s.Generations(ctx); err != nil || fmt.Sprint(got) != fmt.Sprint(gens) {
				t.Errorf("history %v, %v", got, err)
			}
			if !kept[1] {
				check(t, s.Install(ctx, gens[1:2], auth.SignedRoot{}, bytes.NewReader(modules[1]), deep))
				g, err := s.At(gens[1].Root)
				check(t, err)
				wantFiles(t, g, states[1])
			}
			g := commit(t, s, states[0], &digstore.CommitOptions{Again: true})
			if g.Info().Number != 10 {
				t.Errorf("number %d", g.Info().Number)
			}
			verifyAll(t, s)
		})
	}
	s, _, _ := history(t, 1)
	if _, err := s.GC(ctx,
		&digstore.GCOptions{Roots: []merkle.Hash{{1}}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keep an unknown root: %v", err)
	}
}

// TestManyGenerations: a store of many generations opens each of them, also in a new process.
func TestManyGenerations(t *testing.T) {
	w, s := inMemory(t, &digstore.StoreOptions{Name: "many"})
	const n = 150
	var states []files
	for i := range n {
		state := files{fmt.Sprint("f", i%7): noise(uint64(i), 300), "fixed": "x",
			fmt.Sprint("g", i%11): fmt.Sprint(i)}
		commit(t, s, state, nil)
		states = append(states, state)
	}
	check(t, w.Close())
	s = must(w.Store("many"))
	gens, err := s.Generations(context.Background())
	check(t, err)
	for i, line := range gens {
		g, err := s.At(line.Root)
		check(t, err)
		wantFiles(t, g, states[i])
	}
}
