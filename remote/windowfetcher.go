package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A WindowFetcher opens modules that an origin does not send by GET (remote/PROTOCOL.md 5.5, 10.6).
// rpc.WindowFetcher implements it over JSON-RPC.
type WindowFetcher interface {
	// OpenModule opens a module at offset and returns the size of the whole module. The module is
	// verified like one from GET. The caller closes the reader.
	OpenModule(ctx context.Context, via Channel, id module.ID,
		offset int64) (r io.ReadCloser, size int64, err error)
}

// A Channel lets a [WindowFetcher] send requests to the origin of a [Client], like the client
// itself but without signatures.
type Channel struct {
	Origin    string            // as from [URL.Origin]
	Transport http.RoundTripper // guarded, follows no redirects, enforces MinRate
	UserAgent string
	MaxModule int64 // limit on a module, in bytes
	Attempts  int   // total attempts of a request
}

// openLarge opens a module through the WindowFetcher.
func (c *Client) openLarge(ctx context.Context, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	origin, err := c.base(ctx)
	if err != nil {
		return nil, 0, err
	}
	via := Channel{Origin: origin, Transport: watchedTransport{c.transport, c.minRate},
		UserAgent: c.opt.UserAgent, MaxModule: c.opt.MaxModule, Attempts: c.opt.Attempts}
	r, size, err := c.opt.WindowFetcher.OpenModule(ctx, via, module.ID{Store: c.url.Store,
		Root: root}, offset)
	if err != nil {
		return nil, 0, &retriedError{err} // the WindowFetcher has retried
	}
	return &moduleBody{capReader{r: r, left: c.opt.MaxModule - offset,
		over: c.maxModule().exceeded(-1)}, r, size}, offset, nil
}

// isLarge reports whether a module is longer than InlineLimit and must be opened through the
// WindowFetcher.
func (c *Client) isLarge(ctx context.Context, root merkle.Hash) bool {
	if c.opt.WindowFetcher == nil || c.opt.InlineLimit <= 0 {
		return false
	}
	size, err := c.Stat(ctx, root)
	return err == nil && size > c.opt.InlineLimit
}

// refusedAsLarge reports whether err refuses a GET because the module is too large, and there is a
// WindowFetcher.
func (c *Client) refusedAsLarge(err error) bool {
	var status *StatusError
	return c.opt.WindowFetcher != nil && errors.As(err, &status) &&
		status.Code == http.StatusRequestEntityTooLarge && status.Message == wire.TooLargeForGet
}

// watchedTransport is a client's transport for other clients. It enforces the least rate.
type watchedTransport struct {
	t       *http.Transport
	minRate int64
}

func (w watchedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = noRepeat{}
	}
	return roundTrip(w.t, w.minRate, r)
}

// CloseIdleConnections is called by http.Client.
func (w watchedTransport) CloseIdleConnections() { w.t.CloseIdleConnections() }

// NewTransport returns the transport of a [Client] with these options, for other clients of the
// same origins. It has the client's TLS, dial guard and limits, follows no redirects, requests no
// compression, and fails with [ErrTooSlow] below MinRate. o may be nil.
func NewTransport(o *ClientOptions) (http.RoundTripper, error) {
	if o == nil {
		o = new(ClientOptions)
	}
	if o.TLS != nil && o.TLS.InsecureSkipVerify {
		return nil, fmt.Errorf("%w: certificates are always verified; give RootCAs instead", ErrInsecure)
	}
	dial := o.Dial
	if dial == nil {
		guard := o.Guard
		if guard == nil {
			guard = new(DialGuard)
		}
		dial = guard.dialer(true)
	}
	return watchedTransport{newTransport(o.TLS, limited(o.Bandwidth, dial)), o.minRate()}, nil
}
