package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// ErrNoLocalNode reports that no node was found except the public one, which accepts no changes.
var ErrNoLocalNode = errors.New("remote: no local node answers")

// The name in the local network and the port on this machine that a [Resolver] tries.
const (
	LocalHost = wire.LocalHost
	LocalPort = 9778
)

// ProbeTimeout is how long a [Resolver] waits for one node by default.
const ProbeTimeout = 500 * time.Millisecond

// A Resolver is a [remote.Resolver]. For a locator without a host it returns the configured node,
// or else the first that answers of https://dig.local, http://dig.local (only with
// AllowPlainLocal) and http://localhost:9778, or else https://rpc.dig.net (remote/PROTOCOL.md
// 2.5). For a locator with a host it returns that host. It probes at every call; a client resolves
// once. It may be used concurrently; its fields must not be changed while it is in use.
//
// A client reaches dig.local only through a [remote.DialGuard] that allows its address.
type Resolver struct {
	// Node is the configured node. It is not probed. Its Store is not used. Zero: there is none.
	Node remote.URL
	// Port is the port of the node on this machine. Default [LocalPort].
	Port uint16
	// AllowPlainLocal also tries http://dig.local. A client accepts that only with
	// [remote.ClientOptions].AllowPlainLocal, because it is plain HTTP to a name that is not literally
	// loopback: a machine in the local network that answers for the name can read and change what is
	// sent. Modules are verified all the same.
	AllowPlainLocal bool
	// LocalOnly leaves out the public node, for requests that change a store. If no other node is
	// found the error is [ErrNoLocalNode].
	LocalOnly bool
	// Probe reports whether a node answers at origin, scheme://host[:port]; a nil error is yes. Its
	// context ends after ProbeTimeout. nil: [Probe] through Transport.
	Probe func(ctx context.Context, origin string) error
	// ProbeTimeout limits each probe. Default [ProbeTimeout].
	ProbeTimeout time.Duration
	// Transport sends the default probes. nil: one of [remote.NewTransport] that may dial private
	// addresses, because the names of local nodes have such addresses.
	Transport http.RoundTripper
}

var _ remote.Resolver = (*Resolver)(nil)

// Resolve implements [remote.Resolver].
func (r *Resolver) Resolve(ctx context.Context, u remote.URL) ([]remote.URL, error) {
	if u.Host != "" {
		if r.LocalOnly && u.Host == remote.DefaultHost {
			return nil, fmt.Errorf("%w: %s is the public node, which accepts no changes",
				ErrNoLocalNode, remote.DefaultHost)
		}
		return []remote.URL{u.AtOrigin()}, nil
	}
	if r.Node != (remote.URL{}) {
		at := r.Node
		at.Store = u.Store
		return []remote.URL{at.AtOrigin()}, nil
	}
	probe, err := r.probe()
	if err != nil {
		return nil, err
	}
	var tried []string
	for _, at := range r.candidates() {
		err := r.try(ctx, probe, at.Origin())
		if err == nil {
			at.Store = u.Store
			return []remote.URL{at}, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		tried = append(tried, at.Origin())
	}
	if r.LocalOnly {
		return nil, fmt.Errorf("%w: tried %s", ErrNoLocalNode, strings.Join(tried, ", "))
	}
	// The public node is not probed: the error of the request says more than that of a probe.
	return []remote.URL{u.AtOrigin()}, nil
}

// probe returns the function that probes a node.
func (r *Resolver) probe() (func(ctx context.Context, origin string) error, error) {
	if r.Probe != nil {
		return r.Probe, nil
	}
	t := r.Transport
	if t == nil {
		var err error
		guard := &remote.DialGuard{AllowPrivate: true}
		if t, err = remote.NewTransport(&remote.ClientOptions{Guard: guard}); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, origin string) error { return Probe(ctx, t, origin) }, nil
}

// candidates returns the nodes that are probed, in order.
func (r *Resolver) candidates() []remote.URL {
	port := r.Port
	if port == 0 {
		port = LocalPort
	}
	list := []remote.URL{{Scheme: "https", Host: LocalHost}}
	if r.AllowPlainLocal {
		list = append(list, remote.URL{Scheme: "http", Host: LocalHost})
	}
	return append(list,
		remote.URL{Scheme: "http", Host: net.JoinHostPort("localhost", strconv.Itoa(int(port)))})
}

func (r *Resolver) try(ctx context.Context, probe func(context.Context, string) error,
	origin string) error {
	timeout := r.ProbeTimeout
	if timeout <= 0 {
		timeout = ProbeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return probe(ctx, origin)
}
