package remote

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"time"
)

// minRate is how many bytes a second a body has to bring, and an answer has to get rid of, in the long run: what is
// slower holds memory and places that others want.
const minRate = 4 << 10

// A pace is how long one direction of a request may still wait for the other side: a time that begins full, shrinks
// while the other side is waited for and grows with each byte that moves, up to full again. It is kept by a deadline
// of the connection. Not safe for concurrent use.
type pace struct {
	full, left time.Duration
	set        func(time.Time) error // the deadline; zero: none
}

func newPace(full time.Duration, set func(time.Time) error) *pace {
	return &pace{full: full, left: full, set: set}
}

// wait runs one call that moves bytes and returns how many. whole is how many it has to move before it returns, which
// may take their time besides.
func (p *pace) wait(whole int, move func() (int, error)) (int, error) {
	begin := time.Now()
	if err := p.set(begin.Add(p.left + ofBytes(whole))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := move()
	p.left = min(p.full, p.left-time.Since(begin)+ofBytes(n))
	p.set(time.Time{}) // what happens on our side is nobody's delay
	return n, err
}

// ofBytes is how long n bytes may take.
func ofBytes(n int) time.Duration { return time.Duration(n) * time.Second / minRate }

// A pacedWriter cuts off a client that does not take its answer. What it is given goes on in pieces, so that each of
// them has a deadline of its own.
type pacedWriter struct {
	http.ResponseWriter
	pace *pace
}

func newPacedWriter(w http.ResponseWriter, full time.Duration) *pacedWriter {
	return &pacedWriter{w, newPace(full, http.NewResponseController(w).SetWriteDeadline)}
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (done int, err error) {
	for {
		piece := p[:min(len(p), copySize)]
		n, err := w.pace.wait(len(piece), func() (int, error) { return w.ResponseWriter.Write(piece) })
		done, p = done+n, p[n:]
		if err != nil || len(p) == 0 {
			return done, err
		}
	}
}

// WriteString implements io.StringWriter.
func (w *pacedWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// filePiece is how much of a file goes out by one call of the system.
const filePiece = 1 << 20

// ReadFrom implements io.ReaderFrom: files go out by the system's own call, anything else through a buffer.
func (w *pacedWriter) ReadFrom(src io.Reader) (done int64, err error) {
	part, ok := src.(*io.LimitedReader)
	if !ok {
		part = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	direct, ok := w.ResponseWriter.(io.ReaderFrom)
	if _, file := part.R.(*os.File); !ok || !file {
		return copyPart(w, part)
	}
	for {
		piece := &io.LimitedReader{R: part.R, N: min(part.N, filePiece)}
		want := int(piece.N)
		n, err := w.pace.wait(want, func() (int, error) {
			n, err := direct.ReadFrom(piece)
			return int(n), err
		})
		done, part.N = done+int64(n), part.N-int64(n)
		if err != nil || n < want || part.N == 0 {
			return done, err
		}
	}
}

// finish leaves what is still buffered as much time as there is left.
func (w *pacedWriter) finish() { w.pace.set(time.Now().Add(max(w.pace.left, 0))) }

// unread bounds how long the rest of a body that no handler wanted is waited for, which net/http does so that the
// connection can be used again.
func unread(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second))
	}
}

// A pacedBody is the body of a request, of whoever keeps pace.
type pacedBody struct {
	body io.Reader
	pace *pace
}

func newPacedBody(w http.ResponseWriter, body io.Reader, full time.Duration) *pacedBody {
	return &pacedBody{body, newPace(full, http.NewResponseController(w).SetReadDeadline)}
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	return b.pace.wait(0, func() (int, error) { return b.body.Read(p) })
}
