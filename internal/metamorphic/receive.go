package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/internal/corpus"
)

// origin picks a server that has the store.
func (w *world) origin(rnd *rand.Rand, s *store, except string) (*server, *replica) {
	at := w.host
	if w.mirror != nil && except != "mirror" && rnd.IntN(4) == 0 {
		at = w.mirror
	}
	return at, w.replica(at.where, s)
}

// readable adds how reading a head ends that may be revoked. Only the host is
// sure to know a tombstone.
func readable(from *replica, codes []int) []int {
	switch {
	case !from.store.isRevoked(from.head()):
		return codes
	case from.where == "host" && from.store.arrived:
		return []int{5}
	default:
		return append(codes, 5)
	}
}

func (w *world) pull(rnd *rand.Rand, r *replica) *step {
	at, from := w.origin(rnd, r.store, r.where)
	if from.head() == "" || r.head() == "" {
		return nil
	}
	args, codes := on(r, "pull", at.url()), []int{0}
	if from.find(r.head()) < 0 {
		codes = []int{5}
		if rnd.IntN(2) == 0 {
			args = append(args, "--accept-head", from.head())
			if r.find(from.head()) < 0 {
				codes = []int{0}
			}
		}
	}
	all := rnd.IntN(3) == 0
	if all {
		args = append(args, "--all")
	}
	codes = readable(from, codes)
	if r.ahead || r.store.isRevoked(r.head()) && from.where != "host" {
		codes = append(codes, 5)
	}
	return &step{kind: "pull", command: command{where: r.where, args: args}, codes: codes,
		changes: map[*replica]change{r: {appends: true, holds: true}, from: {}},
		done: func(outcome) error {
			if r.head() != from.head() {
				return fmt.Errorf("the head is %q, expected %q", r.head(), from.head())
			}
			r.ahead = r.ahead && from.where != "host"
			if !all {
				return nil
			}
			for _, l := range from.held() {
				if at := r.find(l.Root); !r.store.isRevoked(l.Root) && (at < 0 || !r.lines[at].Held) {
					return fmt.Errorf("root %s is not held", l.Root)
				}
			}
			return nil
		}}
}

// cloneInto clones a store from the host into an existing workspace.
func (w *world) cloneInto(rnd *rand.Rand, r *replica) *step {
	from := w.replica("host", r.store)
	return &step{
		kind:    "clone",
		command: command{where: r.where, args: []string{"clone", w.host.url() + "/stores/" + r.store.id}},
		codes:   []int{0},
		changes: map[*replica]change{r: {appends: true, holds: true}},
		done: func(outcome) error {
			r.exists = true
			if r.head() != from.head() {
				return fmt.Errorf("the head is %q, expected %q", r.head(), from.head())
			}
			return nil
		},
	}
}

