package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// hostFlags are the flags of every command that speaks to a host.
type hostFlags struct {
	ca    string
	token string // of a first push; secret
}

func (h *hostFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.ca, "ca", "", "a PEM `FILE` with a private certificate authority to believe as well")
	_ = cmd.MarkFlagFilename("ca")
}

// client makes a client for one store at one host. Nothing is sent yet.
func (a *app) client(u remote.URL, h hostFlags) (*remote.Client, error) {
	_, key, err := identity()
	if err != nil {
		return nil, err
	}
	o := &remote.ClientOptions{
		Identity:          key,
		UserAgent:         userAgent(),
		AllowLoopbackHTTP: true,
		Guard:             &remote.Guard{AllowPrivate: true}, // a person names the host
		OnRetry: func(err error, wait time.Duration) {
			a.note("%v: trying again in %v", err, wait.Round(time.Millisecond))
		},
	}
	if h.ca != "" {
		if o.TLS, err = trustCA(h.ca); err != nil {
			return nil, err
		}
	}
	o.Bearer = h.token
	return remote.NewClient(u, o)
}

// readToken reads a token from the first line of a file.
func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
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
	pem, err := os.ReadFile(path)
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
func locate(s *digstore.Store, nameOrURL string) (remote.URL, error) {
	text := nameOrURL
	if !strings.Contains(text, "://") {
		var err error
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
