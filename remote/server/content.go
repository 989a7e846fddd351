package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A SealedResource is the response for one retrieval key: sealed bytes, chunk lengths and a proof.
// It does not reveal whether it is a resource or a decoy. Safe for concurrent use until closed.
type SealedResource struct {
	Root      merkle.Hash   // the generation
	Proof     *merkle.Proof // nil: none, as with reference decoys
	ChunkLens []uint32      // sealed lengths of the chunks, in order

	size  int64
	read  func(p []byte, off int64) error
	close func() error
}

// Size returns the number of sealed bytes.
func (c *SealedResource) Size() int64 { return c.size }

// ReadAt implements io.ReaderAt over the sealed bytes.
func (c *SealedResource) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("remote: read content: negative offset")
	}
	if off >= c.size {
		return 0, io.EOF
	}
	var end error
	if left := c.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	if err := c.read(p, off); err != nil {
		return 0, err
	}
	return len(p), end
}

// ProofBytes returns the encoded proof, or nil if there is none.
func (c *SealedResource) ProofBytes() ([]byte, error) {
	if c.Proof == nil {
		return nil, nil
	}
	return c.Proof.MarshalBinary()
}

// Close releases the module. A second call does nothing.
func (c *SealedResource) Close() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

// A lookup is a decoded wire.ContentRequest.
type lookup struct {
	id         module.ID
	key        merkle.Hash
	start, end uint64
}

// lookupOf decodes b and checks its syntax. It does not look anything up.
func lookupOf(b *wire.ContentRequest, c *call) (l lookup, err error) {
	if b.Key == nil || b.Root == nil || b.Range != nil &&
		(b.Range.Start == nil || b.Range.End == nil) {
		return l, invalid("body is not a content request")
	}
	l.id.Store = c.store
	if l.key, err = merkle.ParseHash(*b.Key); err != nil {
		return l, badRequest("bad retrieval key")
	}
	if l.id.Root, err = merkle.ParseHash(*b.Root); err != nil {
		return l, badRequest("bad root")
	}
	c.root = l.id.Root
	if l.end = 1<<63 - 1; b.Range != nil {
		l.start, l.end = *b.Range.Start, *b.Range.End
	}
	if l.start > l.end {
		return l, badRequest("bad range")
	}
	return l, nil
}

// readJSON decodes the body of a request into v. Another media type is refused with 415, more than
// limit bytes with 413, invalid JSON with 400, and JSON that does not fit v with 422 and the text
// shape (remote/PROTOCOL.md 4.3).
func (s *Server) readJSON(c *call, limit int64, v any, shape string) error {
	if kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil ||
		kind != wire.TypeJSON {
		return unsupportedType()
	}
	text, err := s.readBody(c, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return badRequest("body is not JSON")
		}
		return invalid(shape)
	}
	return nil
}

// freeBody is how many bytes of a body do not count against Limits.Bodies.
const freeBody = 64 << 10

// readBody reads the body of a request, up to limit bytes. It takes memory beyond freeBody from the
// budget as bytes arrive, doubling the buffer each time.
func (s *Server) readBody(c *call, limit int64) ([]byte, error) {
	if c.ContentLength > limit {
		return nil, bodyTooLarge(limit, "bytes")
	}
	// one byte more, to detect a longer body
	text, err := io.ReadAll(io.LimitReader(c.body, freeBody+1))
	for size := int64(freeBody); err == nil && int64(len(text)) > size; {
		if size >= limit {
			return nil, bodyTooLarge(limit, "bytes")
		}
		next := min(2*size, limit)
		if !c.memory.grow(next - size) {
			return nil, rateLimited(time.Second)
		}
		size = next
		text = slices.Grow(text, int(size)+1-len(text))
		var n int
		n, err = io.ReadFull(c.body, text[len(text):size+1])
		text = text[:len(text)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
	}
	if err != nil {
		broken := badRequest("body broke off")
		broken.cause = err
		return nil, broken
	}
	return text, nil
}

// lookUp reads a request for one retrieval key and opens the resource or decoy. The caller closes
// the result.
func (s *Server) lookUp(c *call, shape string) (lookup, *SealedResource, error) {
	var body wire.ContentRequest
	if err := s.readJSON(c, wire.MaxRequestJSON, &body, shape); err != nil {
		return lookup{}, nil, err
	}
	l, err := lookupOf(&body, c)
	if err != nil {
		return l, nil, err
	}
	if _, err := s.head(c.Context(), c.store); err != nil {
		return l, nil, err
	}
	content, err := s.resources.Open(c.Context(), l.id, l.key)
	return l, content, rootRefusal(err)
}

// rootRefusal returns the refusal for a generation that cannot be opened for reading.
func rootRefusal(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unknownRoot()
	case errors.Is(err, auth.ErrRevoked):
		return revoked()
	case errors.Is(err, module.ErrFormat), errors.Is(err, wire.ErrVerification):
		// the stored module is invalid, not the request
		return &refusal{status: http.StatusInternalServerError, text: "internal server error", cause: err}
	}
	return err
}

