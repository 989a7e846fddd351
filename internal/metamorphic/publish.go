package metamorphic

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/dig-network/digstore/internal/corpus"
)

// on returns the arguments for a command on a replica.
func on(r *replica, args ...string) []string {
	return append([]string{"--store", r.store.id}, args...)
}

// edit returns a changed copy of a publisher's folder.
func (w *world) edit(rnd *rand.Rand, r *replica) corpus.Tree {
	tree := corpus.RandomEdit(r.folder, rnd.Uint64())
	if rnd.IntN(4) == 0 { // the changes that fixtures of few files do not make
		list := corpus.Edits()
		tree = list[1+rnd.IntN(4)].Apply(r.folder, rnd.Uint64())
	}
	if size := tree.Size(); size > 8<<20 || size < 1<<20 || len(tree) < 20 {
		tree = corpus.Small(rnd.Uint64())
	}
	return tree
}

// add changes the folder and stages all of it.
func (w *world) add(rnd *rand.Rand, r *replica) *step {
	if r.staged {
		return nil
	}
	content := w.edit(rnd, r)
	return &step{kind: "add", command: command{where: r.site(), args: on(r, "add", ".")},
		prepare: func() error { return w.put(r, content) },
		codes:   []int{0}, changes: map[*replica]change{r: {}},
		done: func(outcome) error {
			r.staged = true
			return nil
		}}
}

// commit commits what is staged, or else changes the folder and commits it.
func (w *world) commit(rnd *rand.Rand, r *replica) *step {
	if !r.staged && !r.root {
		return w.add(rnd, r)
	}
	content, staged := r.folder, r.staged
	if !staged && rnd.IntN(10) > 0 {
		content = w.edit(rnd, r)
	}
	codes := []int{0}
	if r.had(content) != "" {
		codes = []int{1}
	}
	args := on(r, "commit", "--json", "-m", fmt.Sprint("generation ", len(r.lines)))
	return &step{kind: "commit", command: command{where: r.where, args: args}, codes: codes,
		prepare: func() error {
			if staged {
				return nil
			}
			return w.put(r, content)
		},
		changes: map[*replica]change{r: {commits: content}},
		done: func(o outcome) error {
			r.staged = false
			var made struct{ Root string }
			if err := json.Unmarshal(o.stdout, &made); err != nil {
				return err
			}
			if r.head() != made.Root {
				return fmt.Errorf("the head is %q, expected %q", r.head(), made.Root)
			}
			return nil
		},
		always: func() error {
			if !staged || !r.staged {
				return nil
			}
			return w.unstage(r) // it was refused
		}}
}

// unstage empties the staging area.
func (w *world) unstage(r *replica) error {
	r.staged = false
	out, err := w.p.run(command{where: r.where, args: on(r, "unstage", "--all")})
	if err != nil {
		return err
	}
	if out.code != 0 {
		return fmt.Errorf("unstage in %s: %v", r.where, out)
	}
	return nil
}

// pushCodes says how a push of the head of r to the host ends.
func (w *world) pushCodes(r, host *replica) []int {
	switch {
	case r.store.isRevoked(r.head()) && !r.store.arrived:
		return []int{0, 5, 7}
	case r.store.isRevoked(r.head()):
		return []int{5}
	case host.head() != "" && r.find(host.head()) < 0:
		return []int{7}
	}
	return []int{0}
}

func (w *world) push(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	if r.head() == "" {
		return nil
	}
	before := len(host.lines)
	args := on(r, "push", w.host.url())
	if rnd.IntN(6) == 0 {
		args = append(args, "--head-only")
	}
	return &step{
		kind:    "push",
		command: command{where: r.where, args: args},
		codes:   w.pushCodes(r, host),
		changes: map[*replica]change{host: {appends: true, holds: true}, r: {}},
		done: func(outcome) error {
			if host.head() != r.head() {
				return fmt.Errorf("the host's head is %q, expected %q", host.head(), r.head())
			}
			place := -1
			for _, l := range host.lines[before:] {
				at := r.find(l.Root)
				if at <= place {
					return fmt.Errorf("the host took root %s out of order", l.Root)
				}
				place = at
			}
			return nil
		},
	}
}

func (w *world) pushPending(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	if r.head() == "" || host.head() == "" {
		return nil
	}
	return &step{
		kind:    "push pending",
		command: command{where: r.where, args: on(r, "push", "--pending", w.host.url())},
		codes:   w.pushCodes(r, host),
		changes: map[*replica]change{host: {}, r: {}},
	}
}

func (w *world) promote(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	if r.head() == "" || host.head() == "" {
		return nil
	}
	last := r.lines[len(r.lines)-1].Number
	return &step{
		kind:    "promote",
		command: command{where: r.where, args: on(r, "promote", fmt.Sprint(last), w.host.url())},
		codes:   w.pushCodes(r, host),
		changes: map[*replica]change{host: {appends: true, holds: true}, r: {}},
		done: func(outcome) error {
			if host.head() != r.head() {
				return fmt.Errorf("the host's head is %q, expected %q", host.head(), r.head())
			}
			return nil
		},
	}
}

// revoke takes back one generation that the host holds. The head is left alone
// most of the time, as the store can only be read again after another push.
func (w *world) revoke(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	var fit []line
	for _, l := range r.lines {
		if host.find(l.Root) >= 0 && !r.store.isRevoked(l.Root) &&
			(l.Root != host.head() || rnd.IntN(3) == 0) {
			fit = append(fit, l)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	l := fit[rnd.IntN(len(fit))]
	acknowledged := false
	what, gone := []string{"--root", fmt.Sprint(l.Number)}, rnd.IntN(12) == 0
	if gone {
		what = []string{"--all"}
	}
	return &step{kind: "revoke", command: command{where: r.where,
		args: on(r, append(append([]string{"revoke", "--yes"}, what...), w.host.url())...)},
		codes: []int{0}, changes: map[*replica]change{r: {}, host: {}},
		done: func(outcome) error {
			acknowledged = true
			return nil
		},
		always: func() error { // also when it was killed: it may have arrived
			r.store.arrived = r.store.arrived && acknowledged
			r.store.revoked[l.Root] = r.store.revoked[l.Root] || !gone
			r.store.gone = r.store.gone || gone
			return nil
		}}
}
