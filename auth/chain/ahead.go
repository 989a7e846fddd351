package chain

import (
	"context"
	"sync"

	"github.com/dig-network/digstore/merkle"
)

// ahead asks for spends before they are needed, where the records at hand tell which will be. It asks for each once,
// and holds at most walkAhead.
type ahead struct {
	source Source
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	asked  map[merkle.Hash]*answer
}

// answer is one spend, once done is closed.
type answer struct {
	height uint32
	done   chan struct{}
	spend  *CoinSpend
	err    error
}

func newAhead(ctx context.Context, source Source) *ahead {
	a := &ahead{source: source, asked: make(map[merkle.Hash]*answer)}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// stop ends what is still asked, and waits for it.
func (a *ahead) stop() {
	a.cancel()
	a.wg.Wait()
}

// spend returns the spend of a coin, and has those after it asked for.
func (a *ahead) spend(ctx context.Context, q *questions, id merkle.Hash, height uint32) (*CoinSpend, error) {
	a.ask(id, height)
	for next, ok := q.odd[id]; ok && len(a.asked) < walkAhead; next, ok = q.odd[next] {
		rec := q.records[next]
		if rec.Spent == 0 {
			break
		}
		a.ask(next, rec.Spent)
	}
	w := a.asked[id]
	delete(a.asked, id)
	<-w.done
	if w.height != height { // what was foreseen was wrong
		return a.source.CoinSpend(ctx, id, height)
	}
	return w.spend, w.err
}

func (a *ahead) ask(id merkle.Hash, height uint32) {
	if a.asked[id] != nil {
		return
	}
	w := &answer{height: height, done: make(chan struct{})}
	a.asked[id] = w
	a.wg.Go(func() {
		defer close(w.done)
		w.spend, w.err = a.source.CoinSpend(a.ctx, id, height)
	})
}