// cloneFresh clones into a new workspace, checks it and removes it.
func (w *world) cloneFresh(rnd *rand.Rand, from *replica) *step {
	if from.head() == "" {
		return nil
	}
	at := w.host
	if from.where == "mirror" {
		at = w.mirror
	}
	w.clones++
	dir := fmt.Sprintf("clone-%d", w.clones)
	args := []string{"clone", at.url() + "/stores/" + from.store.id, dir}
	codes := readable(from, []int{0})
	all := rnd.IntN(2) == 0
	if all {
		args = append(args, "--all")
	}
	other := w.replica("mirror", from.store)
	several := w.mirror != nil && other != from && other.head() != "" && rnd.IntN(3) == 0
	if several {
		args = append(args, "--from", w.mirror.url())
		if from.store.isRevoked(from.head()) || other.store.isRevoked(other.head()) {
			codes = []int{0, 5}
		}
	}
	fresh := newReplica(dir, from.store)
	look := func(acknowledged bool) error {
		if _, err := w.inDir(dir); err != nil {
			if acknowledged {
				return err
			}
			return nil // killed before it made anything
		}
		got, err := w.list(fresh)
		if err == nil {
			err = fresh.observe(got, change{appends: true, holds: true})
		}
		if err == nil {
			err = w.check(rnd, fresh)
		}
		return err
	}
	run := func() (outcome, error) { return w.p.run(command{where: ".", args: args}) }
	return &step{kind: "clone", command: command{where: ".", args: args}, codes: codes,
		changes: map[*replica]change{from: {}},
		done: func(outcome) error {
			if err := look(true); err != nil {
				return err
			}
			if fresh.head() != from.head() && !(several && fresh.head() == other.head()) {
				return fmt.Errorf("the clone's head is %q, expected %q", fresh.head(), from.head())
			}
			for _, l := range from.held() {
				if at := fresh.find(l.Root); all && !several && !from.store.isRevoked(l.Root) &&
					(at < 0 || !fresh.lines[at].Held) {
					return fmt.Errorf("root %s is not held", l.Root)
				}
			}
			return nil
		},
		always: func() error {
			// After a kill the clone continues where it stopped.
			if fresh.head() == "" && slices.Equal(codes, []int{0}) {
				if err := look(false); err != nil {
					return err
				}
				out, err := run()
				if err != nil {
					return err
				}
				if out.code != 0 && !(out.code == 2 && fresh.head() != "") {
					return fmt.Errorf("clone again: %v", out)
				}
				if err := look(true); err != nil {
					return fmt.Errorf("clone again: %w", err)
				}
			}
			return w.remove(dir)
		}}
}

// catFrom reads one file of a generation over the network.
func (w *world) catFrom(rnd *rand.Rand, from *replica) *step {
	s := from.store
	held := from.held()
	if len(held) == 0 {
		return nil
	}
	l := held[rnd.IntN(len(held))]
	if !s.named[l.Root] {
		return nil
	}
	name, text := pick(rnd, s.trees[l.Root])
	at := w.host
	if from.where == "mirror" {
		at = w.mirror
	}
	codes := []int{0}
	if s.isRevoked(l.Root) || s.isRevoked(from.head()) {
		codes = []int{0, 5}
	}
	return &step{
		kind: "cat",
		command: command{
			where: ".",
			args: []string{"cat", "urn:dig:chia:" + s.id + ":" + l.Root + "/" + name,
				"--from", at.url()},
		},
		codes:   codes,
		changes: map[*replica]change{from: {}},
		done: func(o outcome) error {
			if string(o.stdout) != string(text) {
				return fmt.Errorf("%q has %d bytes that differ from the %d expected",
					name, len(o.stdout), len(text))
			}
			return nil
		},
	}
}

// pick returns a file of a tree, a large one every other time.
func pick(rnd *rand.Rand, tree corpus.Tree) (string, []byte) {
	names := tree.Names()
	if rnd.IntN(2) == 0 {
		large := slices.DeleteFunc(slices.Clone(names),
			func(n string) bool { return len(tree[n]) < 150_000 })
		if len(large) > 0 {
			names = large
		}
	}
	name := names[rnd.IntN(len(names))]
	return name, tree[name]
}

// checkout writes a generation out. When it is killed the store must be whole,
// and another folder must come out right.
func (w *world) checkout(rnd *rand.Rand, r *replica) *step {
	held := r.held()
	l := held[rnd.IntN(len(held))]
	if !r.names(l.Root) {
		return nil
	}
	w.clones++
	dir := fmt.Sprintf("out-%d", w.clones)
	codes := []int{0}
	if r.store.isRevoked(l.Root) {
		codes = []int{0, 5}
	}
	return &step{
		kind: "checkout",
		command: command{
			where: r.where,
			args:  on(r, "checkout", fmt.Sprint(l.Number), filepath.Join(w.Dir, dir)),
		},
		codes:   codes,
		changes: map[*replica]change{r: {}},
		done:    func(outcome) error { return w.compare(dir, r.store.trees[l.Root]) },
		always:  func() error { return w.remove(dir) },
	}
}
