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
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/bandwidth"
	"github.com/dig-network/digstore/remote/rpc"
)

// hostFlags are the flags of every command that speaks to a host.
type hostFlags struct {
	ca       string
	node     string
	timeout  time.Duration
	rate     amount
	minRate  amount // of answers; 0: the library's default
	separate bool
	longest  amount // module that is taken; 0: the library's default

	token   string // of a first push; secret
	changes bool   // the command changes the store there

	forms remote.PushForms // of the store that is pushed; nil: not remembered
}

func (h *hostFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&h.ca, "ca", "", "a PEM `FILE` with a private certificate authority to believe as well")
	flags.StringVar(&h.node, "node", "", "the node for locators without a host: its `URL`, or auto for the nearest (default: $DIG_NODE_URL, else rpc.dig.net)")
	flags.DurationVar(&h.timeout, "timeout", 0, "give up after this `TIME` in all, as 90s or 10m (default: never, while answers come at --min-rate)")
	flags.Var(&h.rate, "limit-rate", "at most this `RATE` each way, in bytes a second, as 500k or 2MB")
	flags.Var(&h.minRate, "min-rate", "give up on a host whose answers come more slowly, a `SIZE` a second as 500 or 20k (default: 1KiB)")
	flags.BoolVar(&h.separate, "separate-identity", false, "sign with a key that only this host sees")
	_ = cmd.MarkFlagFilename("ca")
	_ = cmd.RegisterFlagCompletionFunc("node", cobra.FixedCompletions([]cobra.Completion{"auto"}, noFiles))
}

// within bounds a command by --timeout.
func (a *app) within(ctx context.Context, h hostFlags) (context.Context, context.CancelFunc) {
	if a.timeout = h.timeout; h.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, h.timeout)
}

// client makes a client for one store at one host. Nothing is sent yet, but
// for --node auto, which looks who answers.
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

// noteRetry tells the user why an attempt failed.
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
		Guard:             &remote.Guard{AllowPrivate: true}, // a person names the host
		Large:             rpc.Large{},
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

// nodeName is the node that was configured, "" where none was.
func (h hostFlags) nodeName() string {
	if h.node != "" {
		return h.node
	}
	return os.Getenv("DIG_NODE_URL")
}

// nearest gives a locator without a host the node that --node says.
func (h hostFlags) nearest(ctx context.Context, u remote.URL) (remote.URL, error) {
	name := h.nodeName()
	if u.Host != "" || name == "" {
		return u, nil
	}
	ladder := &remote.Ladder{LocalOnly: h.changes}
	if text := os.Getenv("DIG_NODE_PORT"); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return u, usage("a port is a number from 1 to 65535", "DIG_NODE_PORT: %q is no port", text)
		}
		ladder.Port = uint16(port)
	}
	if name != "auto" {
		var err error
		if ladder.Node, err = remote.ParseURL(name); err != nil {
			return u, err
		}
	}
	found, err := ladder.Resolve(ctx, u)
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

// trustCA is the system's certificate authorities and those of a file.
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
		return nil, usage("give a file with CERTIFICATE blocks", "--ca %s: no certificate in it", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// locate turns the name of a remote, or a locator, into the place of s there.
// "origin" where it is not set is the configured node's.
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
			return remote.URL{}, &hinted{err, fmt.Sprintf("digstore remote add %s URL makes it", printable(nameOrURL))}
		}
	}
	u, err := remote.ParseURL(text)
	if err != nil {
		return remote.URL{}, err
	}
	return u.WithStore(s.ID())
}

// orOrigin is the remote that a command names, "origin" when it names none.
func orOrigin(args []string) string {
	if len(args) == 0 {
		return "origin"
	}
	return args[0]
}

// transfer shows the progress of one generation after the other.
func (p *progress) transfer(verb string) func(root merkle.Hash, done, total int64) {
	return func(root merkle.Hash, done, total int64) {
		p.stage(fmt.Sprintf("%s %.8s", verb, root))
		p.set(done, total)
	}
}
