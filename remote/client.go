package remote

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Times of a client that are not negotiable (remote/PROTOCOL.md 9.1).
const (
	dialTimeout   = 10 * time.Second // dial, and TLS handshake
	headerTimeout = 30 * time.Second // from the end of the request to the headers of the answer
	// for a piece of a request to be taken, and for an answer to be behind MinRate
	idleTimeout = 60 * time.Second
	bufferSize  = 256 << 10 // what is sent at once, and read of a local module
	readAhead   = 32 << 10  // of a connection: longer reads go past it, into the caller's memory
)

// Defaults of what a client takes.
const (
	// DefaultMaxModule is the longest module that either side takes by default: 1 GiB. Modules are
	// streamed.
	DefaultMaxModule = wire.DefaultMaxModule
	// DefaultMinRate is the least rate of an answer, in bytes a second: 1 KiB.
	DefaultMinRate = 1 << 10
	// DefaultMaxContent is the longest resource that a client holds in memory by default: 64 MiB of
	// sealed bytes.
	DefaultMaxContent = 64 << 20
)

// ClientOptions say how a [Client] talks. The zero value is good for a program that serves others:
// it signs with a key of its own, dials public addresses and literal loopback, and retries reads.
type ClientOptions struct {
	// Identity signs every request. nil: a key made for this client.
	Identity auth.Signer
	// IdentityAt, if set, gives the key that signs in place of Identity at one host
	// ("example.org:8443"), asked once. With a key for each, as [DeriveIdentity] makes them, hosts
	// cannot tell that it is the same client that reads from all of them (remote/PROTOCOL.md 3.8).
	IdentityAt func(host string) (auth.Signer, error)
	// UserAgent is <product>/<version>. Default "digstore-go/1".
	UserAgent string
	// Bearer is sent with pushes, where a node asks for a token. It is never printed.
	Bearer string
	// Resolver turns a dig:// locator into an origin, at the first request. nil: [URL.AtOrigin].
	Resolver Resolver
	// TLS is cloned; RootCAs and client certificates are what it is for. TLS 1.2 is the least spoken,
	// and InsecureSkipVerify is refused.
	TLS *tls.Config
	// Guard decides what may be dialled. nil: the zero DialGuard.
	Guard *DialGuard
	// Dial replaces dialling, guard and all. Tests and tunnels use it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Bandwidth bounds how fast bytes move, together with every other client that has the same one.
	// nil: no bound.
	Bandwidth Bandwidth
	// AllowLoopbackHTTP lets a dig:// locator whose host is literally loopback fall back to plain HTTP
	// when what listens there does not speak TLS (remote/PROTOCOL.md 2.3).
	AllowLoopbackHTTP bool
	// AllowPlainLocal takes http://dig.local where the Resolver leads there: plain HTTP to a name that
	// is not literally loopback. A machine in the local network that answers for the name can read
	// and change what is sent. Modules are verified all the same.
	AllowPlainLocal bool
	// MaxModule is the longest module that is read, in bytes, and the longest resource of
	// [Client.Fetch]. Default [DefaultMaxModule].
	MaxModule int64
	// MaxContent is the longest resource that [Client.Content] holds in memory, in sealed bytes.
	// Default [DefaultMaxContent].
	MaxContent int64
	// MinRate is how many bytes a second an answer must bring, averaged over a minute: N bytes take at
	// most a minute and N/MinRate seconds. A slower answer is [ErrTooSlow]. Default [DefaultMinRate].
	// Where Bandwidth bounds what is received, at most a sixteenth of that bound, since connections
	// share it.
	MinRate int64
	// WindowFetcher opens modules that the origin does not give by GET because they are too long,
	// or are longer than InlineLimit, in bytes. nil: they are [ErrTooLarge]. InlineLimit 0: only
	// the origin decides.
	WindowFetcher WindowFetcher
	InlineLimit   int64
	// Attempts is how often a read is tried in all. Default 4.
	Attempts int
	// PushForms remembers the form of push signature that an origin accepts. nil: each client finds
	// out by itself, at the price of one refused request.
	PushForms PushForms
	// OnRetry, if set, is told why an attempt failed and how long the client waits before the next.
	OnRetry func(err error, wait time.Duration)
	// Now is the clock that server clocks are compared with. nil: time.Now.
	Now func() time.Time
}

// A Client speaks for one store at one origin. It may be used concurrently. It keeps connections
// open between requests; [Client.Close] lets them go.
type Client struct {
	url       URL // as given; its Store is set
	opt       ClientOptions
	minRate   int64 // of answers, bytes a second
	transport *http.Transport
	presigned *http.Transport // to hosts that the origin names
	strict    *DialGuard      // what those may be

	origin *lazy[string]      // of the requests, as URL.Origin has it
	signer *lazy[auth.Signer] // from IdentityAt

	mu      sync.Mutex
	form    auth.PushForm // that this origin accepted last (remote/PROTOCOL.md 6.1); "": not known
	singly  bool          // it answers one range at a time at most
	recipes bool          // it takes recipes
}

