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

// A SealedResource is what is answered for one retrieval key: sealed bytes, how they split, and a
// proof. Whether it is a resource or a decoy it does not say. Safe for concurrent use until it is
// closed.
type SealedResource struct {
	Root      merkle.Hash   // the generation
	Proof     *merkle.Proof // nil: none, as with reference decoys
	ChunkLens []uint32      // sealed lengths of the chunks, in order

	size  int64
	read  func(p []byte, off int64) error
	close func() error
}

// Size returns how many sealed bytes there are.
func (c *SealedResource) Size() int64 { return c.size }

// ReadAt reads sealed bytes, as io.ReaderAt says.
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

// ProofBytes returns the encoded proof; empty when there is none.
func (c *SealedResource) ProofBytes() ([]byte, error) {
	if c.Proof == nil {
		return nil, nil
	}
	return c.Proof.MarshalBinary()
}

// Close lets go of the module that is read from. A second call does nothing.
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

// lookupOf checks what a request names, not whether it is there.
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

// readJSON decodes the body of a request: a type other than JSON is 415, more than limit bytes 413,
// no JSON 400, JSON of another shape 422 with that text (remote/PROTOCOL.md 4.3).
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

// freeBody is how long a body may be without counting.
const freeBody = 64 << 10

// readBody reads the body of a request, up to the limit. Memory beyond freeBody is taken from the
// budget as the bytes arrive: what has arrived may double.
func (s *Server) readBody(c *call, limit int64) ([]byte, error) {
	if c.ContentLength > limit {
		return nil, bodyTooLarge(limit, "bytes")
	}
	// one byte more, to see whether there is more
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

// lookUp reads a request for one retrieval key and opens what is answered. The caller closes it.
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

// rootRefusal is the answer to a generation that cannot be opened for reading.
func rootRefusal(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unknownRoot()
	case errors.Is(err, auth.ErrRevoked):
		return revoked()
	case errors.Is(err, module.ErrFormat), errors.Is(err, wire.ErrVerification):
		// ours, not the client's
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

// A textBuffer is the room of an answer in base64: small, since as many of them wait as there are
// slow readers.
type textBuffer struct {
	raw  [48 << 10]byte
	text [64 << 10]byte
}

var textBuffers = sync.Pool{New: func() any { return new(textBuffer) }}

// writeBase64 encodes r piece by piece.
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

// A lateWriter holds back headers and the first bytes of an answer, so that what fails early is
// answered by its status. What fails later breaks the connection, so that no answer looks whole
// that is not.
type lateWriter struct {
	w    http.ResponseWriter
	head func(http.Header)
	kept []byte
	sent bool
	gone error // of the connection
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

// flush sends what is held back. Its error is for the one who writes; a client that has gone gets
// no answer.
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

// broke ends an answer that could not be written to its end.
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
