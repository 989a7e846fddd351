package server

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// getModule answers GET and HEAD /stores/{id}/module. See remote/PROTOCOL.md 5.3, 5.4.
func (s *Server) getModule(w http.ResponseWriter, c *call) error {
	query := c.URL.Query()
	var want merkle.Hash
	if query.Has("root") {
		var err error
		if want, err = merkle.ParseHash(query.Get("root")); err != nil {
			return badRequest("bad root")
		}
	}
	head, err := s.head(c.Context(), c.store)
	if err != nil {
		return err
	}
	if !query.Has("root") {
		want = head.Root
	}
	if want.IsZero() {
		return unknownRoot()
	}
	c.root = want
	if s.opt.WithholdRevoked {
		ts, err := s.tombstones(c.Context(), c.store)
		if err != nil {
			return err
		}
		if isRevoked(ts, want) {
			return revoked()
		}
	}
	m, size, err := s.open(c.Context(), c.store, want)
	if err != nil {
		return err
	}
	defer m.Close()
	if done, err := s.giveRecipe(w, c, want); done || err != nil {
		return err
	}
	if limit := s.opt.MaxInlineModule; limit > 0 && size > limit && c.Method != http.MethodHead &&
		!asksForLess(c.Request, want, limit) {
		return s.refuseLarge(w, module.ID{Store: c.store, Root: want}, size)
	}
	w.Header().Set("ETag", wire.ETag(want))
	w.Header().Set("Content-Type", wire.TypeModule)
	out := &moduleWriter{ResponseWriter: w, size: size}
	http.ServeContent(out, servedRanges(c.Request), "", time.Time{}, m)
	if out.unsatisfiable {
		return refuse(http.StatusRequestedRangeNotSatisfiable, "bad request: range not satisfiable")
	}
	if out.err != nil {
		s.damage.note(c.Context(), module.ID{Store: c.store, Root: want}, out.err)
		if c.Context().Err() == nil {
			s.log.ErrorContext(c.Context(), "module broke off", "store", c.store, "root",
				want, "err", out.err)
		}
		panic(http.ErrAbortHandler) // a partial body must not look complete
	}
	return nil
}

// copySize is the buffer size for sending modules: large enough that the cost of calls is
// negligible.
const copySize = 256 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// A moduleWriter is the writer for http.ServeContent, which would copy through a buffer of 32 KiB.
// It uses io.WriterTo if the module implements it, sendfile for a file, and a large buffer
// otherwise. It keeps the error, which ServeContent does not return.
type moduleWriter struct {
	http.ResponseWriter
	size          int64
	unsatisfiable bool
	err           error
}

// Unwrap returns the underlying writer, for http.ResponseController.
func (w *moduleWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader suppresses status 416, and Write its text: the server has its own.
func (w *moduleWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.unsatisfiable = true
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *moduleWriter) Write(p []byte) (int, error) {
	if w.unsatisfiable {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom. ServeContent passes an io.LimitedReader over the module at its
// current offset.
func (w *moduleWriter) ReadFrom(src io.Reader) (n int64, err error) {
	part, ok := src.(*io.LimitedReader)
	if !ok {
		part = &io.LimitedReader{R: src, N: w.size}
	}
	want := part.N
	switch r := part.R.(type) {
	case *os.File:
		n, err = io.Copy(w.ResponseWriter, part)
	case io.WriterTo:
		if want == w.size {
			n, err = r.WriteTo(w.ResponseWriter)
			break
		}
		n, err = copyPart(w.ResponseWriter, part)
	default:
		n, err = copyPart(w.ResponseWriter, part)
	}
	if err == nil && n != want {
		err = io.ErrUnexpectedEOF
	}
	w.err = err
	return n, err
}

func copyPart(w io.Writer, part *io.LimitedReader) (int64, error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, part, *buf)
}
