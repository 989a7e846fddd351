package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/dig-network/digstore/digstore/urn"
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

// catFrom reads one resource at a host. Of several the first that gives it
// counts: what comes is checked, so it does not matter which.
func (a *app) catFrom(ctx context.Context, what string, f catFlags) error {
	ctx, stop := a.within(ctx, f.host)
	defer stop()
	a.resume = "nothing was kept; run the same command again"
	address, err := addressAt(what, f)
	if err != nil {
		return err
	}
	trust, _, err := a.believe(&trustFlags{root: f.root, publisher: f.publisher}, &f.chain)
	if err != nil {
		return err
	}
	if !address.Root.IsZero() {
		trust.Root = address.Root
	}
	if !trust.Root.IsZero() { // says which generation is wanted; it need not be the newest
		trust.Anchor, address = nil, address.At(trust.Root)
	}
	salt, err := a.saltFor(address, f.salt)
	if err != nil {
		return err
	}
	var content []byte
	for i, text := range f.from {
		read := a.readSigned
		if f.anonymous {
			read = a.readAnonymous
		}
		if content, err = read(ctx, text, address, &trust, salt, f.host); err == nil {
			return a.write(bytes.NewReader(content), address.Name(), int64(len(content)), f.file)
		}
		if i < len(f.from)-1 {
			a.note("%s: %v", printable(text), err)
		}
	}
	return err
}

// addressAt is what cat reads: a URN, or a key of the store that the URL names.
func addressAt(what string, f catFlags) (urn.URN, error) {
	if strings.HasPrefix(what, "urn:") {
		return parseURN(what, f.root != "")
	}
	u, err := remote.ParseURL(f.from[0])
	if err == nil && u.Store.IsZero() {
		err = usage("give a URN, or a URL with the store id", "%s names no store to find %s in", u, printable(what))
	}
	return urn.URN{Store: u.Store, Resource: what}, err
}

// saltFor is what opens a private store: the file's, or that of the store here.
func (a *app) saltFor(u urn.URN, file string) (*urn.Salt, error) {
	if file != "" {
		b, err := readSecret(file, a.in)
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
		return nil, nil // nothing is here
	}
	defer ws.Close()
	s, err := ws.Store(u.Store.String())
	if err != nil {
		return nil, nil
	}
	return s.Salt(), nil
}

// readSigned reads by the routes under /stores/.
func (a *app) readSigned(ctx context.Context, text string, address urn.URN, trust *remote.Trust, salt *urn.Salt, host hostFlags) ([]byte, error) {
	u, err := remote.ParseURL(text)
	if err == nil {
		u, err = u.WithStore(address.Store)
	}
	if err != nil {
		return nil, err
	}
	c, err := a.client(ctx, u, host)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := trust.Believe(ctx, address.Store, c)
	if err != nil {
		return nil, err
	}
	content, err := c.Content(ctx, b.Root, address.Name(), salt)
	if err != nil {
		return nil, err
	}
	if b.Basis == remote.ByFirstUse {
		a.warn("nothing vouches for publisher key %.16s…: this is what the host shows", b.Publisher)
	}
	return content, nil
}

// readAnonymous reads over JSON-RPC, which has no signed heads.
func (a *app) readAnonymous(ctx context.Context, text string, address urn.URN, trust *remote.Trust, salt *urn.Salt, host hostFlags) ([]byte, error) {
	if trust.Root.IsZero() && trust.Anchor == nil {
		return nil, usage("name the root in the URN or with --root, or the chain with --chain", "--anonymous needs a root: nothing that a host says there is signed")
	}
	u, err := remote.ParseURL(text)
	if err == nil {
		u, err = host.nearest(ctx, u)
	}
	if err != nil {
		return nil, err
	}
	o, err := a.clientOptions(host)
	if err != nil {
		return nil, err
	}
	transport, err := remote.NewTransport(o)
	if err != nil {
		return nil, err
	}
	c, err := rpc.NewClient(u, &rpc.ClientOptions{Transport: transport, UserAgent: o.UserAgent, OnRetry: o.OnRetry, Anchor: trust.Anchor})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	content, err := c.ReadPrivate(ctx, address, salt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Origin(), err)
	}
	return content, nil
}
