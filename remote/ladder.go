package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/remote/internal/wire"
)

// ErrNoLocalNode is a change of a store for which a [Ladder] found no node but the public one,
// which does not take any: start a node, or name one.
var ErrNoLocalNode = errors.New("remote: no local node answers")

// The automatic rungs of a [Ladder].
const (
	LocalHost = "dig.local"
	LocalPort = 9778
)

// ProbeTimeout is how long a [Ladder] waits for one node by default.
const ProbeTimeout = 500 * time.Millisecond

// A Ladder is a [Resolver] that looks for a node nearby when a locator names no host: the node that
// is configured, else the first to answer of https://dig.local, http://dig.local (only with
// AllowPlainLocal), http://localhost:9778 and https://rpc.dig.net (remote/PROTOCOL.md 2.5).
// Locators that name a host it resolves as [SeedResolver] does. It asks anew at every call, so a
// client, which resolves once, stays with what it found. It may be used concurrently; its fields
// may not be changed once it is in use.
//
// A client reaches dig.local only through a [DialGuard] that lets its address be dialled.
type Ladder struct {
	// Node is where a locator without a host goes, without asking. Its Store is not used. Zero: look
	// for one.
	Node URL
	// Port is the local node's. Default [LocalPort].
	Port uint16
	// AllowPlainLocal tries http://dig.local too, which a client takes only with
	// [ClientOptions].AllowPlainLocal: plain HTTP to a name that is not literally loopback. Whoever
	// can answer for that name in the local network sees and may change what passes; modules are
	// verified all the same.
	AllowPlainLocal bool
	// LocalOnly leaves the public node out, for what changes a store: nothing found is
	// [ErrNoLocalNode].
	LocalOnly bool
	// Probe reports whether a node answers at origin, scheme://host[:port]; nil is yes. It ends with
	// ctx, which ProbeTimeout bounds. nil: [Probe] through Transport.
	Probe func(ctx context.Context, origin string) error
	// ProbeTimeout bounds each probe. Default [ProbeTimeout].
	ProbeTimeout time.Duration
	// Transport carries the default probes. nil: one of [NewTransport] that may dial private
	// addresses, since that is where these names point.
	Transport http.RoundTripper
}

// Resolve implements [Resolver].
func (l *Ladder) Resolve(ctx context.Context, u URL) ([]URL, error) {
	if u.Host != "" {
		if l.LocalOnly && u.Host == DefaultHost {
			return nil, fmt.Errorf("%w: %s is the public one, which takes no changes: name another host",
				ErrNoLocalNode, DefaultHost)
		}
		return SeedResolver{}.Resolve(ctx, u)
	}
	if l.Node != (URL{}) {
		at := l.Node
		at.Store = u.Store
		return SeedResolver{}.Resolve(ctx, at)
	}
	probe := l.Probe
	if probe == nil {
		t := l.Transport
		if t == nil {
			var err error
			if t, err = NewTransport(&ClientOptions{Guard: &DialGuard{AllowPrivate: true}}); err != nil {
				return nil, err
			}
		}
		probe = func(ctx context.Context, origin string) error { return Probe(ctx, t, origin) }
	}
	var asked []string
	for _, at := range l.rungs() {
		err := l.ask(ctx, probe, at.Origin())
		if err == nil {
			at.Store = u.Store
			return []URL{at}, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		asked = append(asked, at.Origin())
	}
	if l.LocalOnly {
		return nil, fmt.Errorf("%w: asked %s", ErrNoLocalNode, strings.Join(asked, ", "))
	}
	// The last rung stands whether it answers or not: the error of the request says more than a
	// probe's.
	return []URL{{Scheme: "https", Host: DefaultHost, Store: u.Store}}, nil
}

// rungs lists what is asked, best first.
func (l *Ladder) rungs() []URL {
	port := l.Port
	if port == 0 {
		port = LocalPort
	}
	list := []URL{{Scheme: "https", Host: LocalHost}}
	if l.AllowPlainLocal {
		list = append(list, URL{Scheme: "http", Host: LocalHost})
	}
	return append(list,
		URL{Scheme: "http", Host: net.JoinHostPort("localhost", strconv.Itoa(int(port)))})
}

func (l *Ladder) ask(ctx context.Context, probe func(context.Context, string) error,
	origin string) error {
	ctx, cancel := context.WithTimeout(ctx, orDefault(l.ProbeTimeout, ProbeTimeout))
	defer cancel()
	return probe(ctx, origin)
}

// Probe asks through t whether a node of this protocol answers at an origin: dig.health of the
// JSON-RPC tier, which needs no identity.
func Probe(ctx context.Context, t http.RoundTripper, origin string) error {
	body := `{"jsonrpc":"2.0","id":1,"method":"dig.health","params":{}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("remote: probe %s: %w", origin, err)
	}
	r.Header.Set("Content-Type", wire.TypeJSON)
	r.Header.Set("User-Agent", "digstore-go/1")
	resp, err := t.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("remote: probe %s: %w", origin, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result struct {
			OK     bool   `json:"ok"`
			Status string `json:"status"`
		} `json:"result"`
	}
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: status %d", ErrProtocol, resp.StatusCode)
	} else if err = decodeStrict(&capReader{r: io.Reader(resp.Body), left: wire.MaxAnswerJSON},
		&answer); err == nil && !answer.Result.OK && answer.Result.Status != "ok" {
		err = fmt.Errorf("%w: it does not say that it is well", ErrProtocol)
	}
	if err != nil {
		return fmt.Errorf("remote: probe %s: %w", origin, err)
	}
	return nil
}
