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

// Modules that an origin does not give by GET, and where a client finds them instead
// (remote/PROTOCOL.md 5.5, 10.6).

// A WindowFetcher opens modules that an origin does not give by GET. rpc.WindowFetcher is the one
// for the JSON-RPC tier.
type WindowFetcher interface {
	// OpenModule opens the bytes of a generation from offset on, and says how long the whole is. What
	// comes is verified like a module from GET. The caller closes the reader.
	OpenModule(ctx context.Context, via Channel, id module.ID,
		offset int64) (r io.ReadCloser, size int64, err error)
}

// A Channel is how a [WindowFetcher] reaches the origin that a [Client] speaks to: as the client
// itself does, but without a signature.
type Channel struct {
	Origin    string            // as [URL.Origin] has it
	Transport http.RoundTripper // guarded, follows no redirect, fails where an answer is too slow
	UserAgent string
	MaxModule int64 // longest module that is read, in bytes
	Attempts  int   // how often a request is tried in all
}

// openLarge opens a module by the other way.
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
		return nil, 0, &retriedError{err} // by Large itself
	}
	return &moduleBody{capReader{r: r, left: c.opt.MaxModule - offset,
		over: c.maxModule().exceeded(-1)}, r, size}, offset, nil
}

// isLarge reports whether a module has to be opened by the other way: the origin said so, or its
// length does.
func (c *Client) isLarge(ctx context.Context, root merkle.Hash) bool {
	if c.opt.WindowFetcher == nil || c.opt.InlineLimit <= 0 {
		return false
	}
	size, err := c.Stat(ctx, root)
	return err == nil && size > c.opt.InlineLimit
}

// saysLarge reports whether err is the answer of a GET that will not give the module.
func (c *Client) saysLarge(err error) bool {
	var status *StatusError
	return c.opt.WindowFetcher != nil && errors.As(err, &status) &&
		status.Code == http.StatusRequestEntityTooLarge && status.Message == wire.TooLargeForGet
}

// watchedTransport is the transport of a client for others, with its wait for bytes.
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

// CloseIdleConnections is found by http.Client.
func (w watchedTransport) CloseIdleConnections() { w.t.CloseIdleConnections() }

// NewTransport returns what a [Client] with these options speaks through, for other clients of the
// same origins: its TLS, dial guard and limits, no redirects, no compression, and an end where an
// answer is slower than MinRate. o may be nil.
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
	return watchedTransport{newTransport(o.TLS, bounded(o.Bandwidth, dial)), o.minRate()}, nil
}
