package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/netguard"
)

// Timeouts and buffer sizes of every client.
const (
	dialTimeout   = 10 * time.Second // of a connection, and of a TLS handshake
	headerTimeout = 30 * time.Second // from the end of a request to the headers of the answer
	proofTimeout  = 3 * time.Minute  // the same for a challenge, whose answer is computed
	idleTimeout   = 60 * time.Second // without any byte of a body
	maxHeader     = 64 << 10         // bytes
	bufferSize    = 64 << 10         // of a connection, each way
)

// DefaultMinRate is the default of Options.MinRate in bytes a second: 1 KiB.
const DefaultMinRate = 1 << 10

// Options are the settings of a [Client]. The zero value dials public addresses and literal
// loopback, trusts no root, and repeats requests that change nothing.
type Options struct {
	// Trust decides which roots belong to a datastore. nil: the roots for which the node has a root
	// statement by a key that Writers accepts.
	Trust capsule.RootTrust
	// Writers returns nil if a key may write a datastore; see [Keys]. It is used if Trust is nil.
	// nil: no key may, and every root is capsule.ErrUntrusted.
	Writers func(ctx context.Context, store auth.StoreID, key auth.PublicKey) error

	// Identity signs pushes. nil: New makes a key.
	Identity auth.Signer
	// Token or User and Password are the credential of pushes. They are sent over TLS or to a
	// literal loopback address only, and are never printed.
	Token          string
	User, Password string
	// AdminToken is the credential of Status. The same rule applies.
	AdminToken string
	// APIKey is sent with every request. Nodes that know it rate-limit its owner separately from
	// other clients of the address. The same rule applies; New checks it and returns ErrInsecure.
	APIKey string
	// UserAgent is <product>/<version>. Default "digstore-go/1".
	UserAgent string

	// TLS is cloned. Its InsecureSkipVerify is refused; versions below 1.2 are not used.
	TLS *tls.Config
	// AllowPrivate lets the client dial every address. Networks are addresses that it may dial
	// besides public ones. A literal loopback host may be dialed without either.
	AllowPrivate bool
	Networks     []netip.Prefix
	// Dial replaces dialing and the check of addresses.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Attempts is the total number of attempts of a request. Default 4.
	Attempts int
	// MinRate is the minimum average rate of an answer in bytes a second. Default [DefaultMinRate].
	MinRate int64
	// MaxManifest is the limit of all pages of a manifest together, in bytes. Default
	// [capsule.MaxManifest].
	MaxManifest int64
	// Uploads is the number of capsules of a push sent at the same time. Default 4.
	Uploads int
	// OnRetry, if not nil, is called before each wait with the error of the attempt. It may be
	// called concurrently.
	OnRetry func(err error, wait time.Duration)
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

func (o *Options) setDefaults() error {
	if o.TLS != nil && o.TLS.InsecureSkipVerify {
		return fmt.Errorf("%w: InsecureSkipVerify is set; set RootCAs instead", ErrInsecure)
	}
	if o.Identity == nil {
		key, err := auth.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("make an identity: %w", err)
		}
		o.Identity = key
	}
	if o.UserAgent == "" {
		o.UserAgent = "digstore-go/1"
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	if o.MinRate <= 0 {
		o.MinRate = DefaultMinRate
	}
	if o.MaxManifest <= 0 {
		o.MaxManifest = capsule.MaxManifest
	}
	if o.Uploads <= 0 {
		o.Uploads = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// A Client calls the API of one node. It is a [capsule.Source]. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	opt       Options
	trust     capsule.RootTrust
	transport http.RoundTripper
	proofs    http.RoundTripper // for challenges
	idle      []*http.Transport // transports whose idle connections Close closes
}

var _ capsule.Source = (*Client)(nil)

// New returns a client of the node at base, an http or https URL with an optional path under which
// the node is mounted, such as "http://127.0.0.1:8555". It does not dial. If base has another form,
// the error is [ErrBadURL].
func New(base string, o *Options) (*Client, error) {
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	c := &Client{base: u}
	if o != nil {
		c.opt = *o
	}
	if err := c.opt.setDefaults(); err != nil {
		return nil, err
	}
	if c.opt.APIKey != "" {
		if _, err := c.credential(c.opt.APIKey); err != nil {
			return nil, err
		}
	}
	c.trust = c.opt.Trust
	if c.trust == nil {
		c.trust = c.signedRoots()
	}
	dial := c.opt.Dial
	if dial == nil {
		guard := &netguard.Guard{AllowPrivate: c.opt.AllowPrivate, Networks: c.opt.Networks,
			Refusal: ErrInsecure}
		dial = guard.Dialer(dialTimeout, true)
	}
	c.idle = []*http.Transport{newTransport(c.opt.TLS, dial, headerTimeout),
		newTransport(c.opt.TLS, dial, proofTimeout)}
	c.transport, c.proofs = c.idle[0], c.idle[1]
	return c, nil
}

// parseBase parses the URL of a node.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var inner *url.Error // contains the text, which may have a password
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, fmt.Errorf("%w: %w", ErrBadURL, err)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: scheme is %q, expected http or https", ErrBadURL, u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%w: it has no host", ErrBadURL)
	case u.User != nil:
		return nil, fmt.Errorf("%w: it has a user name", ErrBadURL)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: it has a query or a fragment", ErrBadURL)
	case u.RawPath != "" || strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/."):
		return nil, fmt.Errorf("%w: path %q is not plain", ErrBadURL, u.EscapedPath())
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}, nil
}

// newTransport returns a transport for HTTP/1.1. Capsules are long bodies, which the framing of
// HTTP/2 slows down.
func newTransport(conf *tls.Config, dial func(context.Context, string, string) (net.Conn, error),
	header time.Duration) *http.Transport {
	if conf == nil {
		conf = new(tls.Config)
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
	}
}

// URL returns the URL of the node.
func (c *Client) URL() string { return c.base.String() }

// Close closes idle connections. The client can still be used.
func (c *Client) Close() error {
	for _, t := range c.idle {
		t.CloseIdleConnections()
	}
	return nil
}
