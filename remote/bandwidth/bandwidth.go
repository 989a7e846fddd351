// Package bandwidth bounds how many bytes a second pass through connections, those of clients of
// package remote and those that a listener accepts.
package bandwidth

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limit bounds how many bytes a second are received and sent, together, over all the connections
// that share it: those of clients that have it as remote.ClientOptions.Bandwidth, and those of a
// listener from [Limit.Listener]. What is counted is what passes through the connection, TLS and
// headers included. It may be used concurrently.
type Limit struct {
	down, up *rate.Limiter // nil: no bound
}

// Pieces in which a bounded connection moves bytes: a twentieth of a second's worth within these
// limits, so that several connections take turns and none falls silent.
const (
	minPiece = 512
	maxPiece = 64 << 10
)

// New returns a Limit of down bytes a second received and up bytes a second sent. What is not
// positive is no bound.
func New(down, up int64) *Limit { return &Limit{newBound(down), newBound(up)} }

func newBound(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(min(max(perSecond/20, minPiece), maxPiece)))
}

// Conn returns c with the bound on it. Closing it ends the waits of its readers and writers.
func (b *Limit) Conn(c net.Conn) net.Conn {
	if b == nil || b.down == nil && b.up == nil {
		return c
	}
	return &boundConn{Conn: c, down: b.down, up: b.up, closed: make(chan struct{})}
}

// Listener returns l with the bound on every connection that it accepts.
func (b *Limit) Listener(l net.Listener) net.Listener { return boundListener{l, b} }

type boundListener struct {
	net.Listener
	b *Limit
}

func (l boundListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.b.Conn(c), nil
}

// Received returns how many bytes a second are received at most; 0: there is no bound.
func (b *Limit) Received() int64 {
	if b == nil || b.down == nil {
		return 0
	}
	return int64(b.down.Limit())
}

// boundConn waits for its share: after reading, so that what is there is given on at once and the
// sender is held back by the connection itself; before writing.
type boundConn struct {
	net.Conn
	down, up *rate.Limiter
	once     sync.Once
	closed   chan struct{}
}

func (c *boundConn) Read(p []byte) (int, error) {
	if c.down == nil {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.down.Burst())])
	if n > 0 {
		c.wait(c.down, n)
	}
	return n, err
}

func (c *boundConn) Write(p []byte) (n int, err error) {
	if c.up == nil {
		return c.Conn.Write(p)
	}
	for err == nil && n < len(p) {
		piece := p[n:min(len(p), n+c.up.Burst())]
		if !c.wait(c.up, len(piece)) {
			return n, net.ErrClosed
		}
		var m int
		m, err = c.Conn.Write(piece)
		n += m
	}
	return n, err
}

// wait takes n bytes of the bound, and reports false when the connection was closed meanwhile.
func (c *boundConn) wait(bound *rate.Limiter, n int) bool {
	d := bound.ReserveN(time.Now(), n).Delay()
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closed:
		return false
	}
}

func (c *boundConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
