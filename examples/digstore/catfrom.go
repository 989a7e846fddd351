package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/rpc"
)

// catFlags are the flags of cat.
type catFlags struct {
	root, file, publisher, salt string
	from                        []string
	anonymous                   bool
	host                        hostFlags
	chain                       chainFlags
}

// catFrom reads one resource from the first host that sends it. The content is
// checked, so it does not matter which host that is.
func (a *app) catFrom(ctx context.Context, what string, f catFlags) error {
	ctx, stop := a.within(ctx, f.host)
	defer stop()
	a.resume = "nothing was kept; run the same command again"
	address, err := addressAt(what, f)
	if err != nil {
		return err
	}
	trust, _, err := a.trustOf(&trustFlags{root: f.root, publisher: f.publisher}, &f.chain)
	if err != nil {
		return err
	}
	if !address.Root.IsZero() {
		trust.Root = address.Root
	}
	if !trust.Root.IsZero() { // the root selects a generation, which need not be the newest
		trust.Anchor, address = nil, address.At(trust.Root)
	}
	salt, err := a.saltFor(address, f.salt)
	if err != nil {
		return err
	}
	r := &remoteRead{app: a, host: f.host, address: address, trust: &trust, salt: salt}
	read := r.signed
	if f.anonymous {
		read = r.anonymous
	}
	return a.writeContent(address.Name(), f.file, func(w io.Writer) error {
		return r.first(ctx, f.from, read, w)
	})
}

// remoteRead reads one resource from a host.
type remoteRead struct {
	app     *app
	host    hostFlags
	address urn.URN
	trust   *remote.Trust
	salt    *urn.Salt
	scratch *os.File // holds sealed bytes until they are verified
}

// A readFunc writes the resource of a remoteRead, read from a host.
type readFunc func(context.Context, remote.URL, io.Writer) error

// first tries the hosts in order until one has sent something.
func (r *remoteRead) first(ctx context.Context, from []string, read readFunc,
	w io.Writer) (err error) {
	if r.scratch, err = os.CreateTemp("", "digstore-*"); err != nil {
		return err
	}
	// An open file can be removed on Unix. Then nothing is left if the process is killed.
	if os.Remove(r.scratch.Name()) != nil {
		defer os.Remove(r.scratch.Name())
	}
	defer r.scratch.Close()
	out := &counter{w: w}
	for i, text := range from {
		var u remote.URL
		if u, err = remote.ParseURL(text); err == nil {
			u, err = u.WithStore(r.address.Store)
		}
		if err == nil {
			err = read(ctx, u, out)
		}
		if err == nil || out.n > 0 || i == len(from)-1 {
			break
		}
		r.app.note("%s: %v", oneline.Name(text), err)
	}
	return err
}

// counter counts the bytes written to w.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// addressAt returns the address of what cat reads: a URN, or a key in the store
// that the URL names.
func addressAt(what string, f catFlags) (urn.URN, error) {
	if strings.HasPrefix(what, "urn:") {
		return parseURN(what, f.root != "")
	}
	u, err := remote.ParseURL(f.from[0])
	if err == nil && u.Store.IsZero() {
		err = usage("give a URN, or a URL with the store id", "%s names no store, and %s is not a URN", u,
			oneline.Name(what))
	}
	return urn.URN{Store: u.Store, Resource: what}, err
}

// saltFor returns the salt of a private store: from file, or from the local store.
func (a *app) saltFor(u urn.URN, file string) (*urn.Salt, error) {
	if file != "" {
		b, err := readSecret(file, a.input)
		if err != nil {
			return nil, err
		}
		salt, err := urn.ParseSalt(string(bytes.TrimSpace(b)))
		if err != nil {
			return nil, usage("give a file that digstore key export --salt wrote", "%s: %w", file, err)
		}
		return salt, nil
	}
	ws, err := a.workspace()
	if err != nil {
		return nil, nil // no workspace, so no salt
	}
	defer ws.Close()
	s, err := ws.Store(u.Store.String())
	if err != nil {
		return nil, nil
	}
	return s.Salt(), nil
}

// signed reads with signed requests below /stores/.
func (r *remoteRead) signed(ctx context.Context, u remote.URL, w io.Writer) error {
	c, err := r.app.client(ctx, u, r.host)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := r.trust.ResolveHead(ctx, r.address.Store, c)
	if err != nil {
		return err
	}
	if b.Basis == remote.ByFirstUse {
		r.app.warn("publisher key %.16s… is not confirmed: it is the key that the host sent", b.Publisher)
	}
	return c.Fetch(ctx, b.Root, r.address.Name(), r.salt, r.scratch, w)
}

// anonymous reads over JSON-RPC, which has no signed heads, so the root must be known.
func (r *remoteRead) anonymous(ctx context.Context, u remote.URL, w io.Writer) error {
	if r.trust.Root.IsZero() && r.trust.Anchor == nil {
		return usage("name the root in the URN or with --root, or use --chain",
			"--anonymous needs a root, because its answers are not signed")
	}
	u, err := r.host.nearest(ctx, u)
	if err != nil {
		return err
	}
	o, err := r.app.clientOptions(r.host)
	if err != nil {
		return err
	}
	transport, err := remote.NewTransport(o)
	if err != nil {
		return err
	}
	c, err := rpc.NewClient(u, &rpc.ClientOptions{
		Transport: transport, UserAgent: o.UserAgent, OnRetry: o.OnRetry, Anchor: r.trust.Anchor,
		MaxContent: remote.DefaultMaxModule,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Fetch(ctx, r.address, r.salt, r.scratch, w); err != nil {
		return fmt.Errorf("%s: %w", u.Origin(), err)
	}
	return nil
}
