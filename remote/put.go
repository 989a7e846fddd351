package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A PutRequest is a generation to push.
type PutRequest struct {
	Head     auth.SignedRoot // store, root, key, and at least one form of the signature
	Parent   merkle.Hash     // the root it follows; zero: the store's first
	Pending  bool            // store it without making it the head
	Size     int64           // bytes of the module
	Hash     merkle.Hash     // SHA-256 of the module
	Progress func(done, total int64)
}

// Put pushes one generation: push-init, then the body to the origin or to the upload address that
// the origin returns. A node without push-init gets one plain PUT (remote/PROTOCOL.md 6). Put
// reads exactly p.Size bytes from the start of body, perhaps more than once.
//
// Put sends both forms of the signature. After a 403 it tries once more with the other form first.
// The client stores the form that the origin accepts, in memory and in [ClientOptions].PushForms
// (remote/PROTOCOL.md 6.1).
//
// If the answer is lost, or says that the parent is not the head, Put reads the descriptor: a head
// equal to the root means success. After a lost answer, and after 429, 502, 503 and 504, it sends
// the push again if the origin's head is still the parent.
//
// pending says that the origin stored the generation but has not made it the head. An error status
// is a [*StatusError].
func (c *Client) Put(ctx context.Context, p PutRequest,
	body io.ReadSeeker) (pending bool, err error) {
	if err := c.checkPut(p); err != nil {
		return false, err
	}
	return c.confirmPush(ctx, p, func() (bool, error) { return c.put(ctx, p, body) })
}

func (c *Client) checkPut(p PutRequest) error {
	if p.Head.Store != c.url.Store {
		return fmt.Errorf("%w: the generation is of store %s, the locator names %s", ErrBadURL,
			p.Head.Store, c.url.Store)
	}
	if p.Head.Tagged.IsZero() && p.Head.Untagged.IsZero() {
		return fmt.Errorf("remote: push %s: %w", p.Head.Root, auth.ErrUnsigned)
	}
	return nil
}

// confirmPush calls send until the result of the push is known. If the answer was lost, or says
// that another push came first, the origin's head decides. It sends the push again only if that
// head is still the parent.
func (c *Client) confirmPush(ctx context.Context, p PutRequest,
	send func() (bool, error)) (pending bool, err error) {
	unchanged := false // the origin's head is the parent
	err = c.retry(ctx, func(error) bool { return unchanged }, func() error {
		unchanged = false
		var err error
		if pending, err = send(); err == nil || ctx.Err() != nil {
			return err
		}
		passing := readPolicy(err)
		if !passing && !hasStatus(err, http.StatusConflict, http.StatusInternalServerError) {
			return err
		}
		d, derr := c.Describe(ctx)
		if derr == nil && d.Root == p.Head.Root && !p.Pending {
			pending = false
			return nil
		}
		atParent := derr == nil && d.Root == p.Parent
		empty := p.Parent.IsZero() && errors.Is(derr, fs.ErrNotExist)
		unchanged = passing && (atParent || empty)
		return err
	})
	return pending, err
}

// hasStatus reports whether err is a StatusError with one of codes.
func hasStatus(err error, codes ...int) bool {
	var status *StatusError
	return errors.As(err, &status) && slices.Contains(codes, status.Code)
}

func (c *Client) put(ctx context.Context, p PutRequest,
	body io.ReadSeeker) (pending bool, err error) {
	answer, err := c.pushInit(ctx, p)
	if err != nil {
		return false, err
	}
	switch {
	case answer.Status == wire.StatusAdvanced:
		return false, nil
	case answer.Mode == wire.ModeInline:
		return c.putInline(ctx, p, answer.UploadID, body)
	case answer.Mode == wire.ModePresigned:
		return c.putPresigned(ctx, p, answer, body)
	}
	return false, fmt.Errorf("remote: push-init: %w: unknown upload mode %q", ErrProtocol,
		oneline.Excerpt(answer.Mode, 40))
}

// pushInit announces the generation. For a node without that route it returns an inline answer
// without an upload ID.
func (c *Client) pushInit(ctx context.Context, p PutRequest) (answer wire.InitAnswer, err error) {
	req := wire.InitBody{NewRoot: p.Head.Root.String(),
		ProgramHash: p.Hash.String(), SizeBytes: p.Size,
		StorePubkey: p.Head.PublicKey.String()}
	if !p.Parent.IsZero() {
		req.ParentRoot = p.Parent.String()
	}
	err = c.eitherForm(ctx, p.Head, func(h http.Header) error {
		resp, err := c.post(ctx, request.PushInit, "/module/upload", h, req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer = wire.InitAnswer{}
		body := &capReader{r: resp.Body, left: wire.MaxAnswerJSON}
		if err := decodeStrict(body, &answer); err != nil {
			return c.unread(resp, body, err)
		}
		return nil
	})
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Code {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			return wire.InitAnswer{Mode: wire.ModeInline}, nil
		}
	}
	return answer, err
}

// putInline sends the module to the origin.
func (c *Client) putInline(ctx context.Context, p PutRequest, upload string,
	body io.ReadSeeker) (pending bool, err error) {
	err = c.eitherForm(ctx, p.Head, func(h http.Header) error {
		h = putHeader(h, p, wire.TypeModule)
		if upload != "" {
			h.Set(wire.HeaderUploadID, p.Head.Root.String())
		}
		src, err := uploadFrom(p, body)
		if err != nil {
			return err
		}
		pending, err = c.outcome(ctx, exchange{op: request.Push, method: http.MethodPut, path: "/module",
			query: "root=" + p.Head.Root.String(), header: h, body: src, size: p.Size})
		return err
	})
	return pending, err
}