// NewClient returns a client for the store that u names. It dials nothing. An URL that ParseURL
// would not accept, or without a store, is [ErrBadURL].
func NewClient(u URL, o *ClientOptions) (*Client, error) {
	u, err := u.Canonical()
	if err != nil {
		return nil, err
	}
	if u.Store.IsZero() {
		return nil, fmt.Errorf("%w: %s names no store", ErrBadURL, u)
	}
	c := &Client{url: u, origin: newLazy[string](), signer: newLazy[auth.Signer]()}
	if o != nil {
		c.opt = *o
	}
	if c.opt.TLS != nil && c.opt.TLS.InsecureSkipVerify {
		return nil, fmt.Errorf("%w: certificates are always verified; give RootCAs instead", ErrInsecure)
	}
	if c.opt.Identity == nil && c.opt.IdentityAt == nil {
		if c.opt.Identity, err = auth.GenerateKey(rand.Reader); err != nil {
			return nil, fmt.Errorf("remote: make an identity: %w", err)
		}
	}
	if c.opt.UserAgent == "" {
		c.opt.UserAgent = "digstore-go/1"
	}
	if c.opt.Guard == nil {
		c.opt.Guard = new(DialGuard)
	}
	c.opt.MaxModule = orDefault(c.opt.MaxModule, DefaultMaxModule)
	c.opt.MaxContent = orDefault(c.opt.MaxContent, DefaultMaxContent)
	c.opt.Attempts = orDefault(c.opt.Attempts, 4)
	if c.opt.Now == nil {
		c.opt.Now = time.Now
	}
	// Hosts that the origin names are none that the caller meant: AllowPrivate does not extend to
	// them.
	c.strict = &DialGuard{Networks: c.opt.Guard.Networks}
	dial, elsewhere := c.opt.Dial, c.opt.Dial
	if dial == nil {
		dial, elsewhere = c.opt.Guard.dialer(true), c.strict.dialer(false)
	}
	c.minRate = c.opt.minRate()
	c.transport = newTransport(c.opt.TLS, bounded(c.opt.Bandwidth, dial))
	c.presigned = newTransport(c.opt.TLS, bounded(c.opt.Bandwidth, elsewhere))
	return c, nil
}

// minRate returns the least rate of answers in bytes a second.
func (o *ClientOptions) minRate() int64 {
	least := orDefault(o.MinRate, DefaultMinRate)
	if o.Bandwidth != nil {
		if n := o.Bandwidth.Received(); n > 0 {
			least = min(least, max(1, n/16))
		}
	}
	return least
}

// newTransport speaks HTTP/1.1: modules are one long body each, which a second layer of framing
// would only slow down, and a request that net/http cannot repeat by itself is only to be had
// there.
func newTransport(conf *tls.Config,
	dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	if conf == nil {
		conf = new(tls.Config)
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    4,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ReadBufferSize:         readAhead,
		WriteBufferSize:        bufferSize,
	}
}

// URL returns the locator that the client was made for.
func (c *Client) URL() URL { return c.url }

// String returns scheme, host and prefix of the locator that the client was made for: its name in
// reports.
func (c *Client) String() string { return c.url.Origin() }

// Close lets idle connections go. The client may be used on.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	c.presigned.CloseIdleConnections()
	return nil
}

// Describe implements [Origin]: GET /stores/{id}, at most 4 MiB.
func (c *Client) Describe(ctx context.Context) (*Descriptor, error) {
	d := new(Descriptor)
	err := c.read(ctx, request.Fetch, "", wire.MaxDescriptor, func(r io.Reader) error {
		return decodeStrict(r, d)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Generations implements [Origin]: GET /stores/{id}/roots, at most 64 MiB.
func (c *Client) Generations(ctx context.Context) ([]module.Generation, error) {
	var lines []module.Generation
	err := c.read(ctx, request.Roots, "/roots", wire.MaxRoots, func(r io.Reader) (err error) {
		lines, err = wire.DecodeRoots(r)
		return err
	})
	return lines, err
}

// read gets a JSON body of at most limit bytes and gives it to decode.
func (c *Client) read(ctx context.Context, op request.Op, path string, limit int64,
	decode func(io.Reader) error) error {
	return c.retry(ctx, readPolicy, func() error {
		resp, err := c.do(ctx, exchange{op: op, method: http.MethodGet, path: path, ok: okStatus})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.ContentLength > limit {
			return fmt.Errorf("remote: GET %s: %w: %d bytes, at most %d are read", resp.Request.URL.Path,
				ErrTooLarge, resp.ContentLength, limit)
		}
		body := &capReader{r: resp.Body, left: limit}
		if err := decode(body); err != nil {
			if body.err != nil {
				return fmt.Errorf("remote: GET %s: %w", resp.Request.URL.Path, &connectionError{body.err})
			}
			return fmt.Errorf("remote: GET %s: %w: %v", resp.Request.URL.Path, ErrProtocol, err)
		}
		io.CopyN(io.Discard, body, 4<<10) // to the end, so that the connection can be used again
		return nil
	})
}

// decodeStrict reads one JSON value and nothing after it.
func decodeStrict(r io.Reader, v any) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return strictjson.Unmarshal(text, v)
}

// Revoke sends a tombstone, which the caller has signed: POST /stores/{id}/tombstone. It is
// repeated on connection errors; a server keeps one record per scope, so that does no harm.
func (c *Client) Revoke(ctx context.Context, t auth.Tombstone) error {
	if t.Store != c.url.Store {
		return fmt.Errorf("%w: the tombstone is for store %s, the locator names %s", ErrBadURL,
			t.Store, c.url.Store)
	}
	body, err := wire.EncodeTombstone(t)
	if err != nil {
		return err
	}
	return c.retry(ctx, connectPolicy, func() error {
		resp, err := c.post(ctx, request.Tombstone, "/tombstone", nil, body)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

func okStatus(code int) bool { return code == http.StatusOK }

// orDefault returns v, or the default where v is not positive.
func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
