package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/internal/netguard"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/internal/strictjson"
)

// Limits of answers in bytes.
const (
	maxProblem = 64 << 10
	maxSmall   = 1 << 20
)

// An exchange is one request and the accepted statuses of its answer.
type exchange struct {
	method string
	path   string // below the base; needs no escaping
	query  url.Values
	header http.Header
	// body opens the body for one attempt; nil: none. size is its length in bytes.
	body func() (io.ReadCloser, error)
	size int64
	kind string            // Content-Type of body
	sign auth.StoreID      // datastore of a push, which the identity signs; zero: not signed
	ok   []int             // statuses; nil: 200
	via  http.RoundTripper // nil: the transport of the client
}

// bytesBody returns a body function for bytes in memory.
func bytesBody(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// attempt sends a request once. An answer with another status than e.ok is a *StatusError.
func (c *Client) attempt(ctx context.Context, e exchange) (*http.Response, error) {
	target := *c.base
	target.Path += e.path
	target.RawQuery = e.query.Encode()
	req := &http.Request{Method: e.method, URL: &target, Host: target.Host,
		Header: e.header.Clone()}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", c.opt.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if c.opt.APIKey != "" {
		req.Header.Set("X-API-Key", c.opt.APIKey)
	}
	if e.body != nil {
		body, err := e.body()
		if err != nil {
			return nil, err
		}
		req.Body, req.ContentLength = body, e.size
		if e.size == 0 { // otherwise the length counts as unknown
			body.Close()
			req.Body = http.NoBody
		}
		req.Header.Set("Content-Type", e.kind)
	}
	if err := c.sign(ctx, req, e.sign); err != nil {
		return nil, err
	}
	via := e.via
	if via == nil {
		via = c.transport
	}
	resp, err := roundTrip(via, c.opt.MinRate, req.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%s %s at %s: %w", e.method, target.Path, target.Host,
			&connectionError{err})
	}
	if err := c.accept(resp, e.ok); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// sign adds the headers of the identity to a push.
func (c *Client) sign(ctx context.Context, req *http.Request, store auth.StoreID) error {
	if store.IsZero() {
		return nil
	}
	err := request.Sign(req.WithContext(ctx), request.Push, store, c.opt.Identity)
	if err != nil {
		return fmt.Errorf("sign %s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}

// accept returns nil if the status of the answer is in ok.
func (c *Client) accept(resp *http.Response, ok []int) error {
	expected := resp.StatusCode == http.StatusOK
	if ok != nil {
		expected = false
		for _, status := range ok {
			expected = expected || status == resp.StatusCode
		}
	}
	plain := plainBody(resp)
	if expected {
		return plain
	}
	e := &StatusError{Method: resp.Request.Method, Path: resp.Request.URL.Path,
		Status: resp.StatusCode, RequestID: token(resp.Header.Get("X-Request-ID"), 64),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), c.opt.Now())}
	if plain == nil {
		e.read(resp)
	}
	switch {
	case e.Status >= 300 && e.Status < 400:
		return fmt.Errorf("%w: %w", ErrRedirect, e)
	case e.Status < 300:
		return fmt.Errorf("%w: %w", ErrProtocol, e)
	}
	return e
}

// read reads code and detail from the body of a refusal. It ignores a body that is not a problem.
func (e *StatusError) read(resp *http.Response) {
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind,
		"application/problem+json") {
		return
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return
	}
	var p struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}
	if strictjson.Unmarshal(text, &p) != nil {
		return
	}
	e.Code, e.Detail = token(p.Code, 64), printable(p.Detail)
	if e.Detail == "" && e.Code == "" {
		e.Detail = printable(p.Title)
	}
}

// plainBody refuses an encoded body, which the client did not request.
func plainBody(resp *http.Response) error {
	enc := strings.Join(resp.Header.Values("Content-Encoding"), ", ")
	if enc == "" || strings.EqualFold(enc, "identity") {
		return nil
	}
	return protocolf("%s %s: Content-Encoding is %q", resp.Request.Method, resp.Request.URL.Path,
		printable(enc))
}

