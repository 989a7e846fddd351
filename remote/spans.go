package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// The costs in bytes of one more part in an answer and of one more request. Spans that are closer
// together than that are requested as one range, with the bytes between them.
const (
	partCost    = 256
	requestCost = 16 << 10
	// of a request to a WindowFetcher, whose windows have that size (remote/PROTOCOL.md 10.3)
	largeCost = 3 << 20

	maxRanges = 128 // in one request
	maxSpans  = 1 << 16
)

// errNoParts means that the origin serves only whole modules.
var errNoParts = fmt.Errorf("the origin does not serve parts of modules: %w", errors.ErrUnsupported)

// Spans implements [RangeOrigin] with GET and Range. It merges close spans into one range, and
// sends up to 128 ranges in one request if the origin supports that, else one per request. The
// error is [errors.ErrUnsupported] when the origin does not support ranges. Modules that are too
// large for GET are read through ClientOptions.WindowFetcher.
//
// An answer must have the entity tag of root and lie in the requested ranges; otherwise the error
// is a [*VerificationError]. A request that breaks is repeated for the spans still missing.
func (c *Client) Spans(ctx context.Context, root merkle.Hash, want []Span,
	take func(i int, body io.Reader) error) error {
	if err := checkSpans(want); err != nil {
		return err
	}
	s := &spanRequest{c: c, root: root, want: want, done: make([]bool, len(want)), take: take}
	s.left = len(want)
	for i, w := range want {
		if w.Length == 0 { // an empty range cannot be requested
			if err := take(i, strings.NewReader("")); err != nil {
				return fmt.Errorf("remote: use parts of module %s: %w", root, err)
			}
			s.markDone(i)
		}
	}
	for s.left > 0 {
		if err := c.retry(ctx, readPolicy, func() error { return s.ask(ctx) }); err != nil {
			return fmt.Errorf("remote: GET parts of module %s: %w", root, err)
		}
		budgetOf(ctx).Reset()
	}
	return nil
}

func checkSpans(want []Span) error {
	if len(want) > maxSpans {
		return fmt.Errorf("remote: %d spans at once, at most %d", len(want), maxSpans)
	}
	at := int64(0)
	for _, s := range want {
		if s.Offset < at || s.Length < 0 || s.Offset+s.Length < s.Offset {
			return errors.New("remote: spans are not in order")
		}
		at = s.Offset + s.Length
	}
	return nil
}

// spanRequest is the state of one call of Spans.
type spanRequest struct {
	c     *Client
	root  merkle.Hash
	want  []Span
	done  []bool
	left  int // how many of want are not done
	first int // all of want before this index are done
	take  func(i int, body io.Reader) error
	total int64 // length of the module according to the first answer

	asked Span  // the range that encloses the current request
	quota int64 // how many more bytes of parts its answer may have
}

// batch returns the next ranges to request, at most n. It merges spans at most gap bytes apart.
func (s *spanRequest) batch(n int, gap int64) (ranges []Span) {
	for ; s.done[s.first]; s.first++ {
	}
	for i := s.first; i < len(s.want); i++ {
		w := s.want[i]
		if s.done[i] {
			continue
		}
		if last := len(ranges) - 1; last >= 0 && w.Offset-ranges[last].End() <= gap {
			ranges[last].Length = w.End() - ranges[last].Offset
			continue
		}
		if len(ranges) == n {
			break
		}
		ranges = append(ranges, w)
	}
	return ranges
}

// markDone records that take has received span i.
func (s *spanRequest) markDone(i int) {
	s.done[i] = true
	s.left--
}

// ask makes one request for missing spans. When it returns nil it has delivered a span, or the
// client has learned to request ranges singly.
func (s *spanRequest) ask(ctx context.Context) error {
	single := s.c.singleRanges()
	ranges := s.batch(maxRanges, partCost)
	if single {
		ranges = s.batch(1, requestCost)
	}
	s.expect(ranges)
	h := http.Header{}
	h.Set("Range", rangeHeader(ranges))
	h.Set("If-Range", wire.ETag(s.root))
	resp, err := s.c.do(ctx, exchange{
		op: request.Module, method: http.MethodGet, path: "/module", query: "root=" +
			s.root.String(), header: h,
		ok: func(code int) bool {
			return code == http.StatusOK || code == http.StatusPartialContent ||
				code == http.StatusRequestedRangeNotSatisfiable
		},
	})
	if s.c.refusedAsLarge(err) {
		return s.askLarge(ctx)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return &VerificationError{Check: CheckRange,
			Want: "bytes up to " + strconv.FormatInt(s.asked.End(), 10),
			Got:  "a module without them, " + oneline.Excerpt(resp.Header.Get("Content-Range"), 60)}
	}
	if err := checkETag(resp, s.root); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		if single || len(ranges) == 1 {
			return errNoParts
		}
		s.c.useSingleRanges()
		return nil
	}
	before := s.left
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err == nil && kind == "multipart/byteranges" {
		err = s.parts(resp.Body, params["boundary"])
	} else if err = s.part(resp.Header, resp.Body); err == nil && len(ranges) > 1 {
		s.c.useSingleRanges() // the server answered only one of several ranges
	}
	if err == nil && s.left == before {
		return rangeError("some of the ranges asked for", "none")
	}
	return err
}

