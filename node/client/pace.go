package client

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

var errIdle = fmt.Errorf("%w: nothing of the request was taken for %v: %w", ErrTooSlow, idleTimeout,
	os.ErrDeadlineExceeded)

// localError is an error from reading the body of a request.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// roundTrip sends a request without following redirects, and aborts slow transfers. The request is
// aborted if no byte of it is sent for idleTimeout. The answer is aborted if n bytes of it take
// longer than idleTimeout plus n/rate seconds.
func roundTrip(t http.RoundTripper, rate int64, req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	var out *sending
	if req.Body != nil && req.Body != http.NoBody {
		out = &sending{ReadCloser: req.Body}
		out.timer = time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
		out.timer.Stop()
		req.Body = out
	}
	resp, err := t.RoundTrip(req.WithContext(ctx))
	out.end()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if own := out.failure(); own != nil {
			err = &localError{own}
		}
		cancel(nil)
		return nil, err
	}
	in := &receiving{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, rate: rate,
		left: idleTimeout}
	in.timer = time.AfterFunc(idleTimeout, func() {
		cancel(fmt.Errorf("%w: fewer than %d bytes a second: %w", ErrTooSlow, rate,
			os.ErrDeadlineExceeded))
	})
	in.timer.Stop()
	resp.Body = in
	return resp, nil
}

// sending is the body of a request. The time between two reads is what sending takes.
type sending struct {
	io.ReadCloser
	mu    sync.Mutex
	timer *time.Timer
	ended bool  // the exchange is over
	err   error // of the body
}

func (s *sending) Read(p []byte) (int, error) {
	s.timer.Stop()
	n, err := s.ReadCloser.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && err != io.EOF:
		s.err = err
	case err == nil && !s.ended:
		s.timer.Reset(idleTimeout)
	}
	return n, err
}

func (s *sending) Close() error {
	s.timer.Stop()
	return s.ReadCloser.Close()
}

// end stops the timer permanently. s may be nil.
func (s *sending) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
}

// failure returns the error of the body. s may be nil.
func (s *sending) failure() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// receiving is the body of an answer. Only the time in its reads counts. One goroutine may use it.
type receiving struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	rate   int64         // bytes a second
	left   time.Duration // time that reads may still wait; at most idleTimeout
	moved  int64         // bytes not yet converted to time
}

func (r *receiving) Read(p []byte) (int, error) {
	since := time.Now()
	r.timer.Reset(r.left)
	n, err := r.ReadCloser.Read(p)
	r.timer.Stop()
	r.moved += int64(n)
	earned := min(r.moved/r.rate, int64(idleTimeout/time.Second))
	r.moved %= r.rate
	r.left = min(r.left-time.Since(since)+time.Duration(earned)*time.Second, idleTimeout)
	if err != nil && err != io.EOF {
		if cause := context.Cause(r.ctx); cause != nil && errors.Is(cause, ErrTooSlow) {
			err = cause
		}
		err = &connectionError{err}
	}
	return n, err
}

func (r *receiving) Close() error {
	r.timer.Stop()
	err := r.ReadCloser.Close()
	r.cancel(nil)
	return err
}
