package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// roundTrip sends req, without following redirects, and watches both bodies: a request of which a minute long nothing
// is taken, or a minute of waiting for an answer that brings fewer than leastMoved bytes, ends the exchange with
// [os.ErrDeadlineExceeded].
func roundTrip(t *http.Transport, req *http.Request) (*http.Response, error) {
	if req.Header.Get("Accept-Encoding") == "" { // conform asks for others
		req.Header.Set("Accept-Encoding", "identity")
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{ctx: ctx, cancel: cancel}
	if _, none := req.Body.(noRepeat); !none {
		req.Body = &watchedRequest{watch: w, ReadCloser: req.Body}
	}
	resp, err := t.RoundTrip(req.WithContext(ctx))
	if err != nil {
		err = w.cause(err)
		w.stop()
		return nil, err
	}
	w.turn()
	resp.Body = &watchedAnswer{watch: w, ReadCloser: resp.Body}
	return resp, nil
}

// watch ends an exchange in which nothing moves.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	timer  *time.Timer
	answer bool // what moves is the answer; what still happens to the request's body does not count

	// Of the answer: what is left of the minute, and what came in it.
	left  time.Duration
	moved int
	since time.Time // when the read that is going on began
}

var errIdle = fmt.Errorf("fewer than %d bytes in %v: %w", leastMoved, idleTimeout, os.ErrDeadlineExceeded)

// wind sets the timer.
func (w *watch) wind(d time.Duration) {
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() { w.cancel(errIdle) })
	} else {
		w.timer.Reset(d)
	}
}

// unwind stops it.
func (w *watch) unwind() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// turn leaves the request and turns to the answer.
func (w *watch) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer, w.left = true, idleTimeout
	w.unwind()
}

// stop ends the exchange.
func (w *watch) stop() {
	w.mu.Lock()
	w.unwind()
	w.mu.Unlock()
	w.cancel(nil)
}

// cause puts the idle error in place of the cancellation that it caused.
func (w *watch) cause(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errIdle) {
		return errIdle
	}
	return err
}

// watchedRequest is the body of a request. The time from one read of it to the next is what sending takes.
type watchedRequest struct {
	*watch
	io.ReadCloser
}

func (b *watchedRequest) Read(p []byte) (int, error) {
	b.tick((*watch).unwind)
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.tick(func(w *watch) { w.wind(idleTimeout) })
	}
	return n, err
}

func (b *watchedRequest) Close() error {
	b.tick((*watch).unwind)
	return b.ReadCloser.Close()
}

func (b *watchedRequest) tick(f func(*watch)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.answer {
		f(b.watch)
	}
}

// watchedAnswer is the body of an answer. Only the time in its reads counts, not what the caller does in between.
type watchedAnswer struct {
	*watch
	io.ReadCloser
}

func (b *watchedAnswer) Read(p []byte) (int, error) {
	b.begin()
	n, err := b.ReadCloser.Read(p)
	b.end(n)
	if err != nil && err != io.EOF {
		err = &connectionError{b.cause(err)}
	}
	return n, err
}

func (b *watchedAnswer) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = time.Now()
	b.wind(b.left)
}

func (b *watchedAnswer) end(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unwind()
	b.left -= time.Since(b.since)
	if b.moved += n; b.moved >= leastMoved {
		b.left, b.moved = idleTimeout, 0
	}
}

func (b *watchedAnswer) Close() error {
	err := b.ReadCloser.Close()
	b.stop()
	return err
}
