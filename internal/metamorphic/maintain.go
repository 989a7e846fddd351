package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
)

func (w *world) gc(rnd *rand.Rand, r *replica) *step {
	return &step{kind: "gc", command: command{where: r.where, args: on(r, "gc")},
		codes: []int{0}, changes: map[*replica]change{r: {}}}
}

func (w *world) gcKeep(rnd *rand.Rand, r *replica) *step {
	keep := 1 + rnd.IntN(3)
	return &step{
		kind:    "gc keep",
		command: command{where: r.where, args: on(r, "gc", "--yes", "--keep", fmt.Sprint(keep))},
		codes:   []int{0},
		changes: map[*replica]change{r: {keep: keep}},
		done: func(outcome) error {
			for i, l := range r.lines {
				if l.Held && i < len(r.lines)-keep {
					return fmt.Errorf("generation %d is still held", l.Number)
				}
			}
			return nil
		},
	}
}

// importElsewhere exports a generation that is held, and imports it in the
// archive, or where its line is known and its content is not held.
func (w *world) importElsewhere(rnd *rand.Rand, r *replica) *step {
	held := r.held()
	l := held[rnd.IntN(len(held))]
	to := w.replica("archive", r.store)
	for _, other := range w.replicas {
		if at := other.find(l.Root); other.store == r.store && at >= 0 && !other.lines[at].Held {
			to = other
			break
		}
	}
	if to == r || r.store.isRevoked(l.Root) {
		return nil
	}
	w.clones++
	file := filepath.Join(w.Dir, fmt.Sprintf("module-%d.dig", w.clones))
	codes := []int{0}
	if at := to.find(l.Root); at >= 0 && to.lines[at].Held {
		codes = []int{2} // it exists
	}
	return &step{
		kind:    "import",
		command: command{where: to.where, args: []string{"import", file}},
		codes:   codes,
		prepare: func() error {
			out, err := w.p.run(command{where: r.where, args: on(r, "export", fmt.Sprint(l.Number), file)})
			if err != nil {
				return err
			}
			if out.code != 0 {
				return fmt.Errorf("export generation %d of %s: %v", l.Number, r, out)
			}
			return nil
		},
		changes: map[*replica]change{to: {appends: true, holds: true}, r: {}},
		done: func(outcome) error {
			to.exists = true
			if at := to.find(l.Root); at < 0 || !to.lines[at].Held {
				return fmt.Errorf("root %s is not held", l.Root)
			}
			return nil
		},
	}
}
