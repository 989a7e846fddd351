package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/internal/backoff"
)

// maxAsked is how long a wait that a server asks for is honoured (remote/PROTOCOL.md 9.2).
const maxAsked = time.Minute

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

// A budget counts the failed requests of one transfer. What retries within the transfer and around
// it counts in the same budget, which its context carries. Methods may be called concurrently.
type budget struct{ failed atomic.Int32 }

type budgetKey struct{}

// withBudget returns a context with a budget of its own.
func withBudget(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, new(budget))
}

// budgetOf returns the budget of a context, or a new one.
func budgetOf(ctx context.Context) *budget {
	if b, ok := ctx.Value(budgetKey{}).(*budget); ok {
		return b
	}
	return new(budget)
}

// fail counts a failure, and returns how many there are since the last reset.
func (b *budget) fail() int { return int(b.failed.Add(1)) }

// reset forgets the failures before a request that brought something.
func (b *budget) reset() { b.failed.Store(0) }

// retry calls f until it succeeds, fails for good, or the budget of ctx is used up: the error is a
// retriedError then.
func (c *Client) retry(ctx context.Context, again policy, f func() error) error {
	for b := budgetOf(ctx); ; {
		err := f()
		if err == nil || ctx.Err() != nil || !again(err) {
			return err
		}
		failed := b.fail()
		if failed >= c.opt.Attempts {
			return &retriedError{err}
		}
		wait := backoff.Wait(failed)
		var status *StatusError
		if errors.As(err, &status) && status.RetryAfter > 0 {
			wait = min(status.RetryAfter, maxAsked)
		}
		if c.opt.OnRetry != nil {
			c.opt.OnRetry(err, wait)
		}
		if backoff.Sleep(ctx, wait) != nil {
			return err
		}
	}
}
