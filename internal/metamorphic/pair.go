package metamorphic

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// pair runs two steps at the same time. What each prints is not judged, what
// they leave is.
func (w *world) pair(rnd *rand.Rand) error {
	a, b := w.draw(rnd), w.draw(rnd)
	for tries := 0; !compatible(a, b); tries++ {
		if tries == 20 {
			return w.take(rnd, a)
		}
		b = w.draw(rnd)
	}
	w.counts["pair"]++
	if err := errorsIn(a.ready(), b.ready()); err != nil {
		return err
	}
	a.command.next, b.command.next = true, true
	w.p.note("# at the same time:")
	var outs [2]outcome
	var errs [2]error
	var wg sync.WaitGroup
	for i, s := range []*step{a, b} {
		w.counts[s.kind]++
		delay := time.Duration(rnd.Int64N(int64(50 * time.Millisecond)))
		wg.Go(func() {
			time.Sleep(delay)
			outs[i], errs[i] = w.p.run(s.command)
		})
	}
	wg.Wait()
	w.p.note("sleep 2 # for both")
	if err := errorsIn(errs[0], errs[1]); err != nil {
		return err
	}
	changes := maps.Clone(a.changes)
	for r, c := range b.changes {
		changes[r] = changes[r].merge(c)
	}
	for i, s := range []*step{a, b} {
		if !slices.Contains(s.codes, outs[i].code) &&
			!slices.Contains([]int{0, 1, 4, 5, 6, 7, 17}, outs[i].code) {
			return fmt.Errorf("%s: beside another command: %v", s.command.shell(), outs[i])
		}
		for r := range s.changes {
			r.ahead = r.ahead || s.kind == "pull" && outs[i].code != 0
		}
	}
	if err := w.observe(changes); err != nil {
		return fmt.Errorf("%s and %s: %w", a.command.shell(), b.command.shell(), err)
	}
	for _, s := range []*step{a, b} {
		if err := errorsIn(w.settle(s), w.after(rnd, s)); err != nil {
			return fmt.Errorf("%s: beside another command: %w", s.command.shell(), err)
		}
	}
	return nil
}

// compatible reports whether the model can tell what two steps at once may do:
// they do not both commit to one replica.
func compatible(a, b *step) bool {
	for r, c := range a.changes {
		if d, ok := b.changes[r]; ok && c.commits != nil && d.commits != nil {
			return false
		}
	}
	return a.kind != "add" && b.kind != "add"
}
