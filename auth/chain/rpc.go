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

// Limits of what an RPC source may answer. See auth/chain/LINEAGE.md 2.4 and 6.2.
const (
	maxRecordAnswer = 1 << 20  // bytes of one record, or the state
	maxListAnswer   = 8 << 20  // bytes of one page of a list
	maxSpendAnswer  = 32 << 20 // bytes of a puzzle and its solution, in hex
	maxPages        = 100
	maxRecords      = 100_000
)

// RPCOptions say how an [RPC] asks. The zero value is good for a public host.
type RPCOptions struct {
	// TLS is cloned; client certificates, RootCAs and ServerName are what it is for. TLS 1.2 is the least
	// spoken, and InsecureSkipVerify is refused.
	TLS *tls.Config
	// UserAgent is <product>/<version>. Default "digstore-go/1".
	UserAgent string
	// Timeout is for one try, answer and all. Default 10 s. The caller's deadline holds besides.
	Timeout time.Duration
	// Attempts is how often a call is tried in all. Default 4.
	Attempts int
	// AllowUnsynced takes the word of a node that is still catching up with its network.
	AllowUnsynced bool
	// Trust is how far the source's word goes. Default [TrustSingle]; [NewFullNode] sets [TrustNode].
	Trust Trust
	// Dial replaces dialling. Tests and tunnels use it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnRetry, if set, is told why a try failed and how long the client waits before the next.
	OnRetry func(err error, wait time.Duration)
}

// An RPC is a [Source] that speaks the JSON RPC of Chia's full node, to such a node or to a public host of
// the same shape. It believes nothing but the form of an answer. It may be used concurrently, and dials when
// it is first asked.
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

// NewRPC returns a source that asks the host at base, such as https://api.coinset.org. base is an https URL, or
// http to a literal loopback address or localhost, without user, query and fragment. It dials nothing.
func NewRPC(base string, o *RPCOptions) (*RPC, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("chain source: parse its URL: %w", err)
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("chain source at %s: give a URL without user, query and fragment", u.Host)
	case u.Host == "":
		return nil, fmt.Errorf("chain source %q: it names no host; wanted https://HOST", base)
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
	case u.Scheme == "http":
		return nil, fmt.Errorf("chain source %s: plain http is for this machine only; use https", base)
	default:
		return nil, fmt.Errorf("chain source %q: wanted https://HOST", base)
	}
	r := &RPC{base: strings.TrimRight(u.String(), "/")}
	if o != nil {
		r.opt = *o
	}
	if r.opt.TLS != nil && r.opt.TLS.InsecureSkipVerify {
		return nil, fmt.Errorf("chain source %s: certificates are always verified; give RootCAs and ServerName instead", base)
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

// String returns the host's URL, which is how errors name the source.
func (r *RPC) String() string { return r.base }

// Trust returns what the options say.
func (r *RPC) Trust() Trust { return r.opt.Trust }

// Close lets go of idle connections. The source can be used afterwards.
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
		return nil, r.malformed(c, "it has no coin_record")
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
	c := call{method: "get_puzzle_and_solution", about: fmt.Sprintf("%v at height %d", id, height), limit: maxSpendAnswer}
	err := r.call(ctx, c, struct {
		ID     wireHash `json:"coin_id"`
		Height uint32   `json:"height"`
	}{wireHash(id), height}, &a)
	switch {
	case refusedWith(err, "INVALID_HEIGHT_FOR_COIN") || refusedLike(err, "invalid height"):
		return nil, nil // unknown, unspent, or spent elsewhere: one answer for all three
	case err != nil:
		return nil, err
	case a.Spend == nil:
		return nil, r.malformed(c, "it has no coin_solution")
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
		return nil, r.malformed(c, "it has no blockchain_state")
	case a.State.Sync == nil && !r.opt.AllowUnsynced:
		return nil, r.malformed(c, "it does not say whether the node is synced")
	case !r.opt.AllowUnsynced && !a.State.Sync.Synced:
		return nil, r.failed(c, fmt.Errorf("%w: the node is still catching up with its network; wait until it is synced, or name another source", ErrUnavailable))
	case a.State.Peak == nil:
		return nil, r.failed(c, fmt.Errorf("%w: the node has no block yet; wait until it is synced, or name another source", ErrUnavailable))
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
	case refusedWith(err, "BLOCK_HEIGHT_NOT_FOUND", "BLOCK_HASH_NOT_FOUND", "BLOCK_DOES_NOT_EXIST", "HEIGHT_NOT_IN_BLOCKCHAIN") ||
		refusedLike(err, "not found in chain"):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Record == nil:
		return nil, r.malformed(c, "it has no block_record")
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
		return "", r.malformed(c, "it has no network_name")
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

// refusedLike reports whether err is a refusal without a code whose text has these words.
func refusedLike(err error, words string) bool {
	var f *refusal
	return errors.As(err, &f) && f.code == "" && strings.Contains(strings.ToLower(f.text), words)
}