// postContent answers POST /stores/{id}/content. See remote/PROTOCOL.md 8.1.
func (s *Server) postContent(w http.ResponseWriter, c *call) error {
	l, content, err := s.lookUp(c, "body is not a content request")
	if err != nil {
		return err
	}
	defer content.Close()
	size := uint64(content.Size())
	from, to := int64(min(l.start, size)), int64(min(l.end, size))
	proof, err := content.ProofBytes()
	if err != nil {
		return err
	}
	tail := fmt.Appendf(nil, `","merkle_proof_b64":"%s","roothash":"%s","chunk_lens":[`, base64.StdEncoding.EncodeToString(proof), content.Root)
	for i, n := range content.ChunkLens {
		if i > 0 {
			tail = append(tail, ',')
		}
		tail = strconv.AppendUint(tail, uint64(n), 10)
	}
	tail = fmt.Appendf(tail, `],"total_length":%d}`, size)
	const head = `{"ciphertext_b64":"`
	n := len(head) + base64.StdEncoding.EncodedLen(int(to-from)) + len(tail)

	out := &lateWriter{w: w, head: func(h http.Header) {
		h.Set("Content-Type", wire.TypeJSON)
		h.Set("Content-Length", strconv.Itoa(n))
	}}
	io.WriteString(out, head)
	if err := writeBase64(out, io.NewSectionReader(content, from, to-from)); err != nil {
		return out.broke(s, c, err)
	}
	out.Write(tail)
	return out.flush()
}

// A textBuffer holds one part of a base64 response. It is small because each slow reader holds one.
type textBuffer struct {
	raw  [48 << 10]byte
	text [64 << 10]byte
}

var textBuffers = sync.Pool{New: func() any { return new(textBuffer) }}

// writeBase64 writes r to w in base64, one textBuffer at a time.
func writeBase64(w io.Writer, r io.Reader) error {
	b := textBuffers.Get().(*textBuffer)
	defer textBuffers.Put(b)
	for {
		n, err := io.ReadFull(r, b.raw[:])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		size := base64.StdEncoding.EncodedLen(n)
		base64.StdEncoding.Encode(b.text[:], b.raw[:n])
		if _, werr := w.Write(b.text[:size]); werr != nil {
			return werr
		}
		if err != nil {
			return nil
		}
	}
}

// A lateWriter buffers the headers and the first 4 KiB of a response, so that an early error can
// still set the status. A later error aborts the connection, so that a partial response does not
// look complete.
type lateWriter struct {
	w    http.ResponseWriter
	head func(http.Header)
	kept []byte
	sent bool
	gone error // write error of the connection
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if l.gone != nil {
		return 0, l.gone
	}
	if !l.sent && len(l.kept)+len(p) <= 4<<10 {
		l.kept = append(l.kept, p...)
		return len(p), nil
	}
	if err := l.flush(); err != nil {
		return 0, err
	}
	n, err := l.w.Write(p)
	l.gone = err
	return n, err
}

// flush sends what is buffered. It always returns nil: a write error is kept in l.gone, since a
// client that has disconnected gets no response.
func (l *lateWriter) flush() error {
	if l.sent {
		return nil
	}
	l.sent = true
	l.head(l.w.Header())
	_, l.gone = l.w.Write(l.kept)
	l.kept = nil
	return nil
}

// broke ends a response that could not be completed. It returns err if nothing was sent, and
// otherwise logs err and aborts the connection.
func (l *lateWriter) broke(s *Server, c *call, err error) error {
	if !l.sent {
		return err
	}
	if l.gone == nil && c.Context().Err() == nil {
		s.log.ErrorContext(c.Context(), "answer broke off", "op", string(c.op), "store",
			c.store, "err", err)
	}
	panic(http.ErrAbortHandler)
}
