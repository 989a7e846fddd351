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

// An exchange is one signed request and what answers it count as success. Every attempt is made
// anew: a fresh nonce, timestamp and signature (remote/PROTOCOL.md 3.5).
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

// do makes one attempt. The answer's status is one that e.ok takes; its body fails after 60 s
// without a byte. Any other status is a *StatusError, and whatever is not an answer of this
// protocol, a redirect among them, ErrProtocol.
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

// base returns the origin, and resolves the locator the first time.
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

// fallBack reports whether err is a listener on literal loopback that speaks plain HTTP where TLS
// was expected, and the options allow to follow it there.
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

// plainBody refuses a body that is encoded, which was not requested: it could unpack to anything.
func plainBody(resp *http.Response) error {
	if enc := strings.Join(resp.Header.Values("Content-Encoding"), ", "); enc != "" &&
		!strings.EqualFold(enc, "identity") {
		return fmt.Errorf("%w: %q", ErrEncoded, oneline.Excerpt(enc, 40))
	}
	return nil
}

// identity returns the key that signs at an origin. It asks IdentityAt once.
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

// post sends v as JSON and wants 200 or 201.
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

// noRepeat is a body of no bytes. It makes net/http believe that there is something it cannot send
// twice, so that a request on a connection that broke is not repeated behind our back with a nonce
// that the server may have seen. On the wire there is no body.
type noRepeat struct{}

func (noRepeat) Read([]byte) (int, error) { return 0, io.EOF }
func (noRepeat) Close() error             { return nil }

// refused turns an answer that is no success into an error.
func (c *Client) refused(resp *http.Response) error {
	e := &StatusError{Method: resp.Request.Method, Path: resp.Request.URL.Path, Code: resp.StatusCode}
	if plainBody(resp) == nil {
		// of an answer that breaks off, what came
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

// isWebPage reports whether the body of a refusal is HTML, which no host of this protocol sends.
func isWebPage(h http.Header, body []byte) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/html") ||
		bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
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
