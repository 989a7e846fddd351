package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/bandwidth"
	"github.com/dig-network/digstore/remote/discovery"
	"github.com/dig-network/digstore/remote/rpc"
)

// hostFlags are the flags of every command that connects to a host.
type hostFlags struct {
	ca       string
	node     string
	timeout  time.Duration
	rate     amount
	minRate  amount // of answers; 0 is the default of package remote
	separate bool
	longest  amount // the largest module; 0 is the default of package remote

	token   string // for a first push; secret
	changes bool   // the command changes the store at the host

	forms remote.PushForms // of the store to push; nil if not remembered
}

func (h *hostFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&h.ca, "ca", "",
		"also trust the certificate authorities in this PEM `FILE`")
	flags.StringVar(&h.node, "node", "", "the `URL` of the node for URLs without a host, or auto "+
		"for the nearest (default: $DIG_NODE_URL, else rpc.dig.net)")
	flags.DurationVar(&h.timeout, "timeout", 0,
		"stop after this `TIME`, such as 90s or 10m (default: no limit)")
	flags.Var(&h.rate, "limit-rate",
		"at most this `RATE` in each direction, in bytes a second, such as 500k or 2MB")
	flags.Var(&h.minRate, "min-rate",
		"stop if a host sends fewer bytes a second, a `SIZE` such as 500 or 20k (default: 1KiB)")
	flags.BoolVar(&h.separate, "separate-identity", false,
		"sign requests with a key that is used at this host only")
	_ = cmd.MarkFlagFilename("ca")
	_ = cmd.RegisterFlagCompletionFunc("node",
		cobra.FixedCompletions([]cobra.Completion{"auto"}, noFiles))
}

// within returns a context that ends after --timeout.
func (a *app) within(ctx context.Context, h hostFlags) (context.Context, context.CancelFunc) {
	if a.timeout = h.timeout; h.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, h.timeout)
}

// client returns a client for one store at one host. It sends nothing, except that
// --node auto searches for a node.
func (a *app) client(ctx context.Context, u remote.URL, h hostFlags) (*remote.Client, error) {
	o, err := a.clientOptions(h)
	if err != nil {
		return nil, err
	}
	if u, err = h.nearest(ctx, u); err != nil {
		return nil, err
	}
	return remote.NewClient(u, o)
}

// noteRetry prints why an attempt failed and when the next one begins.
func (a *app) noteRetry(err error, wait time.Duration) {
	a.note("%v: trying again in %v", err, wait.Round(time.Millisecond))
}

func (a *app) clientOptions(h hostFlags) (*remote.ClientOptions, error) {
	_, key, err := identity()
	if err != nil {
		return nil, err
	}
	o := &remote.ClientOptions{
		Identity:          key,
		UserAgent:         userAgent(),
		Bearer:            h.token,
		AllowLoopbackHTTP: true,
		Guard:             &remote.DialGuard{AllowPrivate: true}, // the user named the host
		WindowFetcher:     rpc.WindowFetcher{},
		PushForms:         h.forms,
		MaxModule:         int64(h.longest),
		MinRate:           int64(h.minRate),
		OnRetry:           a.noteRetry,
	}
	if h.separate {
		o.IdentityAt = func(host string) (auth.Signer, error) { return remote.DeriveIdentity(key, host) }
	}
	if h.rate > 0 {
		o.Bandwidth = bandwidth.New(int64(h.rate), int64(h.rate))
	}
	if h.ca != "" {
		if o.TLS, err = trustCA(h.ca); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// nodeName returns the configured node, or "".
func (h hostFlags) nodeName() string {
	if h.node != "" {
		return h.node
	}
	return os.Getenv("DIG_NODE_URL")
}

// nearest adds the host of the configured node to a URL without a host.
func (h hostFlags) nearest(ctx context.Context, u remote.URL) (remote.URL, error) {
	name := h.nodeName()
	if u.Host != "" || name == "" {
		return u, nil
	}
	resolver := &discovery.Resolver{LocalOnly: h.changes}
	if text := os.Getenv("DIG_NODE_PORT"); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return u, usage("a port is a number from 1 to 65535", "DIG_NODE_PORT: invalid port %q", text)
		}
		resolver.Port = uint16(port)
	}
	if name != "auto" {
		var err error
		if resolver.Node, err = remote.ParseURL(name); err != nil {
			return u, err
		}
	}
	found, err := resolver.Resolve(ctx, u)
	if err != nil {
		return u, err
	}
	return found[0], nil
}

// readToken reads a token from the first line of a file.
func readToken(path string) (string, error) {
	b, err := regular.ReadFile(path, maxSmallFile)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	token := string(bytes.TrimSpace(line))
	if token == "" {
		return "", usage("put the token on the first line", "token file %s is empty", path)
	}
	return token, nil
}

// trustCA returns a configuration that trusts the certificate authorities of the
// system and of a file.
func trustCA(path string) (*tls.Config, error) {
	pem, err := regular.ReadFile(path, maxSmallFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usage("give a file with CERTIFICATE blocks", "--ca %s: no certificate found", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// locate returns the URL of store s at a remote or a URL. If the remote "origin" is
// not set, it is the configured node.
func (h hostFlags) locate(s *digstore.Store, nameOrURL string) (remote.URL, error) {
	text := nameOrURL
	if !strings.Contains(text, "://") {
		remotes, err := s.Remotes()
		if err != nil {
			return remote.URL{}, err
		}
		if _, set := remotes[nameOrURL]; !set && nameOrURL == "origin" && h.nodeName() != "" {
			return remote.URL{Scheme: "dig", Store: s.ID()}, nil
		}
		if text, err = s.Remote(nameOrURL); err != nil {
			return remote.URL{}, &hinted{err, "set it with: digstore remote add " + oneline.Name(nameOrURL) +
				" URL"}
		}
	}
	u, err := remote.ParseURL(text)
	if err != nil {
		return remote.URL{}, err
	}
	return u.WithStore(s.ID())
}

// orOrigin returns the remote that args name, or "origin".
func orOrigin(args []string) string {
	if len(args) == 0 {
		return "origin"
	}
	return args[0]
}

// transfer returns a function that shows the progress of one generation after another.
func (p *progress) transfer(verb string) func(root merkle.Hash, done, total int64) {
	return func(root merkle.Hash, done, total int64) {
		p.stage(fmt.Sprintf("%s %.8s", verb, root))
		p.set(done, total)
	}
}
