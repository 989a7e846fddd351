package remote

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Bandwidth bounds how many bytes a second are received and sent, together, over all the connections that share
// it: those of clients that have it in their [ClientOptions], and those of a listener from [Bandwidth.Listener].
// What is counted is what passes through the connection, TLS and headers included. It may be used concurrently.
type Bandwidth struct {
	down, up *rate.Limiter // nil: no bound
}

// Pieces in which a bounded connection moves bytes: a twentieth of a second's worth within these limits, so that
// several connections take turns and none falls silent.
const (
	minPiece = 512
	maxPiece = 64 << 10
)

// NewBandwidth returns a Bandwidth of down bytes a second received and up bytes a second sent. What is not positive
// is no bound.
func NewBandwidth(down, up int64) *Bandwidth { return &Bandwidth{newBound(down), newBound(up)} }

func newBound(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(min(max(perSecond/20, minPiece), maxPiece)))
}

// Conn returns c with the bound on it. Closing it ends the waits of its readers and writers.
func (b *Bandwidth) Conn(c net.Conn) net.Conn {
	if b == nil || b.down == nil && b.up == nil {
		return c
	}
	return &boundConn{Conn: c, down: b.down, up: b.up, closed: make(chan struct{})}
}

// Listener returns l with the bound on every connection that it accepts.
func (b *Bandwidth) Listener(l net.Listener) net.Listener { return boundListener{l, b} }

type boundListener struct {
	net.Listener
	b *Bandwidth
}

func (l boundListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.b.Conn(c), nil
}

// dialer puts the bound on what dial returns. A nil Bandwidth bounds nothing.
func (b *Bandwidth) dialer(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if b == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return b.Conn(c), nil
	}
}

// boundConn waits for its share: after reading, so that what is there is given on at once and the sender is held back
// by the connection itself; before writing.
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
