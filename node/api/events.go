package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// MarshalJSON returns the event as one object. The order of the members is that of a log line.
func (e Event) MarshalJSON() ([]byte, error) { return e.object("") }

// object returns the JSON form, with the id of the node if nodeID is not empty.
func (e Event) object(nodeID string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, m := range []struct {
		name  string
		value any
	}{
		{"timestamp", e.Time.UTC().Format("2006-01-02T15:04:05.000Z")},
		{"level", e.Level.String()},
		{"node_id", nodeID},
		{"component", e.Component},
		{"event", e.Name},
		{"details", e.details()},
	} {
		if m.name == "node_id" && nodeID == "" {
			continue
		}
		text, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.Name, err)
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.name, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (e Event) details() map[string]any {
	if e.Details == nil {
		return map[string]any{}
	}
	return e.Details
}

// keepAlive is the time between two comments in a stream of events.
const keepAlive = 15 * time.Second

// events answers GET /events.
func (s *Server) events(w *answer, c *call) error {
	if n := s.subscribers.Add(1); n > int64(s.opt.MaxSubscribers) {
		s.subscribers.Add(-1)
		return &Error{Code: Busy, RetryAfter: 10 * time.Second}
	}
	defer s.subscribers.Add(-1)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if c.Method == http.MethodHead {
		return nil
	}
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.Context())
	lines := make(chan []byte)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range s.opt.Events.Events(ctx) {
			select {
			case lines <- e.line(string(s.opt.Identity.Key.ID())):
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { <-done }()
	defer cancel()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		var text []byte
		select {
		case text = <-lines:
		case <-tick.C:
			text = []byte(": ping\n\n")
		case <-done:
			return nil
		}
		if _, err := w.Write(text); err != nil {
			return nil // the client disconnected
		}
		if out.Flush() != nil {
			return nil
		}
	}
}

// line returns the event as it is sent, preceded by a notice of lost events.
func (e Event) line(nodeID string) []byte {
	var b bytes.Buffer
	if e.Lost > 0 {
		fmt.Fprintf(&b, "event: lost\ndata: {\"count\":%d}\n\n", e.Lost)
	}
	text, err := e.object(nodeID)
	if err != nil {
		return b.Bytes()
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, e.Name)
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, text)
	return b.Bytes()
}
