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

// answerMemory is how many bytes a response holds while it is sent: its buffers and those of
// net/http.
const answerMemory = 128 << 10

// A source provides the bytes of a window. The handler encodes them as it sends them, so a response
// holds only its buffers, however slowly the client reads.
type source struct {
	r     *io.SectionReader
	close func() error
}

// stream returns the source of the bytes of a window, or nil if there is none.
func (w *servedWindow) stream() *source { return w.from }

// A streamBuffer holds one part of a window, raw and in base64.
type streamBuffer struct {
	raw  [48 << 10]byte
	text [64 << 10]byte
}

var streamBuffers = sync.Pool{New: func() any { return new(streamBuffer) }}

// fill reads the next bytes of s into b.raw. It returns fewer than len(b.raw) only at the end.
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

// left returns how many bytes of s have not been read.
func (s *source) left() int64 {
	at, err := s.r.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0 // cannot happen with a SectionReader
	}
	return s.r.Size() - at
}

// emptyCiphertext is the start of the JSON of a result whose bytes are streamed.
const emptyCiphertext = `{"ciphertext":""`

// writeStream writes a reply with the bytes of s, and closes s. If the first read fails, the reply
// is an error. A later failure aborts the connection, so that a partial response does not look
// complete.
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
