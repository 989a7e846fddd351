package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/dig-network/digstore/internal/backoff"
)

// A policy reports whether an attempt that failed with an error may be repeated.
type policy func(error) bool

// readPolicy is for requests that change nothing. It repeats after connection errors and temporary
// statuses.
func readPolicy(err error) bool {
	var status *StatusError
	if errors.As(err, &status) && !isRetried(err) {
		switch status.Code {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
			http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return connectPolicy(err)
}

// connectPolicy is for requests that may be sent twice. It repeats after connection errors only.
func connectPolicy(err error) bool {
	var c *connectionError
	return errors.As(err, &c) && !lasting(err) && !isRetried(err)
}

// connectionError wraps the error of an exchange without a complete answer. It matches
// [ErrConnection].
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// Is reports whether target is [ErrConnection].
func (e *connectionError) Is(target error) bool { return target == ErrConnection }

// A retriedError wraps the last error after all attempts of the options. Callers that retry too do
// not repeat after it, unless bytes were received meanwhile.
type retriedError struct{ err error }

func (e *retriedError) Error() string { return e.err.Error() }
func (e *retriedError) Unwrap() error { return e.err }

// isRetried reports whether err wraps a retriedError.
func isRetried(err error) bool {
	var retried *retriedError
	return errors.As(err, &retried)
}

// lasting reports whether an exchange that failed with err would fail the same way again.
func lasting(err error) bool {
	var (
		status *StatusError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError // the server does not support TLS
		alert  tls.AlertError        // the server refused the handshake
		verify *VerificationError
	)
	return errors.Is(err, ErrProtocol) || errors.Is(err, ErrInsecure) || errors.Is(err, ErrBadURL) ||
		errors.Is(err, ErrTooLarge) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &status) || errors.As(err, &cert) ||
		errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify)
}

type budgetKey struct{}

// withBudget returns a context with a counter of the failed requests of one transfer. The retries
// of requests and of the transfer itself share the counter.
func withBudget(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, new(backoff.Counter))
}

// budgetOf returns the counter of a context, or a new one.
func budgetOf(ctx context.Context) *backoff.Counter {
	if b, ok := ctx.Value(budgetKey{}).(*backoff.Counter); ok {
		return b
	}
	return new(backoff.Counter)
}

// retry calls f until it succeeds, fails with an error that repeat rejects, or the counter of ctx
// reaches the number of attempts. In the last case the error is a retriedError.
func (c *Client) retry(ctx context.Context, repeat policy, f func() error) error {
	attempts := backoff.Policy{Attempts: c.opt.Attempts, OnRetry: c.opt.OnRetry}
	attempts.Again = func(err error) (after time.Duration, ok bool) {
		var status *StatusError
		if errors.As(err, &status) {
			after = status.RetryAfter
		}
		return after, repeat(err)
	}
	outcome, err := attempts.Do(ctx, budgetOf(ctx), f)
	if outcome == backoff.Exhausted {
		return &retriedError{err}
	}
	return err
}
