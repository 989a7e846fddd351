package remotetest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
)

// An Origin is an [http.Server] without a network: [Origin.Dial] returns one end of a pipe. It
// works in a testing/synctest bubble.
type Origin struct {
	server http.Server
	pipes  pipes
	start  sync.Once
	done   chan struct{} // closed when the server has returned
}

// NewOrigin returns an origin that serves h, such as a [*server.Server] or one of the [Liars]. It
// starts at the first Dial. The caller closes it.
func NewOrigin(h http.Handler) *Origin {
	return &Origin{
		server: http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)},
		pipes:  pipes{conns: make(chan net.Conn), closed: make(chan struct{})},
		done:   make(chan struct{}),
	}
}

// Dial connects to the origin; it ignores the address. It is for [remote.ClientOptions].Dial.
func (o *Origin) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	o.start.Do(func() {
		go func() {
			defer close(o.done)
			o.server.Serve(&o.pipes) // returns when Close closes the pipes
		}()
	})
	near, far := net.Pipe()
	select {
	case o.pipes.conns <- far:
		return near, nil
	case <-o.pipes.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Client returns a client for one store of this origin. It sets Dial in a copy of opt, which may
// be nil.
func (o *Origin) Client(s auth.StoreID, opt *remote.ClientOptions) (*remote.Client, error) {
	u, err := remote.ParseURL("http://127.0.0.1/stores/" + s.String())
	if err != nil {
		return nil, err
	}
	var c remote.ClientOptions
	if opt != nil {
		c = *opt
	}
	c.Dial = o.Dial
	return remote.NewClient(u, &c)
}

// Close closes all connections and waits until the server has stopped.
func (o *Origin) Close() error {
	o.start.Do(func() { close(o.done) })
	err := o.server.Close()
	err = errors.Join(err, o.pipes.Close())
	<-o.done
	return err
}

// pipes is a listener.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
