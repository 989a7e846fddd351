package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/jsonrpc"
)

// ClientOptions are settings of a [Client]. The zero value dials public addresses and literal
// loopback.
type ClientOptions struct {
	// Transport carries the requests. It must not follow redirects. nil: [remote.NewTransport] with
	// its defaults.
	Transport http.RoundTripper
	// UserAgent is <product>/<version>. Default "digstore-go/1".
	UserAgent string
	// Anchor returns the trusted root if a URN names none.
	Anchor remote.Anchor
	// MaxContent and MaxModule limit the resources and the modules that are read, in sealed bytes.
	// Defaults [remote.DefaultMaxContent] and [remote.DefaultMaxModule].
	MaxContent, MaxModule int64
	// Attempts is how often a request is attempted in all. Default 4.
	Attempts int
	// OnRetry, if set, is called with the error of a failed attempt and the wait before the next.
	OnRetry func(err error, wait time.Duration)
}

// A Client reads from one origin, which is not trusted. [Client.Read] verifies plaintext against a
// root, and the caller of [Client.Module] verifies modules. Other answers are not verified. Safe
// for concurrent use.
type Client struct {
	origin string
	opt    ClientOptions
	id     atomic.Uint64
}

// NewClient returns a client for the origin of u. It does not connect. o may be nil.
func NewClient(u remote.URL, o *ClientOptions) (*Client, error) {
	u, err := u.Canonical()
	if err != nil {
		return nil, err
	}
	c := &Client{origin: u.Origin()}
	if o != nil {
		c.opt = *o
	}
	if c.opt.Transport == nil {
		if c.opt.Transport, err = remote.NewTransport(nil); err != nil {
			return nil, err
		}
	}
	if c.opt.UserAgent == "" {
		c.opt.UserAgent = "digstore-go/1"
	}
	if c.opt.MaxContent <= 0 {
		c.opt.MaxContent = remote.DefaultMaxContent
	}
	if c.opt.MaxModule <= 0 {
		c.opt.MaxModule = remote.DefaultMaxModule
	}
	if c.opt.Attempts <= 0 {
		c.opt.Attempts = 4
	}
	return c, nil
}

// Close closes idle connections of the transport. The client can still be used.
func (c *Client) Close() error {
	if t, ok := c.opt.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// Limits of answers, in bytes of the body.
const (
	maxWindowBody = 16 << 20
	maxListBody   = 64 << 20
	maxSmallBody  = 8 << 20
)

// Capsules lists the generations of a store: dig.listCapsules.
func (c *Client) Capsules(ctx context.Context, s auth.StoreID) ([]Capsule, error) {
	var list CapsuleList
	err := c.call(ctx, "dig.listCapsules", jsonrpc.StoreParams{Store: &s}, maxListBody, &list)
	return list.Capsules, err
}

// Metadata reads the metadata of a generation: dig.getMetadata. A zero root means the newest.
func (c *Client) Metadata(ctx context.Context, id module.ID) (*Metadata, error) {
	return ask[Metadata](ctx, c, "dig.getMetadata",
		jsonrpc.RootParams{Store: &id.Store, Root: rootName(id.Root)})
}

// Proof reads the inclusion proof of a retrieval key: dig.getProof. A zero root means the newest.
func (c *Client) Proof(ctx context.Context, id module.ID, key merkle.Hash) (*Proof, error) {
	return ask[Proof](ctx, c, "dig.getProof",
		jsonrpc.ProofParams{Store: &id.Store, Key: &key, Root: rootName(id.Root)})
}

// ProofStatus reads the state of an execution proof: dig.getProofStatus.
func (c *Client) ProofStatus(ctx context.Context, s auth.StoreID,
	proofID string) (*ProofStatus, error) {
	return ask[ProofStatus](ctx, c, "dig.getProofStatus",
		jsonrpc.StatusParams{Store: &s, ProofID: &proofID})
}

// Health reads the state of the origin: dig.health.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	return ask[Health](ctx, c, "dig.health", jsonrpc.NoParams{})
}

