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

// roundTrip sends req without following redirects and enforces a least speed of both bodies. The
// error is [os.ErrDeadlineExceeded] when the connection accepts no byte of the request for
// idleTimeout. It is [ErrTooSlow] when the answer falls behind rate, in bytes per second, by more
// than idleTimeout: n bytes may take idleTimeout plus n/rate seconds.
func roundTrip(t *http.Transport, rate int64, req *http.Request) (*http.Response, error) {
	if req.Header.Get("Accept-Encoding") == "" { // package conform sets others
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
	w.startAnswer()
	resp.Body = &watchedAnswer{watch: w, ReadCloser: resp.Body}
	return resp, nil
}

// watch cancels an exchange that is idle or too slow.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	timer  *time.Timer
	answer bool // the answer is being read; the request's body no longer counts

	// For the answer.
	rate  int64         // bytes that add a second to left
	left  time.Duration // how long reads may still block; at most idleTimeout
	moved int64         // bytes not yet counted toward left
	since time.Time     // when the current read began
}

var errIdle = fmt.Errorf("no bytes accepted for %v: %w", idleTimeout, os.ErrDeadlineExceeded)

// startTimer starts or restarts the timer.
func (w *watch) startTimer(d time.Duration) {
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() { w.cancel(w.expired()) })
	} else {
		w.timer.Reset(d)
	}
}

// expired returns the timeout error for the request or for the answer.
func (w *watch) expired() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.answer {
		return errIdle
	}
	return fmt.Errorf("%w: fewer than %d bytes a second: %w", ErrTooSlow, w.rate,
		os.ErrDeadlineExceeded)
}

// stopTimer stops the timer.
func (w *watch) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// startAnswer stops timing the request; reads of the answer are timed from now on.
func (w *watch) startAnswer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer, w.left = true, idleTimeout
	w.stopTimer()
}

// stop stops the timer and cancels the exchange.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopTimer()
	w.mu.Unlock()
	w.cancel(nil)
}

// cause returns the timeout error if the timer canceled the exchange, else err.
func (w *watch) cause(err error) error {
	cause := context.Cause(w.ctx)
	if err != nil && errors.Is(cause, os.ErrDeadlineExceeded) {
		return cause
	}
	return err
}

// watchedRequest is the body of a request. The time between two of its reads is the time that
// sending takes.
type watchedRequest struct {
	*watch
	io.ReadCloser
}

func (b *watchedRequest) Read(p []byte) (int, error) {
	b.tick((*watch).stopTimer)
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.tick(func(w *watch) { w.startTimer(idleTimeout) })
	}
	return n, err
}

func (b *watchedRequest) Close() error {
	b.tick((*watch).stopTimer)
	return b.ReadCloser.Close()
}

func (b *watchedRequest) tick(f func(*watch)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.answer {
		f(b.watch)
	}
}

// watchedAnswer is the body of an answer. Only the time spent in its reads counts, not the time
// between them.
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
	b.startTimer(b.left)
}

func (b *watchedAnswer) end(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopTimer()
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
