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

// Fixed timeouts and buffer sizes of a client (remote/PROTOCOL.md 9.1).
const (
	dialTimeout   = 10 * time.Second // dial, and TLS handshake
	headerTimeout = 30 * time.Second // from the end of the request to the headers of the answer
	// for one write of a request, and for an answer to stay behind MinRate
	idleTimeout = 60 * time.Second
	bufferSize  = 256 << 10 // for sending, and for reading a local module
	readAhead   = 32 << 10  // buffer of a connection; longer reads bypass it
)

// Defaults of ClientOptions.
const (
	// DefaultMaxModule is the default limit on the size of a module on either side: 1 GiB. Modules
	// are streamed.
	DefaultMaxModule = wire.DefaultMaxModule
	// DefaultMinRate is the least rate of an answer, in bytes per second: 1 KiB.
	DefaultMinRate = 1 << 10
	// DefaultMaxContent is the default limit on a resource that a client holds in memory: 64 MiB of
	// sealed bytes.
	DefaultMaxContent = 64 << 20
)

// ClientOptions configure a [Client]. The zero value suits a program that acts on the input of
// others: it signs with a new key, dials only public addresses and literal loopback, and retries
// reads.
type ClientOptions struct {
	// Identity signs every request. nil: a new key for this client.
	Identity auth.Signer
	// IdentityAt, if set, returns the key that signs in place of Identity at one host
	// ("example.org:8443"). It is called until it succeeds once. With a key per host, as
	// [DeriveIdentity] derives, hosts cannot link the client's requests (remote/PROTOCOL.md 3.8).
	IdentityAt func(host string) (auth.Signer, error)
	// UserAgent is <product>/<version>. Default "digstore-go/1".
	UserAgent string
	// Bearer is the token sent with pushes, for nodes that require one. It is never printed.
	Bearer string
	// Resolver resolves a dig:// locator to an origin, at the first request. nil: [URL.AtOrigin].
	Resolver Resolver
	// TLS provides RootCAs and client certificates. It is cloned. The least version is TLS 1.2;
	// InsecureSkipVerify is an error.
	TLS *tls.Config
	// Guard decides which addresses may be dialled. nil: the zero DialGuard.
	Guard *DialGuard
	// Dial replaces dialling and Guard, for tests and tunnels.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Bandwidth limits the transfer rate, shared with every client that has the same value. nil: no
	// limit.
	Bandwidth Bandwidth
	// AllowLoopbackHTTP lets a dig:// locator whose host is literally loopback fall back to plain HTTP
	// when the server there does not support TLS (remote/PROTOCOL.md 2.3).
	AllowLoopbackHTTP bool
	// AllowPlainLocal accepts http://dig.local from the Resolver: plain HTTP to a name that is not
	// literally loopback. A machine in the local network that answers for the name can read and
	// change the traffic. Modules are verified regardless.
	AllowPlainLocal bool
	// MaxModule limits a module, and a resource of [Client.Fetch], in bytes. Default
	// [DefaultMaxModule].
	MaxModule int64
	// MaxContent limits a resource that [Client.Content] holds in memory, in sealed bytes. Default
	// [DefaultMaxContent].
	MaxContent int64
	// MinRate is the least rate of an answer in bytes per second: N bytes may take one minute plus
	// N/MinRate seconds, else the error is [ErrTooSlow]. Default [DefaultMinRate]. It is at most a
	// sixteenth of the receive limit of Bandwidth, because connections share that limit.
	MinRate int64
	// WindowFetcher opens modules that the origin refuses to send by GET as too long, and modules
	// longer than InlineLimit, in bytes. nil: the former fail with [ErrTooLarge]. InlineLimit 0: only
	// the origin decides.
	WindowFetcher WindowFetcher
	InlineLimit   int64
	// Attempts is the total number of attempts of a read. Default 4.
	Attempts int
	// PushForms stores the form of push signature that each origin accepts. nil: each client may need
	// one refused request to find it.
	PushForms PushForms
	// OnRetry, if set, is called with the error of a failed attempt and the time until the next one.
	OnRetry func(err error, wait time.Duration)
	// Now is the clock that signs requests and detects clock skew. nil: time.Now.
	Now func() time.Time
}

// A Client reads and pushes one store at one origin. It may be used concurrently. It keeps
// connections open between requests; [Client.Close] closes them.
type Client struct {
	url       URL // as given; its Store is set
	opt       ClientOptions
	minRate   int64 // of answers, bytes a second
	transport *http.Transport
	presigned *http.Transport // to hosts that the origin names
	strict    *DialGuard      // for presigned

	origin *lazy[string]      // of the requests, as from URL.Origin
	signer *lazy[auth.Signer] // from IdentityAt

	mu          sync.Mutex
	form        auth.PushForm // that this origin accepted last (remote/PROTOCOL.md 6.1); "": unknown
	singleRange bool          // the origin accepts at most one range per request
	recipes     bool          // the origin accepts recipes
}

// NewClient returns a client for the store that u names. It makes no connection. The error is
// [ErrBadURL] when [ParseURL] would refuse u or u names no store.
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
	// The caller did not choose the hosts that the origin names: AllowPrivate does not apply to
	// them.
	c.strict = &DialGuard{Networks: c.opt.Guard.Networks}
	dial, presignedDial := c.opt.Dial, c.opt.Dial
	if dial == nil {
		dial, presignedDial = c.opt.Guard.dialer(true), c.strict.dialer(false)
	}
	c.minRate = c.opt.minRate()
	c.transport = newTransport(c.opt.TLS, limited(c.opt.Bandwidth, dial))
	c.presigned = newTransport(c.opt.TLS, limited(c.opt.Bandwidth, presignedDial))
	return c, nil
}

// minRate returns the least rate of answers in bytes per second.
func (o *ClientOptions) minRate() int64 {
	least := orDefault(o.MinRate, DefaultMinRate)
	if o.Bandwidth != nil {
		if n := o.Bandwidth.Received(); n > 0 {
			least = min(least, max(1, n/16))
		}
	}
	return least
}

// newTransport returns a transport limited to HTTP/1.1. A module is one long body, which the
// framing of HTTP/2 only slows down, and only HTTP/1.1 has a way to keep net/http from repeating a
// request; see noRepeat.
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

// String returns scheme, host and prefix of the locator that the client was made for. Reports use
// it as the name of the origin.
func (c *Client) String() string { return c.url.Origin() }

// Close closes idle connections. The client remains usable. The error is always nil.
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

// read passes a JSON body of at most limit bytes to decode.
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
		io.CopyN(io.Discard, body, 4<<10) // to the end, so that the connection can be reused
		return nil
	})
}

// decodeStrict decodes one JSON value, which must be all of r.
func decodeStrict(r io.Reader, v any) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return strictjson.Unmarshal(text, v)
}

// Revoke sends a tombstone that the caller has signed: POST /stores/{id}/tombstone. It retries
// after connection errors, which is safe because a server keeps one record per scope.
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

// orDefault returns v if it is positive, else otherwise.
func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
