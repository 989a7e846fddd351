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
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// An exchange is one signed request and the statuses that count as success. Every attempt has a new
// nonce, timestamp and signature (remote/PROTOCOL.md 3.5).
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

// do makes one attempt. It returns an answer whose status e.ok accepts and whose body fails with
// ErrTooSlow below the least rate. Another status is a *StatusError; a redirect or another
// violation of the protocol is ErrProtocol.
func (c *Client) do(ctx context.Context, e exchange) (*http.Response, error) {
	origin, err := c.base(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.attempt(ctx, origin, e)
	if err != nil && c.fallBack(err) {
		origin = "http://" + c.url.Host
		c.origin.set(origin)
		resp, err = c.attempt(ctx, origin, e)
	}
	return resp, err
}

// base returns the origin. The first call resolves the locator.
func (c *Client) base(ctx context.Context) (string, error) {
	return c.origin.get(ctx, func() (string, error) {
		found := []URL{c.url.AtOrigin()}
		if c.opt.Resolver != nil {
			var err error
			if found, err = c.opt.Resolver.Resolve(ctx, c.url); err != nil {
				return "", fmt.Errorf("remote: resolve %s: %w", c.url, err)
			}
		}
		if len(found) == 0 {
			return "", fmt.Errorf("remote: resolve %s: %w: no origin answers for it", c.url, ErrBadURL)
		}
		u, err := found[0].Canonical()
		if c.opt.AllowPlainLocal && found[0].Scheme == "http" && found[0].Host == wire.LocalHost {
			u, err = found[0], nil
		}
		if err != nil {
			return "", fmt.Errorf("remote: resolve %s: %w", c.url, err)
		}
		return u.Origin(), nil
	})
}

// fallBack reports whether to fall back to plain HTTP: the options allow it, the host is literally
// loopback, and err means that the server there uses plain HTTP.
func (c *Client) fallBack(err error) bool {
	var record tls.RecordHeaderError
	return c.opt.AllowLoopbackHTTP && c.url.Scheme == "dig" && c.url.Loopback() &&
		(errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record))
}

func (c *Client) attempt(ctx context.Context, origin string, e exchange) (*http.Response, error) {
	by, err := c.identity(ctx, origin)
	if err != nil {
		return nil, err
	}
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
	if err := request.SignAt(req, e.op, c.url.Store, by, c.opt.Now(), nonce); err != nil {
		return nil, fmt.Errorf("remote: sign %s %s: %w", e.method, target.Path, err)
	}
	resp, err := roundTrip(c.transport, c.minRate, req)
	if err != nil {
		return nil, fmt.Errorf("remote: %s %s at %s: %w", e.method, target.Path, target.Host,
			&connectionError{err})
	}
	if !e.ok(resp.StatusCode) {
		defer resp.Body.Close()
		return nil, c.refused(resp)
	}
	c.learn(e, resp.Header)
	if err := plainBody(resp); err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("remote: %s %s: %w", e.method, target.Path, err)
	}
	return resp, nil
}

// plainBody returns an error for an encoded body. The client requests none, and the size of a
// decoded body would be unbounded.
func plainBody(resp *http.Response) error {
	if enc := strings.Join(resp.Header.Values("Content-Encoding"), ", "); enc != "" &&
		!strings.EqualFold(enc, "identity") {
		return fmt.Errorf("%w: %q", ErrEncoded, oneline.Excerpt(enc, 40))
	}
	return nil
}

// identity returns the key that signs requests to an origin. It calls IdentityAt until it succeeds
// once.
func (c *Client) identity(ctx context.Context, origin string) (auth.Signer, error) {
	if c.opt.IdentityAt == nil {
		return c.opt.Identity, nil
	}
	return c.signer.get(ctx, func() (auth.Signer, error) {
		_, host, _ := strings.Cut(origin, "://")
		host, _, _ = strings.Cut(host, "/")
		signer, err := c.opt.IdentityAt(host)
		if err != nil {
			return nil, fmt.Errorf("remote: identity for %s: %w", host, err)
		}
		return signer, nil
	})
}

// post sends v as JSON. It accepts the statuses 200, 201 and 202.
func (c *Client) post(ctx context.Context, op request.Op, path string, h http.Header,
	v any) (*http.Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("remote: encode request: %w", err)
	}
	if h = h.Clone(); h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", wire.TypeJSON)
	return c.do(ctx, exchange{op: op, method: http.MethodPost, path: path, header: h,
		body: bytes.NewReader(body), size: int64(len(body)),
		ok: func(code int) bool {
			return code == http.StatusOK || code == http.StatusCreated || code == http.StatusAccepted
		}})
}

// noRepeat is an empty body. net/http does not know that it is empty and does not repeat a request
// with it after a broken connection; a repeated request would reuse a nonce that the server may
// have seen. No body is sent.
type noRepeat struct{}

func (noRepeat) Read([]byte) (int, error) { return 0, io.EOF }
func (noRepeat) Close() error             { return nil }

// refused returns the error for an answer with a status that is no success.
func (c *Client) refused(resp *http.Response) error {
	e := &StatusError{Method: resp.Request.Method, Path: resp.Request.URL.Path, Code: resp.StatusCode}
	if plainBody(resp) == nil {
		// a read error is ignored: the message is then truncated
		text, _ := io.ReadAll(io.LimitReader(resp.Body, wire.MaxErrorBody))
		e.Message, e.Proxy = wire.ErrorMessage(text), isWebPage(resp.Header, text)
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), c.opt.Now())
	switch {
	case e.Code == http.StatusNotModified:
		return fmt.Errorf("%w: status 304 to a request without If-None-Match: %w", ErrProtocol, e)
	case e.Code >= 300 && e.Code < 400:
		return fmt.Errorf("%w, which is not followed: %w", ErrRedirect, e)
	case e.Code < 300:
		return fmt.Errorf("%w: %w", ErrProtocol, e)
	case e.Code == http.StatusUnauthorized:
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			if skew := c.opt.Now().Sub(date); skew.Abs() > request.DefaultWindow {
				return fmt.Errorf("%w: local clock differs from the server's by %v: %w", ErrClockSkew,
					skew.Round(time.Second), e)
			}
		}
	}
	return e
}

// isWebPage reports whether an error body is HTML, which no host of this protocol sends.
func isWebPage(h http.Header, body []byte) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/html") ||
		bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// retryAfter parses a Retry-After header, in seconds or as a date. It returns 0 if s is neither.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
