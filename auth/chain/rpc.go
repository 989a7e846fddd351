package chain

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dig-network/digstore/merkle"
)

// Limits of the answers of an RPC source. See auth/chain/LINEAGE.md 2.4 and 6.2.
const (
	maxRecordAnswer = 1 << 20  // bytes of one record, or the state
	maxListAnswer   = 8 << 20  // bytes of one page of a list
	maxSpendAnswer  = 32 << 20 // bytes of a puzzle and its solution, in hex
	maxPages        = 100
	maxRecords      = 100_000
)

// RPCOptions configure an [RPC]. The zero value means the defaults, for a public host.
type RPCOptions struct {
	// TLS sets client certificates, RootCAs and ServerName. It is cloned. The minimum version
	// is TLS 1.2, and InsecureSkipVerify is refused.
	TLS *tls.Config
	// UserAgent is <product>/<version>. Default "digstore-go/1".
	UserAgent string
	// Timeout limits one attempt, including its answer. Default 10 s. The caller's deadline
	// applies too.
	Timeout time.Duration
	// Attempts is the number of attempts of a call. Default 4.
	Attempts int
	// AllowUnsynced accepts the answers of a node that is not synchronized with its network.
	AllowUnsynced bool
	// Trust is the Trust of the source. Default [TrustSingle]; [NewFullNode] sets [TrustNode].
	Trust Trust
	// Dial replaces dialling. Tests and tunnels use it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnRetry, if set, is called with the error of a failed attempt and the wait before the next.
	OnRetry func(err error, wait time.Duration)
}

// An RPC is a [Source] that uses the JSON RPC of Chia's full node, of such a node or of a
// public host with the same interface. It checks only the form of an answer. It is safe for
// concurrent use and connects at the first request.
type RPC struct {
	base      string // without a slash at the end
	opt       RPCOptions
	transport *http.Transport
}

var (
	_ Source        = (*RPC)(nil)
	_ ChildSource   = (*RPC)(nil)
	_ HintSource    = (*RPC)(nil)
	_ PuzzleSource  = (*RPC)(nil)
	_ NetworkSource = (*RPC)(nil)
	_ TrustSource   = (*RPC)(nil)
)

// NewRPC returns an RPC for the host at base, such as https://api.coinset.org. base is an https
// URL, or an http URL of a loopback address or localhost, without user, query and fragment.
// NewRPC does not connect.
func NewRPC(base string, o *RPCOptions) (*RPC, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("chain source: %w", err)
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("chain source at %s: want a URL without user, query and fragment", u.Host)
	case u.Host == "":
		return nil, fmt.Errorf("chain source %q: want https://HOST, found no host", base)
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
	case u.Scheme == "http":
		return nil, fmt.Errorf("chain source %s: http is allowed for loopback addresses only", base)
	default:
		return nil, fmt.Errorf("chain source %q: want https://HOST", base)
	}
	r := &RPC{base: strings.TrimRight(u.String(), "/")}
	if o != nil {
		r.opt = *o
	}
	if r.opt.TLS != nil && r.opt.TLS.InsecureSkipVerify {
		return nil, fmt.Errorf("chain source %s: InsecureSkipVerify is not allowed", base)
	}
	if r.opt.UserAgent == "" {
		r.opt.UserAgent = "digstore-go/1"
	}
	if r.opt.Timeout <= 0 {
		r.opt.Timeout = 10 * time.Second
	}
	if r.opt.Attempts <= 0 {
		r.opt.Attempts = 4
	}
	if r.opt.Trust == "" {
		r.opt.Trust = TrustSingle
	}
	conf := new(tls.Config)
	if r.opt.TLS != nil {
		conf = r.opt.TLS.Clone()
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	dial := r.opt.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: r.opt.Timeout}).DialContext
	}
	r.transport = &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    r.opt.Timeout,
		IdleConnTimeout:        time.Minute,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return r, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// String returns the host's URL.
func (r *RPC) String() string { return r.base }

// Trust returns RPCOptions.Trust.
func (r *RPC) Trust() Trust { return r.opt.Trust }

// Close closes idle connections. The RPC can be used afterwards.
func (r *RPC) Close() { r.transport.CloseIdleConnections() }

// CoinRecord implements [Source] by get_coin_record_by_name.
func (r *RPC) CoinRecord(ctx context.Context, id merkle.Hash) (*CoinRecord, error) {
	var a struct {
		Record *wireRecord `json:"coin_record"`
	}
	c := call{method: "get_coin_record_by_name", about: id.String(), limit: maxRecordAnswer}
	err := r.call(ctx, c, struct {
		Name wireHash `json:"name"`
	}{wireHash(id)}, &a)
	switch {
	case refusedWith(err, "COIN_RECORD_NOT_FOUND") || refusedLike(err, "not found"):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Record == nil:
		return nil, r.malformed(c, "no coin_record")
	}
	rec, err := a.Record.record()
	if err != nil {
		return nil, r.malformed(c, err.Error())
	}
	return &rec, nil
}

