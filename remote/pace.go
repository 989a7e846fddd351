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
	pace  *pace
	body  *pacedBody // of the request
	begun bool
}

func newPacedWriter(w http.ResponseWriter, full time.Duration, body *pacedBody) *pacedWriter {
	return &pacedWriter{ResponseWriter: w, pace: newPace(full, http.NewResponseController(w).SetWriteDeadline), body: body}
}

// begin comes before the first byte of an answer. net/http reads some of a body that no handler wanted before it
// sends one.
func (w *pacedWriter) begin() {
	if !w.begun {
		w.begun = true
		w.body.unwanted()
	}
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *pacedWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (done int, err error) {
	w.begin()
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
	w.begin()
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
func (w *pacedWriter) finish() {
	w.begin()
	w.pace.set(time.Now().Add(max(w.pace.left, 0)))
}

// A pacedBody is the body of a request, of whoever keeps pace.
type pacedBody struct {
	body  io.Reader
	pace  *pace
	ended bool // there is nothing more to read
	broke bool // there may be, and it cannot be read
}

func newPacedBody(w http.ResponseWriter, r *http.Request, full time.Duration) *pacedBody {
	return &pacedBody{body: r.Body, pace: newPace(full, http.NewResponseController(w).SetReadDeadline),
		ended: r.Body == nil || r.Body == http.NoBody}
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.body == nil {
		return 0, io.EOF
	}
	n, err := b.pace.wait(0, func() (int, error) { return b.body.Read(p) })
	b.ended = b.ended || err == io.EOF
	b.broke = b.broke || err != nil && err != io.EOF
	return n, err
}

// unwanted bounds how long the rest of a body is waited for. After its end there is nothing to wait for, and a
// deadline would end the request.
func (b *pacedBody) unwanted() {
	switch {
	case b.broke:
		b.pace.set(time.Now())
	case !b.ended:
		b.pace.set(time.Now().Add(unwantedTime))
	}
}

const unwantedTime = 5 * time.Second
