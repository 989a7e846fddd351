package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/auth/request/noncefile"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/remote/server"
)

// openStores opens the workspace with the modules of /stores/, and makes it at the first start. It
// is next to the capsules.
func (p *parts) openStores(c *config.Config, log *slog.Logger) error {
	dir := filepath.Join(c.Storage.PlotsDir[0].Path, "stores")
	ws, err := digstore.Open(dir, nil)
	if errors.Is(err, digstore.ErrNoWorkspace) {
		ws, err = digstore.Init(dir, nil)
	}
	if err != nil {
		return fmt.Errorf("open stores: %w", err)
	}
	p.close = append(p.close, ws.Close)
	secret, err := ws.DecoySecret()
	if err != nil {
		return fmt.Errorf("open stores: %w", err)
	}
	nonces, err := noncefile.Open(filepath.Join(ws.Dir(), ".dig", "nonces.bin"),
		&noncefile.Options{Beneath: ws.Dir()})
	if errors.Is(err, noncefile.ErrDamaged) {
		return &hinted{err, "wait ten minutes, remove the file, and start again"}
	}
	if err != nil {
		return fmt.Errorf("open stores: %w", err)
	}
	p.close = append(p.close, nonces.Close)
	p.config.Stores = ws
	p.config.StoresOptions = server.Options{
		DecoySecret: secret, Authenticator: &request.Authenticator{Nonces: nonces},
		TrustedProxies: proxies(c), Logger: log.With("component", "http"),
	}
	if r := p.sources.chain; r != nil {
		// A signature of either kind authorizes a push.
		p.config.StoresOptions.Authority = chain.Any(chain.StoreKey{}, chain.OnChainKey{Resolver: r})
	}
	return nil
}
