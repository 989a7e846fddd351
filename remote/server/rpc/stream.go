package rpc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// What an answer holds while it is sent, in bytes: its buffers, and what net/http has of them.
const answerMemory = 128 << 10

// A source is where the bytes of a window come from. The handler encodes them as it sends them, so
// that an answer holds no more memory than its buffers, however slowly it is read.
type source struct {
	r     *io.SectionReader
	close func() error
}

// stream is where the bytes of a window that the handler made come from; nil for one that has its
// bytes.
func (w *servedWindow) stream() *source { return w.from }

// A streamBuffer is the room of a window in base64.
type streamBuffer struct {
	raw  [48 << 10]byte
	text [64 << 10]byte
}

var streamBuffers = sync.Pool{New: func() any { return new(streamBuffer) }}

// fill reads the next bytes of s. Fewer than the buffer holds are the last.
func (b *streamBuffer) fill(s *source) (n int, err error) {
	want := min(int64(len(b.raw)), s.left())
	n, err = io.ReadFull(s.r, b.raw[:want])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if err == nil && int64(n) < want {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("read the bytes of a window: %w", err)
	}
	return n, nil
}

// left is how many bytes of s have not been read.
func (s *source) left() int64 {
	at, err := s.r.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0 // never: a SectionReader seeks where it is
	}
	return s.r.Size() - at
}

// emptyCiphertext is how a result begins whose bytes are streamed.
const emptyCiphertext = `{"ciphertext":""`

// writeStream writes a reply whose result has its bytes in s, which it closes. A source that fails
// at its beginning is answered by an error; one that fails later breaks the connection, so that the
// answer does not look whole.
func (h *Handler) writeStream(ctx context.Context, w io.Writer, r *reply, s *source) error {
	defer s.close()
	buffer := streamBuffers.Get().(*streamBuffer)
	defer streamBuffers.Put(buffer)
	n, err := buffer.fill(s)
	if err != nil {
		return write(w, &reply{ID: r.ID, Err: h.fail(ctx, "a window", err)})
	}
	text, err := json.Marshal(r.Result)
	if err != nil {
		return err
	}
	begin, rest, ok := strings.Cut(string(text), emptyCiphertext)
	if !ok || begin != "" {
		return fmt.Errorf("rpc: unexpected start of a byte result: %.40q", text)
	}
	if _, err := fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s`, r.ID, strings.TrimSuffix(emptyCiphertext, `"`)); err != nil {
		return err
	}
	for n > 0 {
		size := base64.StdEncoding.EncodedLen(n)
		base64.StdEncoding.Encode(buffer.text[:], buffer.raw[:n])
		if _, err := w.Write(buffer.text[:size]); err != nil {
			return err
		}
		if n, err = buffer.fill(s); err != nil {
			if ctx.Err() == nil {
				h.opt.Logger.ErrorContext(ctx, "answer broke off", "err", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
	_, err = fmt.Fprintf(w, `"%s}`, rest)
	return err
}
