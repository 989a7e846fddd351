package server

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"time"
)

// minRate is the lowest average rate of a request body and of a response, in bytes a second. A
// slower transfer would hold memory and upload slots for too long.
const minRate = 4 << 10

// A slowTimer bounds how long one direction of a request waits for the peer. Its time starts at
// full, shrinks during each wait and grows with each byte that moves, up to full. It works by a
// deadline of the connection. Not safe for concurrent use.
type slowTimer struct {
	full, left time.Duration
	until      time.Time             // latest deadline; zero: none
	set        func(time.Time) error // sets the deadline; the zero time removes it
}

func newSlowTimer(full time.Duration, set func(time.Time) error) *slowTimer {
	return &slowTimer{full: full, left: full, set: set}
}

// wait calls move under a deadline and returns its result, the number of bytes moved. If move
// returns only after a fixed number of bytes, whole is that number, and extends the deadline.
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
	p.set(time.Time{}) // time spent in the server does not count
	return n, err
}

// ofBytes returns how long n bytes may take.
func ofBytes(n int) time.Duration { return time.Duration(n) * time.Second / minRate }

// Limits for the rest of a request body after an early response.
const (
	lingerBytes = 256 << 10       // bytes to read
	lingerTime  = 5 * time.Second // time to read them
	// resetDelay is how long the client then has to read the response before the connection closes.
	resetDelay = time.Second
)

// A timedWriter closes the connection of a client that reads its response too slowly. It writes in
// parts, each with its own deadline.
//
// A response that begins before the end of the request body is early. It is sent at once and ends
// the connection. finish then reads some of the body, so that the client receives the response
// instead of a reset.
type timedWriter struct {
	http.ResponseWriter
	pace  *slowTimer
	body  *timedBody // of the request
	http1 bool       // HTTP/1: an early response ends the connection
	begun bool
	early bool

	status int   // of the response; 0: 200, or not begun
	sent   int64 // bytes of the response body
}

func newTimedWriter(w http.ResponseWriter, r *http.Request, full time.Duration,
	body *timedBody) *timedWriter {
	return &timedWriter{ResponseWriter: w, http1: r.ProtoMajor == 1, body: body,
		pace: newSlowTimer(full, http.NewResponseController(w).SetWriteDeadline)}
}

// begin is called before the first byte of a response. HTTP/2 needs nothing: a stream can end
// before its request body does.
func (w *timedWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if w.body.done() || !w.http1 {
		return
	}
	// Otherwise net/http reads from the body before it sends the response.
	if http.NewResponseController(w.ResponseWriter).EnableFullDuplex() == nil {
		w.early = true
		w.Header().Set("Connection", "close")
	}
}

// Unwrap returns the underlying writer, for http.ResponseController.
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

// filePiece is how many bytes of a file one system call sends.
const filePiece = 1 << 20

// ReadFrom implements io.ReaderFrom. It sends files by sendfile and anything else through a buffer.
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

// finish gives buffered bytes the time that is left. After an early response it reads some of the
// request body.
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

// A timedBody is the body of a request. Read fails if the client sends too slowly.
type timedBody struct {
	body   io.Reader
	length int64 // Content-Length; negative: unknown
	n      int64 // bytes read
	pace   *slowTimer
	ended  bool // at EOF
	broke  bool // reading failed
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

// done reports whether the whole body has been read.
func (b *timedBody) done() bool { return b.ended || b.length > 0 && b.n >= b.length }

// linger reads what the client still sends after the response, at most lingerBytes within
// lingerTime. It ends when the client closes the connection.
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
