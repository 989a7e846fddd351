package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth/request"
)

// An exchange is one signed request and what answers it count as success. Every attempt is made anew:
// a fresh nonce, timestamp and signature (remote-protocol 2.4).
type exchange struct {
	op     request.Op
	method string
	path   string // after /stores/{id}
	query  string
	header http.Header
	body   io.Reader // nil: none
	size   int64     // of body
	ok     func(code int) bool
}

// do makes one attempt. The answer's status is one that e.ok takes; its body fails after 60 s without a
// byte. Any other status is a *StatusError, and whatever is not an answer of this protocol, a redirect
// among them, ErrProtocol.
func (c *Client) do(ctx context.Context, e exchange) (*http.Response, error) {
	origin, err := c.base(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.attempt(ctx, origin, e)
	if err != nil && c.fallBack(err) {
		origin = "http://" + c.url.Host
		c.mu.Lock()
		c.origin = origin
		c.mu.Unlock()
		resp, err = c.attempt(ctx, origin, e)
	}
	return resp, err
}

// base returns the origin, and resolves the locator the first time.
func (c *Client) base(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.origin != "" {
		return c.origin, nil
	}
	found, err := c.opt.Resolver.Resolve(ctx, c.url)
	if err != nil {
		return "", fmt.Errorf("remote: resolve %s: %w", c.url, err)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("remote: resolve %s: %w: no origin answers for it", c.url, ErrBadURL)
	}
	u, err := ParseURL(found[0].String())
	if err != nil {
		return "", fmt.Errorf("remote: resolve %s: %w", c.url, err)
	}
	c.origin = u.Origin()
	return c.origin, nil
}

// fallBack reports whether err is a listener on literal loopback that speaks plain HTTP where TLS was
// expected, and the options allow to follow it there.
func (c *Client) fallBack(err error) bool {
	var record tls.RecordHeaderError
	return c.opt.AllowLoopbackHTTP && c.url.Scheme == "dig" && c.url.Loopback() &&
		(errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record))
}

func (c *Client) attempt(ctx context.Context, origin string, e exchange) (*http.Response, error) {
	target, err := url.Parse(origin + "/stores/" + c.url.Store.String() + e.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBadURL, err)
	}
	target.RawQuery = e.query
	req := &http.Request{Method: e.method, URL: target, Host: target.Host, Header: e.header.Clone()}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", c.opt.UserAgent)
	if e.body != nil {
		req.Body, req.ContentLength = io.NopCloser(e.body), e.size
	} else {
		req.Body = noRepeat{}
	}
	req = req.WithContext(ctx)
	var nonce [request.NonceSize]byte
	rand.Read(nonce[:]) // never fails
	if err := request.SignAt(req, e.op, c.url.Store, c.opt.Identity, c.opt.Now(), nonce); err != nil {
		return nil, fmt.Errorf("remote: sign %s %s: %w", e.method, target.Path, err)
	}
	resp, err := roundTrip(c.transport, req)
	if err != nil {
		return nil, fmt.Errorf("remote: %s %s at %s: %w", e.method, target.Path, target.Host, &connectionError{err})
	}
	if !e.ok(resp.StatusCode) {
		defer resp.Body.Close()
		return nil, c.refused(resp)
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		resp.Body.Close()
		return nil, fmt.Errorf("remote: %s %s: %w: the body is encoded as %q", e.method, target.Path, ErrProtocol, printable(enc, 40))
	}
	return resp, nil
}

// post sends v as JSON and wants 200 or 201.
func (c *Client) post(ctx context.Context, op request.Op, path string, h http.Header, v any) (*http.Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("remote: encode request: %w", err)
	}
	if h = h.Clone(); h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", typeJSON)
	return c.do(ctx, exchange{op: op, method: http.MethodPost, path: path, header: h,
		body: bytes.NewReader(body), size: int64(len(body)),
		ok: func(code int) bool {
			return code == http.StatusOK || code == http.StatusCreated || code == http.StatusAccepted
		}})
}

// noRepeat is a body of no bytes. It makes net/http believe that there is something it cannot send twice,
// so that a request on a connection that broke is not repeated behind our back with a nonce that the
// server may have seen. On the wire there is no body.
type noRepeat struct{}

func (noRepeat) Read([]byte) (int, error) { return 0, io.EOF }
func (noRepeat) Close() error             { return nil }

// roundTrip sends req, without following redirects, and watches both bodies: a minute without a byte in
// the one that is moving ends the exchange with [os.ErrDeadlineExceeded].
func roundTrip(t *http.Transport, req *http.Request) (*http.Response, error) {
	req.Header.Set("Accept-Encoding", "identity")
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{ctx: ctx, cancel: cancel}
	if _, none := req.Body.(noRepeat); !none {
		req.Body = &watchedBody{watch: w, ReadCloser: req.Body}
	}
	resp, err := t.RoundTrip(req.WithContext(ctx))
	if err != nil {
		err = w.cause(err)
		w.stop()
		return nil, err
	}
	w.turn()
	resp.Body = &watchedBody{watch: w, ReadCloser: resp.Body, last: true}
	return resp, nil
}

// watch ends an exchange in which nothing moves.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	timer  *time.Timer
	answer bool // what moves is the answer; what still happens to the request's body does not count
}

var errIdle = fmt.Errorf("no byte for %v: %w", idleTimeout, os.ErrDeadlineExceeded)

// turn begins to wait for the answer in place of the request.
func (w *watch) turn() {
	w.mu.Lock()
	w.answer = true
	w.mu.Unlock()
	w.start(true)
}

// start begins or renews the wait.
func (w *watch) start(answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case answer != w.answer:
	case w.timer == nil:
		w.timer = time.AfterFunc(idleTimeout, func() { w.cancel(errIdle) })
	default:
		w.timer.Reset(idleTimeout)
	}
}

// rest ends the wait until the next start.
func (w *watch) rest(answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil && answer == w.answer {
		w.timer.Stop()
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.cancel(nil)
}

// cause puts the idle error in place of the cancellation that it caused.
func (w *watch) cause(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errIdle) {
		return errIdle
	}
	return err
}

type watchedBody struct {
	*watch
	io.ReadCloser
	last bool // the answer's: closing it ends the exchange
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.start(b.last)
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.rest(b.last)
		if !errors.Is(err, io.EOF) {
			err = b.cause(err)
		}
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	if b.last {
		b.stop()
	} else {
		b.rest(b.last)
	}
	return err
}

// refused turns an answer that is no success into an error.
func (c *Client) refused(resp *http.Response) error {
	e := &StatusError{Method: resp.Request.Method, Path: resp.Request.URL.Path, Code: resp.StatusCode}
	if text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)); err == nil {
		e.Message = errorMessage(text)
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), c.opt.Now())
	switch {
	case e.Code >= 300 && e.Code < 400:
		return fmt.Errorf("%w: redirects are not followed: %w", ErrProtocol, e)
	case e.Code < 300:
		return fmt.Errorf("%w: %w", ErrProtocol, e)
	case e.Code == http.StatusUnauthorized:
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			if skew := c.opt.Now().Sub(date); skew.Abs() > request.DefaultWindow {
				return fmt.Errorf("%w: ours differs from the server's by %v: %w", ErrClockSkew, skew.Round(time.Second), e)
			}
		}
	}
	return e
}

// retryAfter reads the header in seconds or as a date; 0 when it says nothing.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
