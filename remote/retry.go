package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// Waits between attempts (remote-protocol 7.6): from 250 ms, doubling, at most 10 s, of which a random
// part is waited; what a server asks for is honoured up to a minute.
const (
	firstWait = 250 * time.Millisecond
	maxWait   = 10 * time.Second
	maxAsked  = time.Minute
)

// A policy says whether a failed attempt may be made again.
type policy func(error) bool

// readPolicy is for what changes nothing: connection errors and the statuses that pass.
func readPolicy(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Code {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return connectPolicy(err)
}

// connectPolicy is for what may be sent twice: connection errors only.
func connectPolicy(err error) bool {
	var c *connectionError
	return errors.As(err, &c) && !lasting(err)
}

// connectionError is an exchange that broke: no answer, or not all of it.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// lasting reports whether an exchange that failed with err would fail so again.
func lasting(err error) bool {
	var (
		status *StatusError
		cert   *tls.CertificateVerificationError
		verify *VerificationError
	)
	return errors.Is(err, ErrProtocol) || errors.Is(err, ErrInsecure) || errors.Is(err, ErrBadURL) ||
		errors.Is(err, ErrTooLarge) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &status) || errors.As(err, &cert) || errors.As(err, &verify)
}

// retry calls f until it succeeds, fails for good, or has been called as often as the options say.
func (c *Client) retry(ctx context.Context, again policy, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt >= c.opt.Attempts || ctx.Err() != nil || !again(err) {
			return err
		}
		wait := backoff(attempt)
		var status *StatusError
		if errors.As(err, &status) && status.RetryAfter > 0 {
			wait = min(status.RetryAfter, maxAsked)
		}
		if c.opt.OnRetry != nil {
			c.opt.OnRetry(err, wait)
		}
		if sleep(ctx, wait) != nil {
			return err
		}
	}
}

// backoff is the wait after the n-th attempt, from 1.
func backoff(n int) time.Duration {
	limit := maxWait
	if n < 8 {
		limit = min(maxWait, firstWait<<(n-1))
	}
	return rand.N(limit) + 1
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
