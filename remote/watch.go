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

// roundTrip sends req, without following redirects, and limits how slowly both bodies may move. The
// exchange ends with [os.ErrDeadlineExceeded] when nothing of the request is taken for idleTimeout.
// It ends with [ErrTooSlow] when the answer comes more slowly than rate, in bytes a second: its n
// bytes may take idleTimeout and n/rate seconds in all, and no more than idleTimeout may pass in
// which they do not keep up with the rate.
func roundTrip(t *http.Transport, rate int64, req *http.Request) (*http.Response, error) {
	if req.Header.Get("Accept-Encoding") == "" { // conform asks for others
		req.Header.Set("Accept-Encoding", "identity")
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{ctx: ctx, cancel: cancel, rate: rate}
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

// watch ends an exchange that is idle or too slow.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	timer  *time.Timer
	answer bool // what moves is the answer; what still happens to the request's body does not count

	// Of the answer.
	rate  int64         // bytes that earn a second
	left  time.Duration // for reads to wait; at most idleTimeout
	moved int64         // bytes that have not earned a second yet
	since time.Time     // when the current read began
}

var errIdle = fmt.Errorf("no bytes accepted for %v: %w", idleTimeout, os.ErrDeadlineExceeded)

// wind sets the timer.
func (w *watch) wind(d time.Duration) {
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() { w.cancel(w.expired()) })
	} else {
		w.timer.Reset(d)
	}
}

// expired returns the error of the direction that the exchange is in.
func (w *watch) expired() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.answer {
		return errIdle
	}
	return fmt.Errorf("%w: fewer than %d bytes a second: %w", ErrTooSlow, w.rate,
		os.ErrDeadlineExceeded)
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

// cause puts the error of the timer in place of the cancellation that it caused.
func (w *watch) cause(err error) error {
	cause := context.Cause(w.ctx)
	if err != nil && errors.Is(cause, os.ErrDeadlineExceeded) {
		return cause
	}
	return err
}

// watchedRequest is the body of a request. The time from one read of it to the next is what sending
// takes.
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

// watchedAnswer is the body of an answer. Only the time in its reads counts, not what the caller
// does in between.
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
	b.moved += int64(n)
	earned := b.moved / b.rate
	b.moved -= earned * b.rate
	b.left += time.Duration(min(earned, int64(idleTimeout/time.Second))) * time.Second
	b.left = min(b.left, idleTimeout)
}

func (b *watchedAnswer) Close() error {
	err := b.ReadCloser.Close()
	b.stop()
	return err
}
