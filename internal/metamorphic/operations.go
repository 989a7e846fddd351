package metamorphic

import (
	"context"
	"math/rand/v2"
)

// A maker makes a step for the replica r, or returns nil where the state does not
// permit one.
type maker func(rnd *rand.Rand, r *replica) *step

// operations are the kinds of steps with how often each is drawn, and which
// replicas it is for.
func (w *world) operations() []operation {
	return []operation{
		{10, publishers, w.commit},
		{4, publishers, w.add},
		{10, publishers, w.push},
		{3, publishers, w.pushPending},
		{4, publishers, w.promote},
		{8, synced, w.pull},
		{2, anywhere, w.gc},
		{5, anywhere, w.gcKeep},
		{1, publishers, w.revoke},
		{4, anywhere, w.importElsewhere},
		{6, servers, w.cloneFresh},
		{3, servers, w.catFrom},
		{3, anywhere, w.checkout},
	}
}

type operation struct {
	weight  int
	replica func(*replica) bool
	make    maker
}

func publishers(r *replica) bool { return r.publishes }
func anywhere(r *replica) bool   { return len(r.lines) > 0 }
func servers(r *replica) bool    { return r.where == "host" || r.where == "mirror" }

// synced are the replicas that pull.
func synced(r *replica) bool { return r.publishes || r.where == "mirror" }

// draw makes a random step.
func (w *world) draw(rnd *rand.Rand) *step {
	list := w.operations()
	total := 0
	for _, o := range list {
		total += o.weight
	}
	for {
		n := rnd.IntN(total)
		i := 0
		for ; n >= list[i].weight; i++ {
			n -= list[i].weight
		}
		var fit []*replica
		for _, r := range w.replicas {
			if list[i].replica(r) {
				fit = append(fit, r)
			}
		}
		if len(fit) == 0 {
			continue
		}
		if s := list[i].make(rnd, fit[rnd.IntN(len(fit))]); s != nil {
			return s
		}
	}
}

// step takes the n-th step: a command, two at once, one that is killed or whose
// server is, or a restart of a server.
func (w *world) step(ctx context.Context, n int, rnd *rand.Rand) error {
	switch how := rnd.IntN(20); {
	case how == 0:
		return w.restart(ctx, rnd)
	case how < 4:
		return w.pair(rnd)
	case how < 8:
		s := w.draw(rnd)
		return w.takeKilled(rnd, s, nil)
	case how < 10:
		s := w.draw(rnd)
		return w.takeKilled(rnd, s, w.serverOf(s))
	default:
		return w.take(rnd, w.draw(rnd))
	}
}