// putHeader returns the headers of a PUT. h has those of every request of the push.
func putHeader(h http.Header, p PutRequest, kind string) http.Header {
	h = h.Clone()
	h.Set(wire.HeaderParent, p.Parent.String())
	h.Set(wire.HeaderRoot, p.Head.Root.String())
	h.Set(wire.HeaderPushMode, pushMode(p.Pending))
	h.Set("Content-Type", kind)
	h.Set("Expect", "100-continue")
	return h
}

// putPresigned sends the module to the upload address, without the push headers, and then reports
// completion to the origin.
func (c *Client) putPresigned(ctx context.Context, p PutRequest, a wire.InitAnswer,
	body io.ReadSeeker) (pending bool, err error) {
	target, transport, err := c.presignedTarget(a.URL)
	if err != nil {
		return false, err
	}
	if p.Progress != nil {
		p.Progress(0, p.Size)
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return false, fmt.Errorf("remote: rewind module: %w", err)
	}
	req := (&http.Request{Method: http.MethodPut, URL: target, Host: target.Host,
		ContentLength: p.Size,
		Header:        http.Header{"User-Agent": {c.opt.UserAgent}},
		Body:          io.NopCloser(io.LimitReader(body, p.Size))}).WithContext(ctx)
	resp, err := roundTrip(transport, c.minRate, req)
	if err != nil {
		return false, fmt.Errorf("remote: PUT to %s: %w", target.Host, &connectionError{err})
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		e := &StatusError{Method: http.MethodPut, Path: target.Path, Code: resp.StatusCode}
		return false, fmt.Errorf("remote: upload to %s was refused, nothing is published: %w",
			target.Host, e)
	}
	if p.Progress != nil {
		p.Progress(p.Size, p.Size)
	}
	if a.UploadID == "" {
		a.UploadID = p.Head.Root.String()
	}
	done, err := json.Marshal(wire.CompleteBody{UploadID: a.UploadID, NewRoot: p.Head.Root.String()})
	if err != nil {
		return false, fmt.Errorf("remote: encode request: %w", err)
	}
	err = c.eitherForm(ctx, p.Head, func(h http.Header) error {
		h = h.Clone()
		// repeated from push-init, for a server that has restarted since
		h.Set(wire.HeaderParent, p.Parent.String())
		h.Set(wire.HeaderPushMode, pushMode(p.Pending))
		h.Set("Content-Type", wire.TypeJSON)
		pending, err = c.outcome(ctx,
			exchange{op: request.PushComplete, method: http.MethodPost, path: "/module/complete",
				header: h, body: bytes.NewReader(done), size: int64(len(done))})
		return err
	})
	return pending, err
}

// outcome makes the last request of a push once. It reports whether the status is 202: pending.
func (c *Client) outcome(ctx context.Context, e exchange) (pending bool, err error) {
	e.ok = func(code int) bool {
		return code == http.StatusOK || code == http.StatusCreated || code == http.StatusAccepted
	}
	resp, err := c.do(ctx, e)
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusAccepted, nil
}

// presignedTarget parses an upload address and returns the transport for it. The address must be
// https to a public host, or at the origin itself (remote/PROTOCOL.md 6.6). It is a secret, so
// errors name only its host.
func (c *Client) presignedTarget(s string) (*url.URL, *http.Transport, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, nil, fmt.Errorf("remote: push-init: %w: the upload address does not parse",
			ErrProtocol)
	}
	if origin, _ := c.origin.peek(); sameHost(u, origin) {
		return u, c.transport, nil
	}
	if u.Scheme != "https" {
		return nil, nil, fmt.Errorf("remote: push-init: %w: the upload address at %s is not https",
			ErrInsecure, u.Host)
	}
	if err := c.strict.CheckName(u.Hostname()); err != nil {
		return nil, nil, fmt.Errorf("remote: push-init: upload address: %w", err)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := c.strict.Check(ip); err != nil {
			return nil, nil, fmt.Errorf("remote: push-init: upload address: %w", err)
		}
	}
	return u, c.presigned, nil
}

// sameHost reports whether u has the scheme and host of origin.
func sameHost(u *url.URL, origin string) bool {
	at, err := url.Parse(origin)
	return err == nil && u.Scheme == at.Scheme && u.Host == at.Host
}

func pushMode(pending bool) string {
	if pending {
		return wire.ModePending
	}
	return wire.ModeAdvance
}

// uploadFrom rewinds body and returns a reader of its p.Size bytes that reports progress.
func uploadFrom(p PutRequest, body io.ReadSeeker) (io.Reader, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("remote: rewind module: %w", err)
	}
	if p.Progress == nil {
		return io.LimitReader(body, p.Size), nil
	}
	p.Progress(0, p.Size)
	return &counted{r: io.LimitReader(body, p.Size), total: p.Size, progress: p.Progress}, nil
}

// counted calls progress with the number of bytes read.
type counted struct {
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.done += int64(n); n > 0 {
		c.progress(c.done, c.total)
	}
	return n, err
}
