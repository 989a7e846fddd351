package scorer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/dig-network/digstore/node/policy"
)

// The circuit breaker of HTTP.
const (
	maxFailures = 5
	openFor     = time.Minute
)

// HTTP is a policy.Scorer that calls a service. After five failures in a row it fails immediately
// for a minute, and then tries again with one request at a time. NewHTTP makes one.
type HTTP struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	failures int
	until    time.Time // when the breaker lets a request through
}

// HTTPOptions are settings of NewHTTP. nil and the zero value mean the defaults.
type HTTPOptions struct {
	Now func() time.Time // default: time.Now
}

// NewHTTP returns the scorer at a URL, which must be https, or http on loopback.
func NewHTTP(rawURL string, o *HTTPOptions) (*HTTP, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: URL of a scorer: %w", ErrScorer, err)
	}
	plain := u.Scheme == "http" && loopback(u.Hostname())
	if u.Host == "" || u.Scheme != "https" && !plain || u.User != nil {
		return nil, fmt.Errorf("%w: URL %.200q, expected https, or http on loopback, without a user",
			ErrScorer, u.Redacted())
	}
	s := &HTTP{url: u.String(), now: time.Now}
	if o != nil && o.Now != nil {
		s.now = o.Now
	}
	dialer := net.Dialer{Timeout: Timeout}
	transport := &http.Transport{TLSHandshakeTimeout: Timeout, MaxIdleConns: 2,
		IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true}
	if plain {
		dialer.Control = loopbackOnly // localhost may resolve to another address
	} else {
		transport.Proxy = http.ProxyFromEnvironment
	}
	transport.DialContext = dialer.DialContext
	s.client = &http.Client{Transport: transport, Timeout: Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// loopback reports whether a host is literally loopback.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func loopbackOnly(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !a.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("address %v is not loopback", a)
	}
	return nil
}

// Close closes idle connections.
func (s *HTTP) Close() { s.client.CloseIdleConnections() }

// Score implements policy.Scorer.
func (s *HTTP) Score(ctx context.Context, f policy.Features) (policy.Score, error) {
	if err := s.admit(); err != nil {
		return policy.Score{}, err
	}
	score, err := s.ask(ctx, f)
	if ctx.Err() != nil {
		return policy.Score{}, context.Cause(ctx) // not a failure of the service
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.failures = 0
		return score, nil
	}
	if s.failures++; s.failures >= maxFailures {
		s.until = s.now().Add(openFor)
	}
	return policy.Score{}, err
}

// admit fails while the breaker is open. When its time is over, one request may try.
func (s *HTTP) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures < maxFailures {
		return nil
	}
	now := s.now()
	if now.Before(s.until) {
		return fmt.Errorf("%w: %d failures in a row, the next try is at %s", ErrScorer, s.failures,
			s.until.UTC().Format(time.RFC3339))
	}
	s.until = now.Add(Timeout)
	return nil
}

func (s *HTTP) ask(ctx context.Context, f policy.Features) (policy.Score, error) {
	body, err := encode(f)
	if err != nil {
		return policy.Score{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return policy.Score{}, fmt.Errorf("%w: %w", ErrScorer, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error // its text contains the URL, which may contain a secret
		if errors.As(err, &u) {
			err = u.Err
		}
		return policy.Score{}, fmt.Errorf("%w: %w", ErrScorer, err)
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != "application/json" {
		return policy.Score{}, fmt.Errorf("%w: status %d, type %.40q, expected 200 and application/json",
			ErrScorer, resp.StatusCode, kind)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return policy.Score{}, fmt.Errorf("%w: read answer: %w", ErrScorer, err)
	}
	return decode(b)
}
