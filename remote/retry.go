package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/dig-network/digstore/internal/backoff"
)

// A policy says whether a failed attempt may be made again.
type policy func(error) bool

// readPolicy is for what changes nothing: connection errors and the statuses that pass.
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

// connectPolicy is for what may be sent twice: connection errors only.
func connectPolicy(err error) bool {
	var c *connectionError
	return errors.As(err, &c) && !lasting(err) && !isRetried(err)
}

// connectionError is an exchange that broke: no answer, or not all of it. It matches
// [ErrConnection].
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// Is reports whether target is [ErrConnection].
func (e *connectionError) Is(target error) bool { return target == ErrConnection }

// A retriedError is the last error of what was tried as often as the options say. Callers that
// retry too do not begin again on it, unless bytes have come meanwhile.
type retriedError struct{ err error }

func (e *retriedError) Error() string { return e.err.Error() }
func (e *retriedError) Unwrap() error { return e.err }

// isRetried reports whether err has a retriedError in it.
func isRetried(err error) bool {
	var retried *retriedError
	return errors.As(err, &retried)
}

// lasting reports whether an exchange that failed with err would fail so again.
func lasting(err error) bool {
	var (
		status *StatusError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError // it does not speak TLS
		alert  tls.AlertError        // it refused the handshake
		verify *VerificationError
	)
	return errors.Is(err, ErrProtocol) || errors.Is(err, ErrInsecure) || errors.Is(err, ErrBadURL) ||
		errors.Is(err, ErrTooLarge) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &status) || errors.As(err, &cert) ||
		errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify)
}

type budgetKey struct{}

// withBudget returns a context with a counter of the failed requests of one transfer. What retries
// within the transfer and around it uses the same counter.
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

// retry calls f until it succeeds, fails with an error that is not repeated, or the counter of ctx
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