// Methods lists the methods that the origin implements: dig.methods.
func (c *Client) Methods(ctx context.Context) ([]string, error) {
	var list MethodList
	err := c.call(ctx, "dig.methods", jsonrpc.NoParams{}, maxSmallBody, &list)
	return list.Methods, err
}

func ask[R any](ctx context.Context, c *Client, method string, params any) (*R, error) {
	r := new(R)
	if err := c.call(ctx, method, params, maxSmallBody, r); err != nil {
		return nil, err
	}
	return r, nil
}

// rootName returns a root as a parameter; nil for the newest.
func rootName(root merkle.Hash) *string {
	if root.IsZero() {
		return nil
	}
	s := root.String()
	return &s
}

// call sends a request with retries as the options say. An error of the node is an [*Error].
func (c *Client) call(ctx context.Context, method string, params any, limit int64,
	result any) error {
	var wait time.Duration // after the last attempt
	policy := backoff.Policy{Attempts: c.opt.Attempts, OnRetry: c.opt.OnRetry}
	policy.Again = func(error) (time.Duration, bool) { return wait, wait != never }
	_, err := policy.Do(ctx, nil, func() (err error) {
		wait, err = c.attempt(ctx, method, params, limit, result)
		return err
	})
	return err
}

// never is the wait after an error that must not be retried.
const never = -1

// attempt sends a request once. wait is the origin's Retry-After, 0 if there is none, or never.
func (c *Client) attempt(ctx context.Context, method string, params any, limit int64,
	result any) (wait time.Duration, err error) {
	id := c.id.Add(1)
	body, err := json.Marshal(struct {
		Version string `json:"jsonrpc"`
		ID      uint64 `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{"2.0", id, method, params})
	if err != nil {
		return never, fmt.Errorf("rpc: encode %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin+"/", bytes.NewReader(body))
	if err != nil {
		return never, fmt.Errorf("rpc: %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", c.opt.UserAgent)
	resp, err := c.opt.Transport.RoundTrip(req)
	if err != nil {
		var cert *tls.CertificateVerificationError
		if errors.Is(err, remote.ErrInsecure) || errors.As(err, &cert) {
			wait = never
		}
		return wait, fmt.Errorf("rpc: %s at %s: %w", method, c.origin, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refused(method, resp)
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return never, fmt.Errorf("rpc: %s: %w: Content-Encoding %.40q", method, remote.ErrProtocol, enc)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, fmt.Errorf("rpc: %s: read the answer: %w", method, err)
	}
	if int64(len(text)) > limit {
		return never, fmt.Errorf("rpc: %s: %w: answer longer than %d bytes", method,
			remote.ErrTooLarge, limit)
	}
	var answer struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  json.RawMessage `json:"result"`
		Err     *Error          `json:"error"`
	}
	if err := strictjson.Unmarshal(text, &answer); err != nil {
		return never, fmt.Errorf("rpc: %s: %w: %w", method, remote.ErrProtocol, err)
	}
	if answer.Err != nil {
		if wait = never; answer.Err.Code == CodeLimited {
			wait = 0
		}
		return wait, fmt.Errorf("rpc: %s: %w", method, answer.Err)
	}
	if answer.Version != "2.0" || string(answer.ID) != strconv.FormatUint(id, 10) ||
		answer.Result == nil {
		return never, fmt.Errorf("rpc: %s: %w: jsonrpc, id or result of the answer is wrong", method,
			remote.ErrProtocol)
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return never, fmt.Errorf("rpc: %s: %w: %w", method, remote.ErrProtocol, err)
	}
	return 0, nil
}

// refused returns the wait and the error of a response with a status other than 200.
func (c *Client) refused(method string, resp *http.Response) (time.Duration, error) {
	status := &remote.StatusError{Method: method, Path: "/", Code: resp.StatusCode}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
			status.RetryAfter = time.Duration(n) * time.Second
		}
		return status.RetryAfter, status
	}
	if resp.StatusCode < 400 {
		return never, fmt.Errorf("%w: %w", remote.ErrProtocol, status)
	}
	return never, status
}
