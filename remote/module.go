package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Module implements [Origin]: GET /stores/{id}/module?root=. The reader fails with [ErrTooLarge]
// after MaxModule bytes and with [ErrTooSlow] below MinRate. It implements [Sized] with the
// Content-Length.
func (c *Client) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	r, _, err := c.ModuleFrom(ctx, root, 0)
	return r, err
}

// ModuleFrom implements [RangeOrigin] with Range and If-Range. A server that supports neither sends
// the whole module; start is then 0.
func (c *Client) ModuleFrom(ctx context.Context, root merkle.Hash,
	offset int64) (r io.ReadCloser, start int64, err error) {
	if c.isLarge(ctx, root) {
		return c.openLarge(ctx, root, offset)
	}
	err = c.retry(ctx, readPolicy, func() error {
		r, start, err = c.openModule(ctx, root, offset)
		return err
	})
	return r, start, err
}

func (c *Client) openModule(ctx context.Context, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	h := http.Header{}
	if offset > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		h.Set("If-Range", wire.ETag(root))
	}
	resp, err := c.do(ctx, exchange{
		op: request.Module, method: http.MethodGet, path: "/module", query: "root=" +
			root.String(), header: h,
		ok: func(code int) bool {
			return code == http.StatusOK || offset > 0 &&
				(code == http.StatusPartialContent || code == http.StatusRequestedRangeNotSatisfiable)
		},
	})
	if c.refusedAsLarge(err) {
		return c.openLarge(ctx, root, offset)
	}
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		// The caller has the whole module already, or more bytes than the module has.
		resp.Body.Close()
		if total, ok := wire.ParseUnsatisfied(resp.Header.Get("Content-Range")); ok && total == offset {
			return &moduleBody{size: total}, offset, nil
		}
		return c.openModule(ctx, root, 0)
	}
	return c.moduleAnswer(resp, root, offset)
}

// moduleAnswer returns a reader of the answer to a GET of a module from offset.
func (c *Client) moduleAnswer(resp *http.Response, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	start, size := int64(0), resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		at, total, ok := wire.ParseContentRange(resp.Header.Get("Content-Range"))
		if !ok || at.Offset != offset || at.End() != total {
			resp.Body.Close()
			return nil, 0, rangeError("the bytes from "+strconv.FormatInt(offset, 10)+" on",
				oneline.Excerpt(resp.Header.Get("Content-Range"), 100))
		}
		start, size = offset, total
	}
	if err := checkETag(resp, root); err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	if size > c.opt.MaxModule {
		resp.Body.Close()
		return nil, 0, fmt.Errorf("remote: GET module %s: %w", root, c.maxModule().exceeded(size))
	}
	return &moduleBody{capReader{r: resp.Body, left: c.opt.MaxModule - start,
		over: c.maxModule().exceeded(-1)}, resp.Body, size}, start, nil
}

// A sizeLimit is a limit in bytes and the option that sets it.
type sizeLimit struct {
	bytes  int64
	option string
}

func (c *Client) maxModule() sizeLimit {
	return sizeLimit{c.opt.MaxModule, "ClientOptions.MaxModule"}
}

func (s *Sync) maxModule() sizeLimit {
	return sizeLimit{orDefault(s.MaxModule, DefaultMaxModule), "Sync.MaxModule"}
}

// exceeded returns the error for n bytes, or for an unknown number above the limit if n is -1.
func (l sizeLimit) exceeded(n int64) error {
	size := fmt.Sprintf("%d bytes", n)
	if n < 0 {
		size = fmt.Sprintf("more than %d bytes", l.bytes)
	}
	return fmt.Errorf("%w: %s, the limit of this client is %d (%s)", ErrTooLarge,
		size, l.bytes, l.option)
}

// checkETag checks that the entity tag of an answer is that of root: the reference implementation
// answers every root with its head (remote/PROTOCOL.md 5.3). It accepts a weak tag, into which a
// proxy may turn the host's: the root is verified from the content later.
func checkETag(resp *http.Response, root merkle.Hash) error {
	tag := resp.Header.Get("ETag")
	if got, err := wire.ParseETag(strings.TrimPrefix(tag, "W/")); err != nil || got != root {
		return &VerificationError{Check: CheckETag, Want: wire.ETag(root), Got: oneline.Excerpt(tag, 100)}
	}
	return nil
}

// Stat implements [RangeOrigin]: HEAD /stores/{id}/module?root=. It returns -1 if the answer has no
// length.
func (c *Client) Stat(ctx context.Context, root merkle.Hash) (size int64, err error) {
	err = c.retry(ctx, readPolicy, func() error {
		resp, err := c.do(ctx, exchange{op: request.Module, method: http.MethodHead, path: "/module",
			query: "root=" + root.String(), ok: okStatus})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		size = resp.ContentLength
		return checkETag(resp, root)
	})
	return size, err
}

// moduleBody is the body of a module being received.
type moduleBody struct {
	capReader
	c    io.Closer // nil: no body
	size int64
}

func (b *moduleBody) Read(p []byte) (int, error) {
	if b.c == nil {
		return 0, io.EOF
	}
	return b.capReader.Read(p)
}

// Size implements [Sized].
func (b *moduleBody) Size() int64 { return b.size }

func (b *moduleBody) Close() error {
	if b.c == nil {
		return nil
	}
	return b.c.Close()
}

// capReader reads at most left bytes from r and fails if r has more. It records the error of r in
// err.
type capReader struct {
	r    io.Reader
	left int64
	err  error
	over error // if r has more than left bytes; nil: ErrTooLarge
}

func (r *capReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.r.Read(p)
	if int64(n) > r.left {
		n, err = int(r.left), r.over
		if err == nil {
			err = fmt.Errorf("remote: body: %w", ErrTooLarge)
		}
	}
	r.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
