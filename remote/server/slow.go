package server

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"time"
)

// minRate is how many bytes a second a body has to bring, and an answer has to get rid of, in the
// long run: what is slower holds memory and places that others want.
const minRate = 4 << 10

// A slowTimer is how long one direction of a request may still wait for the other side: a time that
// begins full, shrinks while the other side is waited for and grows with each byte that moves, up
// to full again. It is kept by a deadline of the connection. Not safe for concurrent use.
type slowTimer struct {
	full, left time.Duration
	until      time.Time             // no wait goes on after it; zero: not limited
	set        func(time.Time) error // the deadline; zero: none
}

func newSlowTimer(full time.Duration, set func(time.Time) error) *slowTimer {
	return &slowTimer{full: full, left: full, set: set}
}

// wait runs one call that moves bytes and returns how many. whole is how many it has to move before
// it returns, which may take their time besides.
func (p *slowTimer) wait(whole int, move func() (int, error)) (int, error) {
	begin := time.Now()
	deadline := begin.Add(p.left + ofBytes(whole))
	if !p.until.IsZero() && deadline.After(p.until) {
		deadline = p.until
	}
	if err := p.set(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := move()
	p.left = min(p.full, p.left-time.Since(begin)+ofBytes(n))
	p.set(time.Time{}) // what happens on our side is nobody's delay
	return n, err
}

// ofBytes is how long n bytes may take.
func ofBytes(n int) time.Duration { return time.Duration(n) * time.Second / minRate }

// Limits of what is done for the rest of a body after an early answer.
const (
	lingerBytes = 256 << 10       // bytes of it that are read
	lingerTime  = 5 * time.Second // for them to come
	// from then until the connection is closed, for the client to read the answer
	resetDelay = time.Second
)

// A timedWriter cuts off a client that does not take its answer. What it is given goes on in
// pieces, so that each of them has a deadline of its own.
//
// An answer that begins before the body of the request has ended is an early one. It is sent at
// once, and it ends the connection: finish reads a little of the rest, so that the client finds the
// answer instead of a reset.
type timedWriter struct {
	http.ResponseWriter
	pace  *slowTimer
	body  *timedBody // of the request
	http1 bool       // one request at a time on the connection
	begun bool
	early bool

	status int   // of the answer; 0: 200, or not begun
	sent   int64 // bytes of the answer's body
}

func newTimedWriter(w http.ResponseWriter, r *http.Request, full time.Duration,
	body *timedBody) *timedWriter {
	return &timedWriter{ResponseWriter: w, http1: r.ProtoMajor == 1, body: body,
		pace: newSlowTimer(full, http.NewResponseController(w).SetWriteDeadline)}
}

// begin comes before the first byte of an answer. Over HTTP/2 a stream can be ended without its
// body.
func (w *timedWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if w.body.done() || !w.http1 {
		return
	}
	// Without this net/http reads of the body before it sends the answer.
	if http.NewResponseController(w.ResponseWriter).EnableFullDuplex() == nil {
		w.early = true
		w.Header().Set("Connection", "close")
	}
}

// Unwrap is for http.ResponseController.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *timedWriter) WriteHeader(status int) {
	w.begin()
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *timedWriter) Write(p []byte) (done int, err error) {
	w.begin()
	for {
		piece := p[:min(len(p), copySize)]
		n, err := w.pace.wait(len(piece), func() (int, error) { return w.ResponseWriter.Write(piece) })
		w.sent += int64(n)
		done, p = done+n, p[n:]
		if err != nil || len(p) == 0 {
			return done, err
		}
	}
}

// WriteString implements io.StringWriter.
func (w *timedWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// filePiece is how much of a file goes out by one call of the system.
const filePiece = 1 << 20

// ReadFrom implements io.ReaderFrom: files go out by the system's own call, anything else through a
// buffer.
func (w *timedWriter) ReadFrom(src io.Reader) (done int64, err error) {
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
		w.sent += int64(n)
		done, part.N = done+int64(n), part.N-int64(n)
		if err != nil || n < want || part.N == 0 {
			return done, err
		}
	}
}

// finish leaves what is still buffered as much time as there is left. After an early answer it
// reads some of the body.
func (w *timedWriter) finish() {
	w.begin()
	w.pace.set(time.Now().Add(max(w.pace.left, 0)))
	if !w.early {
		return
	}
	if http.NewResponseController(w.ResponseWriter).Flush() == nil {
		w.body.linger()
	}
	w.body.pace.set(time.Now()) // net/http reads no more of it
}

// A timedBody is the body of a request; reading it fails when the client is too slow.
type timedBody struct {
	body   io.Reader
	length int64 // announced; negative: not
	n      int64 // bytes that have come
	pace   *slowTimer
	ended  bool // there is nothing more to read
	broke  bool // there may be, and it cannot be read
}

func newTimedBody(w http.ResponseWriter, r *http.Request, full time.Duration) *timedBody {
	return &timedBody{body: r.Body, length: r.ContentLength,
		pace:  newSlowTimer(full, http.NewResponseController(w).SetReadDeadline),
		ended: r.Body == nil || r.Body == http.NoBody}
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	if b.body == nil {
		return 0, io.EOF
	}
	n, err := b.pace.wait(0, func() (int, error) { return b.body.Read(p) })
	b.n += int64(n)
	b.ended = b.ended || err == io.EOF
	b.broke = b.broke || err != nil && err != io.EOF
	return n, err
}

// done reports whether all of the body has come.
func (b *timedBody) done() bool { return b.ended || b.length > 0 && b.n >= b.length }

// linger reads what a client that has been answered still sends, within limits. A client that
// closes the connection when it has the answer ends it.
func (b *timedBody) linger() {
	if b.broke {
		return
	}
	b.pace.set(time.Now().Add(lingerTime))
	n, err := io.CopyN(io.Discard, b.body, lingerBytes)
	if n == lingerBytes && err == nil {
		time.Sleep(resetDelay)
	}
}
