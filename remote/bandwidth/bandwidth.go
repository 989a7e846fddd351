// Package bandwidth limits the transfer rate of connections: those of clients of package remote
// and those that a listener accepts.
package bandwidth

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limit limits the bytes per second received and sent over all connections that share it: those
// of clients that have it as remote.ClientOptions.Bandwidth, and those of a listener from
// [Limit.Listener]. It counts all bytes of the connection, including TLS and headers. It may be
// used concurrently.
type Limit struct {
	down, up *rate.Limiter // nil: no limit
}

// The size of one read or write of a limited connection: the bytes of a twentieth of a second,
// within these limits, so that connections share the limit evenly.
const (
	minPiece = 512
	maxPiece = 64 << 10
)

// New returns a Limit of down bytes per second received and up bytes per second sent. A value that
// is not positive means no limit.
func New(down, up int64) *Limit { return &Limit{newBound(down), newBound(up)} }

func newBound(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(min(max(perSecond/20, minPiece), maxPiece)))
}

// Conn returns a connection that wraps c and is subject to the limit. Closing it ends waiting
// reads and writes.
func (b *Limit) Conn(c net.Conn) net.Conn {
	if b == nil || b.down == nil && b.up == nil {
		return c
	}
	return &boundConn{Conn: c, down: b.down, up: b.up, closed: make(chan struct{})}
}

// Listener returns a listener that wraps l and applies the limit to every accepted connection.
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

// Received returns the limit on received bytes per second; 0 means no limit.
func (b *Limit) Received() int64 {
	if b == nil || b.down == nil {
		return 0
	}
	return int64(b.down.Limit())
}

// boundConn waits after each read and before each write. While it waits after a read, the flow
// control of the connection slows the sender.
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

// wait reserves n bytes of the limit and waits for them. It returns false if the connection is
// closed first.
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
