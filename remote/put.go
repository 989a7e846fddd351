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

// A PutRequest is a generation to be pushed.
type PutRequest struct {
	Head     auth.SignedRoot // store, root, key, and at least one form of the signature
	Parent   merkle.Hash     // the root it follows; zero: the store's first
	Pending  bool            // keep it without making it the head
	Size     int64           // bytes of the module
	Hash     merkle.Hash     // SHA-256 of the module
	Progress func(done, total int64)
}

// Put pushes one generation: push-init, then the body in line or to the address that the origin
// hands out; a node without push-init gets one plain PUT (remote/PROTOCOL.md 6). body is read from
// its start, perhaps twice, and exactly p.Size bytes of it.
//
// Both forms of the signature travel, one of them as the first. A 403 is answered once by the other
// form as the first, and what comes of that is the outcome. The client remembers the form that an
// origin accepts, for as long as it lives and in [ClientOptions].PushForms (remote/PROTOCOL.md
// 6.1).
//
// When the answer is lost, or says that the parent is not the head, the descriptor is read again: a
// head equal to the root means success. After a lost answer, and after 429, 502, 503 and 504, the
// push is sent again where the descriptor still has the parent as the head.
//
// pending says that the generation is kept and is not the head yet. Refusals are [*StatusError].
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

// confirmPush sends a push until it is known how it ended. An answer that was lost, or that says
// that another push came first, is settled by the origin's head. The push is sent again only where
// that head is still the parent.
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

// hasStatus reports whether err is an answer with one of the statuses.
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

// pushInit announces the generation. A node that has no such route answers as one that takes bodies
// in line, without an upload id.
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

// putInline sends the module to the origin itself.
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

// putHeader is the header of a PUT, given that of every leg of the push.
func putHeader(h http.Header, p PutRequest, kind string) http.Header {
	h = h.Clone()
	h.Set(wire.HeaderParent, p.Parent.String())
	h.Set(wire.HeaderRoot, p.Head.Root.String())
	h.Set(wire.HeaderPushMode, pushMode(p.Pending))
	h.Set("Content-Type", kind)
	h.Set("Expect", "100-continue")
	return h
}

// putPresigned sends the module where the origin said, without any header of ours, and tells the
// origin.
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
		// a server that has started anew meanwhile knows it no more
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

// outcome makes one attempt of what ends a push, and reads its status.
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

// presignedTarget holds an upload address to remote/PROTOCOL.md 6.6: https to a public host, or the
// origin itself. The address is a secret, so errors name its host only.
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

// sameHost reports whether u has the scheme and the host of an origin.
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

// uploadFrom rewinds body and counts what is taken of it.
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

// counted reports how many bytes have been read.
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