// CoinSpend implements [Source] by get_puzzle_and_solution.
func (r *RPC) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*CoinSpend, error) {
	var a struct {
		Spend *wireSpend `json:"coin_solution"`
	}
	c := call{method: "get_puzzle_and_solution", about: fmt.Sprintf("%v at height %d", id, height),
		limit: maxSpendAnswer}
	err := r.call(ctx, c, struct {
		ID     wireHash `json:"coin_id"`
		Height uint32   `json:"height"`
	}{wireHash(id), height}, &a)
	switch {
	case refusedWith(err, "INVALID_HEIGHT_FOR_COIN") || refusedLike(err, "invalid height"):
		return nil, nil // unknown, unspent, or spent in another block: the answer is the same
	case err != nil:
		return nil, err
	case a.Spend == nil:
		return nil, r.malformed(c, "no coin_solution")
	}
	sp, err := a.Spend.spend()
	if err != nil {
		return nil, r.malformed(c, err.Error())
	}
	return &sp, nil
}

// Peak implements [Source] by get_blockchain_state.
func (r *RPC) Peak(ctx context.Context) (*Block, error) {
	var a struct {
		State *struct {
			Peak *wireBlock `json:"peak"`
			Sync *struct {
				Synced bool `json:"synced"`
			} `json:"sync"`
		} `json:"blockchain_state"`
	}
	c := call{method: "get_blockchain_state", limit: maxRecordAnswer}
	if err := r.call(ctx, c, struct{}{}, &a); err != nil {
		return nil, err
	}
	switch {
	case a.State == nil:
		return nil, r.malformed(c, "no blockchain_state")
	case a.State.Sync == nil && !r.opt.AllowUnsynced:
		return nil, r.malformed(c, "no sync state")
	case !r.opt.AllowUnsynced && !a.State.Sync.Synced:
		return nil, r.failed(c, fmt.Errorf("%w: the node is not synchronized yet", ErrUnavailable))
	case a.State.Peak == nil:
		return nil, r.failed(c, fmt.Errorf("%w: the node has no block yet", ErrUnavailable))
	}
	b, err := a.State.Peak.block()
	if err != nil {
		return nil, r.malformed(c, "peak: "+err.Error())
	}
	return &b, nil
}

// BlockAt implements [Source] by get_block_record_by_height.
func (r *RPC) BlockAt(ctx context.Context, height uint32) (*Block, error) {
	var a struct {
		Record *wireBlock `json:"block_record"`
	}
	c := call{method: "get_block_record_by_height", about: fmt.Sprint(height), limit: maxRecordAnswer}
	err := r.call(ctx, c, struct {
		Height uint32 `json:"height"`
	}{height}, &a)
	switch {
	case refusedWith(err, "BLOCK_HEIGHT_NOT_FOUND", "BLOCK_HASH_NOT_FOUND",
		"BLOCK_DOES_NOT_EXIST", "HEIGHT_NOT_IN_BLOCKCHAIN") ||
		refusedLike(err, "not found in chain"):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Record == nil:
		return nil, r.malformed(c, "no block_record")
	}
	b, err := a.Record.block()
	if err != nil {
		return nil, r.malformed(c, err.Error())
	}
	return &b, nil
}

// Network implements [NetworkSource] by get_network_info.
func (r *RPC) Network(ctx context.Context) (string, error) {
	var a struct {
		Name string `json:"network_name"`
	}
	c := call{method: "get_network_info", limit: maxRecordAnswer}
	if err := r.call(ctx, c, struct{}{}, &a); err != nil {
		return "", err
	}
	if a.Name == "" {
		return "", r.malformed(c, "no network_name")
	}
	return a.Name, nil
}

// refusedWith reports whether err is a refusal of the host with one of the codes.
func refusedWith(err error, codes ...string) bool {
	var f *refusal
	if !errors.As(err, &f) {
		return false
	}
	for _, code := range codes {
		if f.code == code {
			return true
		}
	}
	return false
}

// refusedLike reports whether err is a refusal without a code whose text contains words.
func refusedLike(err error, words string) bool {
	var f *refusal
	return errors.As(err, &f) && f.code == "" && strings.Contains(strings.ToLower(f.text), words)
}