// expect sets the limits of the answer. The quota allows for a server that merges ranges, whose
// parts are somewhat longer.
func (s *spanRequest) expect(ranges []Span) {
	begin := ranges[0].Offset
	s.asked = Span{Offset: begin, Length: ranges[len(ranges)-1].End() - begin}
	s.quota = 64 << 10
	for _, r := range ranges {
		s.quota += 2 * r.Length
	}
}

func rangeHeader(ranges []Span) string {
	b := []byte("bytes=")
	for i, r := range ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r.Offset, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, r.End()-1, 10)
	}
	return string(b)
}

// parts reads a multipart answer.
func (s *spanRequest) parts(body io.Reader, boundary string) error {
	if boundary == "" {
		return rangeError("a boundary between the parts", "none")
	}
	limited := &capReader{r: body, left: s.quota + (maxRanges+1)*1024}
	for r := multipart.NewReader(limited, boundary); ; {
		p, err := r.NextRawPart()
		switch {
		case err == io.EOF:
			return nil
		case limited.err != nil && !errors.Is(limited.err, ErrTooLarge), errors.Is(err,
			io.ErrUnexpectedEOF):
			return &connectionError{err}
		case err != nil:
			return rangeError("parts as announced", oneline.Excerpt(err.Error(), 100))
		}
		if err := s.part(http.Header(p.Header), p); err != nil {
			return err
		}
	}
}

// part checks one part and delivers the spans in it.
func (s *spanRequest) part(h http.Header, body io.Reader) error {
	text := h.Get("Content-Range")
	span, total, ok := wire.ParseContentRange(text)
	at := Span(span)
	if !ok || at.Offset < s.asked.Offset || at.End() > s.asked.End() {
		return rangeError("parts within bytes "+strconv.FormatInt(s.asked.Offset, 10)+" to "+
			strconv.FormatInt(s.asked.End()-1, 10), oneline.Excerpt(text, 100))
	}
	if s.total == 0 {
		s.total = total
	}
	if total != s.total {
		return rangeError("parts of "+strconv.FormatInt(s.total, 10)+" bytes", oneline.Excerpt(text, 100))
	}
	if s.quota -= at.Length; s.quota < 0 {
		return rangeError("the ranges asked for", "far more")
	}
	return s.deliver(at, &exactReader{r: body, left: at.Length})
}

// deliver passes the missing spans within at to take. body has the bytes of at.
func (s *spanRequest) deliver(at Span, body *exactReader) error {
	pos, any := at.Offset, false
	first, _ := slices.BinarySearchFunc(s.want, at.Offset, func(w Span, off int64) int {
		return cmp.Compare(w.Offset, off)
	})
	for i := first; i < len(s.want) && s.want[i].End() <= at.End(); i++ {
		w := s.want[i]
		if s.done[i] {
			continue
		}
		if _, err := io.CopyN(io.Discard, body, w.Offset-pos); err != nil {
			return body.fault(err)
		}
		span := &io.LimitedReader{R: body, N: w.Length}
		err := s.take(i, span)
		if body.err != nil {
			return body.fault(body.err)
		}
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, span); err != nil {
			return body.fault(err)
		}
		pos, any = w.End(), true
		s.markDone(i)
	}
	if !any {
		return rangeError("parts that were asked for",
			fmt.Sprintf("bytes %d to %d", at.Offset, at.End()-1))
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return body.fault(err)
	}
	return body.ended()
}

// askLarge reads the next range through the WindowFetcher. It returns errNoParts if the whole
// module costs less.
func (s *spanRequest) askLarge(ctx context.Context) error {
	ranges := s.batch(maxSpans, largeCost)
	at := ranges[0]
	r, _, err := s.c.openLarge(ctx, s.root, at.Offset)
	if err != nil {
		return err
	}
	defer r.Close()
	if m, ok := r.(*moduleBody); ok && int64(len(ranges))*largeCost >= m.Size() && m.Size() > 0 {
		return errNoParts
	}
	return s.deliver(at, &exactReader{r: r, left: at.Length, more: true})
}

// exactReader reads exactly left bytes from r and records in err why there were fewer.
type exactReader struct {
	r    io.Reader
	left int64
	more bool // r may have more bytes after them
	err  error
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if e.err != nil {
		return 0, e.err
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); e.left > 0 && err != nil {
		e.err = err
	}
	if e.left == 0 {
		err = nil
	}
	return n, err
}

// fault returns the error for a short read: of a part shorter than announced, or of a broken
// transfer.
func (e *exactReader) fault(err error) error {
	if e.err == nil || e.err == io.EOF {
		return rangeError("as many bytes as a part says", "fewer")
	}
	var done *VerificationError
	if errors.As(e.err, &done) {
		return e.err
	}
	return &connectionError{err}
}

// ended checks that the part ends where it announced.
func (e *exactReader) ended() error {
	if e.more {
		return nil
	}
	var b [1]byte
	switch n, err := io.ReadFull(e.r, b[:]); {
	case n > 0:
		return rangeError("as many bytes as a part says", "more")
	case err != io.EOF:
		return &connectionError{err}
	}
	return nil
}

func rangeError(want, got string) error {
	return &VerificationError{Check: CheckRange, Want: want, Got: got}
}

// singleRanges reports whether the origin was found to accept at most one range per request.
func (c *Client) singleRanges() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.singleRange
}

func (c *Client) useSingleRanges() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.singleRange = true
}
