package diskfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Recover returns a disk that may be found after a power cut at this moment. Seed 0 loses
// everything that was not synced, seed 1 keeps all of it. Any other seed decides at random for
// every name and for every block of 512 bytes of unsynced files. Both names of a rename are kept or
// lost together, as on a file system with a journal. Data that a failed sync dropped is lost.
// Recover does not change c. No file of the result is open or locked.
func (c *Crash) Recover(seed uint64) *Crash { return c.RecoverWith(seed, &c.o) }

// RecoverWith is Recover with other options for the result.
func (c *Crash) RecoverWith(seed uint64, o *CrashOptions) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &recovery{seed: seed, rnd: rand.New(rand.NewPCG(seed, 0x64736b)),
		done: map[*node]*node{}, kept: map[*node]bool{}}
	return &Crash{root: r.node(c.root), o: *o, calls: c.calls}
}

type recovery struct {
	seed uint64
	rnd  *rand.Rand
	done map[*node]*node
	kept map[*node]bool // whether the change of names of that node is kept
}

// keepName decides for a name that led to old and leads to now; either may be nil.
func (r *recovery) keepName(old, now *node) bool {
	moved := now
	if now == nil {
		moved = old
	}
	keep, decided := r.kept[moved]
	if !decided {
		keep = r.keepNew()
		r.kept[moved] = keep
	}
	return keep
}

// keepNew decides for one block or change.
func (r *recovery) keepNew() bool {
	return r.seed == 1 || r.seed > 1 && r.rnd.IntN(2) == 1
}

func (r *recovery) node(n *node) *node {
	if n == nil {
		return nil
	}
	if d := r.done[n]; d != nil {
		return d
	}
	d := &node{dir: n.dir, mode: n.mode, mtime: n.mtime, target: n.target, bad: maps.Clone(n.bad)}
	r.done[n] = d
	if !n.dir {
		d.data = r.data(n)
		d.synced = slices.Clone(d.data)
		return d
	}
	d.names, d.durable = map[string]*node{}, map[string]*node{}
	all := map[string]bool{}
	for name := range n.names {
		all[name] = true
	}
	for name := range n.durable {
		all[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		found := n.durable[name]
		if n.names[name] != found && r.keepName(found, n.names[name]) {
			found = n.names[name]
		}
		if found != nil {
			f := r.node(found)
			d.names[name], d.durable[name] = f, f
		}
	}
	return d
}

// data mixes the synced and the seen bytes of a file block by block.
func (r *recovery) data(n *node) []byte {
	if !n.dirty || r.seed == 0 {
		return slices.Clone(n.synced)
	}
	seen := n.written()
	if r.seed == 1 {
		return seen
	}
	size := len(n.synced)
	switch lo, hi := min(size, len(seen)), max(size, len(seen)); r.rnd.IntN(3) {
	case 0:
		size = len(seen)
	case 1:
		size = lo + r.rnd.IntN(hi-lo+1)
	}
	out := make([]byte, size)
	for at := 0; at < size; at += block {
		from := n.synced
		if r.keepNew() {
			from = seen
		}
		if at < len(from) {
			copy(out[at:min(at+block, size)], from[at:])
		}
	}
	return out
}