// attempts returns the retry policy.
func (c *Client) attempts() backoff.Policy {
	return backoff.Policy{Attempts: c.opt.Attempts, OnRetry: c.opt.OnRetry,
		Again: func(err error) (after time.Duration, ok bool) {
			var status *StatusError
			if errors.As(err, &status) {
				after = status.RetryAfter
			}
			return after, passing(err)
		}}
}

// retry calls f until it succeeds, fails permanently, or has used all attempts.
func (c *Client) retry(ctx context.Context, f func() error) error {
	_, err := c.attempts().Do(ctx, nil, f)
	return err
}

// passing reports whether err is a temporary failure.
func passing(err error) bool {
	var (
		status  *StatusError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError // the server does not use TLS
		alert   tls.AlertError        // the server refused the handshake
		content *localError
	)
	switch {
	case errors.As(err, &content):
		return false
	case errors.As(err, &status):
		switch status.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
			http.StatusGatewayTimeout:
			return true
		}
		return false
	case errors.Is(err, ErrInsecure), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert):
		return false
	}
	return errors.Is(err, ErrConnection)
}

// read sends a request and passes the body of the answer, of at most limit bytes, to decode. It
// retries temporary failures.
func (c *Client) read(ctx context.Context, e exchange, limit int64,
	decode func(io.Reader) error) error {
	return c.retry(ctx, func() error { return c.readOnce(ctx, e, limit, decode) })
}

func (c *Client) readOnce(ctx context.Context, e exchange, limit int64,
	decode func(io.Reader) error) error {
	e.header = e.header.Clone()
	if e.header == nil {
		e.header = http.Header{}
	}
	e.header.Set("Accept", "application/json")
	resp, err := c.attempt(ctx, e)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "" && !isJSON(kind) {
		return protocolf("%s %s: Content-Type is %q, expected application/json", e.method, e.path,
			printable(kind))
	}
	body := &limited{r: resp.Body, left: limit}
	err = decode(body)
	switch {
	case err == nil:
		return nil
	case body.err != nil && !errors.Is(body.err, errTooLong):
		return fmt.Errorf("%s %s: %w", e.method, e.path, &connectionError{body.err})
	case body.err != nil:
		return protocolf("%s %s: body is longer than %d bytes", e.method, e.path, limit)
	case errors.Is(err, ErrProtocol):
		return fmt.Errorf("%s %s: %w", e.method, e.path, err)
	}
	return protocolf("%s %s: %w", e.method, e.path, err)
}

func isJSON(kind string) bool {
	media, _, _ := strings.Cut(kind, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// into returns a decode function for a JSON value in memory.
func into(v any) func(io.Reader) error {
	return func(r io.Reader) error {
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if !json.Valid(text) {
			return errors.New("body is not JSON")
		}
		return strictjson.Unmarshal(text, v)
	}
}

var errTooLong = errors.New("body too long")

// limited limits a body, and keeps the error that ended it.
type limited struct {
	r    io.Reader
	left int64
	err  error // of r other than io.EOF, or errTooLong
}

func (l *limited) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), errTooLong
	}
	l.left -= int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// credential returns headers with a credential. It fails if they would be sent over plain HTTP to
// another machine.
func (c *Client) credential(value string) (http.Header, error) {
	if value == "" {
		return nil, nil
	}
	if c.base.Scheme != "https" && !netguard.IsLoopback(c.base.Hostname()) {
		return nil, fmt.Errorf("%w: a credential for %s would be sent over plain HTTP", ErrInsecure,
			c.base.Host)
	}
	return http.Header{"Authorization": {value}}, nil
}

// retryAfter parses the header, seconds or a date. It returns 0 if the header is missing or
// malformed.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// token returns s if it has only letters, digits and . _ - and at most max bytes, else "".
func token(s string, max int) string {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
			r != '.' && r != '_' && r != '-' {
			return ""
		}
	}
	if len(s) > max {
		return ""
	}
	return s
}

// maxText is the limit of a text of a node in an error, in bytes.
const maxText = 200

// printable shortens a text of a node and replaces characters that cannot be printed.
func printable(s string) string { return oneline.Excerpt(s, maxText) }
