package chain

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/dig-network/digstore/internal/backoff"
)

// maxQuoted is the longest text of a host in an error, in bytes.
const maxQuoted = 200

// A call describes a request for errors, and limits its answer.
type call struct {
	method string
	about  string // the object of the request, or ""
	limit  int64  // bytes of the answer
}

// A SourceError reports that a request to a source failed.
type SourceError struct {
	Source string // the name of the source, a URL for an [RPC]
	Asked  string // the method and the object of the request
	Err    error
}

// Error implements error.
func (e *SourceError) Error() string {
	return fmt.Sprintf("ask %s for %s: %v", e.Source, e.Asked, e.Err)
}

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

func (r *RPC) failed(c call, err error) error {
	asked := c.method
	if c.about != "" {
		asked += " of " + c.about
	}
	return &SourceError{Source: r.base, Asked: asked, Err: err}
}

func (r *RPC) malformed(c call, what string) error {
	return r.failed(c, fmt.Errorf("%w: %s; want an answer of a Chia full node", ErrMalformed, what))
}

// A refusal is an answer with "success": false.
type refusal struct{ code, text string }

func (f *refusal) Error() string {
	if f.code != "" {
		return fmt.Sprintf("refused with %s: %s", quote(f.code), quote(f.text))
	}
	return "refused with " + quote(f.text)
}

// Unwrap returns ErrUnavailable.
func (f *refusal) Unwrap() error { return ErrUnavailable }

// quote quotes a text of a host and limits its length.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "…"
	}
	return strconv.Quote(s)
}

// temporary is an error after which the request can be repeated.
type temporary struct {
	err   error
	after time.Duration // Retry-After of the host; 0 if there is none
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// call posts req and decodes the answer to out. It makes as many attempts as the options allow.
func (r *RPC) call(ctx context.Context, c call, req, out any) error {
	body, err := json.Marshal(req)
	if err != nil {
		return r.failed(c, err)
	}
	policy := backoff.Policy{Attempts: r.opt.Attempts}
	policy.Again = func(err error) (time.Duration, bool) {
		var t *temporary
		if !errors.As(err, &t) {
			return 0, false
		}
		return t.after, true
	}
	if r.opt.OnRetry != nil {
		policy.OnRetry = func(err error, wait time.Duration) {
			r.opt.OnRetry(r.failed(c, permanent(err)), wait)
		}
	}
	outcome, err := policy.Do(ctx, nil, func() error { return r.try(ctx, c, body, out) })
	if err == nil {
		return nil
	}
	err = permanent(err)
	switch {
	case outcome == backoff.Cancelled:
		err = context.Cause(ctx)
	case outcome == backoff.Interrupted:
		err = fmt.Errorf("%w; the last attempt: %w", context.Cause(ctx), err)
	case outcome == backoff.Exhausted && r.opt.Attempts > 1:
		err = fmt.Errorf("%w (%d attempts)", err, r.opt.Attempts)
	}
	return r.failed(c, err)
}

// permanent returns the error that a temporary one stands for.
func permanent(err error) error {
	var t *temporary
	if errors.As(err, &t) {
		return t.err
	}
	return err
}

// try makes one attempt.
func (r *RPC) try(ctx context.Context, c call, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/"+c.method,
		bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", r.opt.UserAgent)
	resp, err := r.transport.RoundTrip(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
		return refusedStatus(resp)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	switch {
	case err != nil:
		return unreachable(err)
	case int64(len(answer)) > c.limit:
		return fmt.Errorf("%w: answer longer than %d bytes", ErrTooLarge, c.limit)
	}
	var head struct {
		Success    *bool  `json:"success"`
		Error      string `json:"error"`
		Structured *struct {
			Code string `json:"code"`
		} `json:"structuredError"`
	}
	if err := json.Unmarshal(answer, &head); err != nil {
		return fmt.Errorf("%w: %w; want an answer of a Chia full node", ErrMalformed, err)
	}
	switch {
	case head.Success == nil:
		return fmt.Errorf("%w: no member success; want an answer of a Chia full node", ErrMalformed)
	case !*head.Success:
		f := &refusal{text: head.Error}
		if head.Structured != nil {
			f.code = head.Structured.Code
		}
		return f
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// unreachable returns the error of a failed exchange. It is temporary unless a certificate is
// the cause.
func unreachable(err error) error {
	var (
		cert *tls.CertificateVerificationError
		op   *net.OpError
	)
	switch {
	case errors.As(err, &cert):
		return fmt.Errorf("%w: %w; a full node uses the authority in its Chia directory", ErrUnavailable,
			err)
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return fmt.Errorf("%w: %w; a full node requires a client certificate from its Chia directory",
			ErrUnavailable, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &temporary{err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
}

// refusedStatus returns the error of a status other than 200.
func refusedStatus(resp *http.Response) error {
	var after time.Duration
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 && s < 1<<20 {
		after = time.Duration(s) * time.Second
	}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &temporary{err: fmt.Errorf("%w: %s", ErrRateLimited, resp.Status), after: after}
	case code == http.StatusBadGateway || code == http.StatusServiceUnavailable ||
		code == http.StatusGatewayTimeout:
		return &temporary{err: fmt.Errorf("%w: %s", ErrUnavailable, resp.Status), after: after}
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: %s; redirects are not followed", ErrUnavailable, resp.Status)
	}
	return fmt.Errorf("%w: %s; want status 200 of a Chia full node", ErrUnavailable, resp.Status)
}
