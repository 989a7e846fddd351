package chain

import (
	"context"
	"sync"

	"github.com/dig-network/digstore/merkle"
)

// A prefetcher requests spends before they are needed, if the known records tell which are next. It
// requests each spend once and keeps at most walkAhead.
type prefetcher struct {
	source Source
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	asked  map[merkle.Hash]*answer // by coin
}

// answer is the result of one request. It is set when done is closed.
type answer struct {
	height uint32
	done   chan struct{}
	spend  *CoinSpend
	err    error
}

func newPrefetcher(ctx context.Context, source Source) *prefetcher {
	a := &prefetcher{source: source, asked: make(map[merkle.Hash]*answer)}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// stop cancels open requests and waits for them.
func (a *prefetcher) stop() {
	a.cancel()
	a.wg.Wait()
}

// spend returns the spend of a coin, and requests the following spends.
func (a *prefetcher) spend(ctx context.Context, q *questions, id merkle.Hash,
	height uint32) (*CoinSpend, error) {
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
	if w.height != height { // the record was wrong
		return a.source.CoinSpend(ctx, id, height)
	}
	return w.spend, w.err
}

func (a *prefetcher) ask(id merkle.Hash, height uint32) {
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
