package node

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/tier"
)

// eventBuffer is the number of events buffered for a subscriber.
const eventBuffer = 256

// hub sends events to subscribers. It never blocks.
type hub struct {
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	subs   map[*subscriber]bool
	closed bool
}

type subscriber struct {
	events chan api.Event
	lost   uint64 // under the hub's lock
}

func newHub(now func() time.Time, log *slog.Logger) *hub {
	return &hub{now: now, log: log, subs: map[*subscriber]bool{}}
}

// send logs an event and sends it to the subscribers.
func (h *hub) send(level slog.Level, component, name string, details map[string]any) {
	attrs := []any{"component", component}
	for k, v := range details {
		attrs = append(attrs, k, v)
	}
	h.log.Log(context.Background(), level, name, attrs...)
	e := api.Event{Time: h.now(), Level: level, Component: component, Name: name,
		Details: details}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		e.Lost = s.lost
		select {
		case s.events <- e:
			s.lost = 0
		default:
			s.lost++
		}
	}
}

// Events yields the events from the start of the iteration until ctx ends or the node stops. A
// subscriber that is more than 256 events behind loses events, which Event.Lost counts.
func (n *Node) Events(ctx context.Context) iter.Seq[api.Event] { return n.hub.events(ctx) }

func (h *hub) events(ctx context.Context) iter.Seq[api.Event] {
	return func(yield func(api.Event) bool) {
		s := &subscriber{events: make(chan api.Event, eventBuffer)}
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return
		}
		h.subs[s] = true
		h.mu.Unlock()
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.subs, s)
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case e, ok := <-s.events:
				if !ok || !yield(e) {
					return
				}
			}
		}
	}
}

// close ends all subscriptions.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subs {
		delete(h.subs, s)
		close(s.events)
	}
}

// tierEvent sends an event of the tiers.
func (h *hub) tierEvent(e tier.Event) {
	details := map[string]any{}
	put := func(name string, zero bool, v any) {
		if !zero {
			details[name] = v
		}
	}
	put("datastore_id", e.Store.IsZero(), "0x"+e.Store.String())
	put("merkle_root", e.Root.IsZero(), "0x"+e.Root.String())
	put("capsule_hash", e.Hash.IsZero(), "0x"+e.Hash.String())
	put("plot_id", e.Plot.IsZero(), "0x"+e.Plot.String())
	put("path", e.Path == "", e.Path)
	put("size_bytes", e.Bytes == 0, e.Bytes)
	level := slog.LevelInfo
	if e.Err != nil {
		details["error"] = e.Err.Error()
		level = slog.LevelError
	}
	h.send(level, "storage", string(e.Kind), details)
}
