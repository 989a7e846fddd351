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

const (
	maxAsked  = time.Minute // of a wait that a host asks for (auth/chain/LINEAGE.md 6.3)
	maxQuoted = 200         // bytes of a host's words that an error repeats
)

// A call is one question, for errors and limits.
type call struct {
	method string
	about  string // what it asks about, if anything
	limit  int64  // bytes of the answer
}

// A SourceError says what was asked of which source, and why there is no answer to work with.
type SourceError struct {
	Source string // how the source prints: a URL for an [RPC]
	Asked  string // the method and what it was asked about
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
	return r.failed(c, fmt.Errorf("%w: %s; is this the RPC of a Chia full node?", ErrMalformed, what))
}

// A refusal is an answer with success false.
type refusal struct{ code, text string }

func (f *refusal) Error() string {
	if f.code != "" {
		return fmt.Sprintf("it refused with %s: %s", quote(f.code), quote(f.text))
	}
	return "it refused with " + quote(f.text)
}

// Unwrap: a source that does not answer the question could not be asked.
func (f *refusal) Unwrap() error { return ErrUnavailable }

// quote makes words of a host fit to print.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "…"
	}
	return strconv.Quote(s)
}

// passing is a failure that may have passed when the question is asked again.
type passing struct {
	err   error
	after time.Duration // that the host asked to be left alone; 0 when it did not
}

func (p *passing) Error() string { return p.err.Error() }
func (p *passing) Unwrap() error { return p.err }

// call posts req and decodes the answer into out, as often as the options allow.
func (r *RPC) call(ctx context.Context, c call, req, out any) error {
	body, err := json.Marshal(req)
	if err != nil {
		return r.failed(c, err)
	}
	for attempt := 1; ; attempt++ {
		err := r.try(ctx, c, body, out)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return r.failed(c, context.Cause(ctx))
		}
		var p *passing
		if !errors.As(err, &p) {
			return r.failed(c, err)
		}
		if attempt >= r.opt.Attempts {
			return r.failed(c, fmt.Errorf("%w (%d tries)", p.err, attempt))
		}
		wait := backoff.Wait(attempt)
		if p.after > 0 {
			wait = min(p.after, maxAsked)
		}
		if r.opt.OnRetry != nil {
			r.opt.OnRetry(r.failed(c, p.err), wait)
		}
		if backoff.Sleep(ctx, wait) != nil {
			return r.failed(c, fmt.Errorf("%w; the last try: %w", context.Cause(ctx), p.err))
		}
	}
}

// try posts once.
func (r *RPC) try(ctx context.Context, c call, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/"+c.method, bytes.NewReader(body))
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
		io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can serve again
		return refusedStatus(resp)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	switch {
	case err != nil:
		return unreachable(err)
	case int64(len(answer)) > c.limit:
		return fmt.Errorf("%w: the answer is longer than %d bytes", ErrTooLarge, c.limit)
	}
	var head struct {
		Success    *bool  `json:"success"`
		Error      string `json:"error"`
		Structured *struct {
			Code string `json:"code"`
		} `json:"structuredError"`
	}
	if err := json.Unmarshal(answer, &head); err != nil {
		return fmt.Errorf("%w: %w; is this the RPC of a Chia full node?", ErrMalformed, err)
	}
	switch {
	case head.Success == nil:
		return fmt.Errorf("%w: it does not say success; is this the RPC of a Chia full node?", ErrMalformed)
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

// unreachable is for an exchange that broke. One that a certificate ended would break again.
func unreachable(err error) error {
	var (
		cert *tls.CertificateVerificationError
		op   *net.OpError
	)
	switch {
	case errors.As(err, &cert):
		return fmt.Errorf("%w: %w; a full node needs the authority of its own Chia directory, a public host one that this machine trusts", ErrUnavailable, err)
	case errors.As(err, &op) && op.Op == "remote error": // crypto/tls says so of an alert
		return fmt.Errorf("%w: %w; a full node wants a client certificate of its own Chia directory", ErrUnavailable, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &passing{err: fmt.Errorf("%w: %w; check its address and the network, or name another source", ErrUnavailable, err)}
}

// refusedStatus is for an answer that is not 200.
func refusedStatus(resp *http.Response) error {
	var after time.Duration
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 && s < 1<<20 {
		after = time.Duration(s) * time.Second
	}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &passing{err: fmt.Errorf("%w: %s; wait, or use a full node of your own", ErrRateLimited, resp.Status), after: after}
	case code == http.StatusBadGateway || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout:
		return &passing{err: fmt.Errorf("%w: %s; try later, or name another source", ErrUnavailable, resp.Status), after: after}
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: %s; redirects are not followed: give the URL that answers itself", ErrUnavailable, resp.Status)
	}
	return fmt.Errorf("%w: %s; is this the RPC of a Chia full node?", ErrUnavailable, resp.Status)
}
