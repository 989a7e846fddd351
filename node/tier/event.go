package tier

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
)

// eventBuffer is the number of events buffered for a subscriber.
const eventBuffer = 256

// events sends events to subscribers. It never blocks.
type events struct {
	mu   sync.Mutex
	subs map[chan Event]bool
	lost atomic.Uint64
}

func (e *events) subscribe() chan Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch := make(chan Event, eventBuffer)
	if e.subs == nil {
		e.subs = map[chan Event]bool{}
	}
	e.subs[ch] = true
	return ch
}

func (e *events) cancel(ch chan Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.subs, ch)
}

func (e *events) send(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ch := range e.subs {
		select {
		case ch <- ev:
		default:
			e.lost.Add(1)
		}
	}
}

// Events yields what happens from the call of Events on, until ctx ends. A subscriber that is
// more than 256 events behind loses events; Status counts them.
func (t *Tiers) Events(ctx context.Context) iter.Seq[Event] {
	ch := t.events.subscribe()
	stop := context.AfterFunc(ctx, func() { t.events.cancel(ch) })
	return func(yield func(Event) bool) {
		defer stop()
		defer t.events.cancel(ch)
		for {
			select {
			case ev := <-ch:
				if !yield(ev) {
					return
				}
				continue
			default:
			}
			select {
			case <-ctx.Done():
				return
			case ev := <-ch:
				if !yield(ev) {
					return
				}
			}
		}
	}
}

func (t *Tiers) notify(ev Event) {
	ev.Time = t.c.Now()
	t.events.send(ev)
}
