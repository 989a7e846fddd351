package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/auth/request/noncefile"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote/server"
)

// serverOptions returns the server.Options of the flags.
func (a *app) serverOptions(f serveFlags) (*server.Options, error) {
	o := &server.Options{
		Anonymous: f.anonymous,
		MaxModule: int64(f.maxModule),
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{a},
			&slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if !(f.requests > 0) {
		return nil, usage("give a number above 0", "--requests: %v is not above 0", f.requests)
	}
	each := server.Rate{PerSecond: f.requests, Burst: int(min(max(4*f.requests, 1), 1e6))}
	o.Limits.PerIP, o.Limits.PerIdentity = each, each
	for _, text := range f.proxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usage("a network is ADDRESS/BITS, such as 10.0.0.0/8 or 127.0.0.1/32",
				"--trusted-proxy: %w", err)
		}
		o.TrustedProxies = append(o.TrustedProxies, network)
	}
	var err error
	if o.Authorize, err = f.authorize(); err != nil {
		return nil, err
	}
	if f.allowAny {
		if f.maxStores < 0 || f.totalStores < 0 {
			return nil, usage("give a number of stores, or 0 for no limit",
				"--max-stores, --total-max-stores: negative number")
		}
		o.Quota = &server.Quota{
			Stores: f.maxStores, TotalStores: f.totalStores,
			Bytes: int64(f.quota), TotalBytes: int64(f.totalQuota),
		}
	}
	if o.MayRevert, err = f.mayRevert(); err != nil {
		return nil, err
	}
	r, err := a.resolver(&f.chain)
	if err != nil {
		return nil, err
	}
	if o.Policy, err = f.policy(r); err != nil {
		return nil, err
	}
	if o.Authority, err = f.authorityBy(r); err != nil {
		return nil, err
	}
	if f.pushTokenFile != "" {
		token, err := readToken(f.pushTokenFile)
		if err != nil {
			return nil, err
		}
		o.Credential = server.Credentials{"push-token": token}.Check
	}
	return o, nil
}

// An authorizeFunc decides whether an identity may make a request.
type authorizeFunc = func(context.Context, auth.PublicKey, request.Op, auth.StoreID) error

// authorize allows the identities that --allow-identity names; nil allows all.
func (f serveFlags) authorize() (authorizeFunc, error) {
	if len(f.identities) == 0 {
		return nil, nil
	}
	named := make(map[auth.PublicKey]bool, len(f.identities))
	for _, text := range f.identities {
		key, err := auth.ParsePublicKey(text)
		if err != nil {
			return nil, usage("a key is 96 hex digits, as digstore identity prints it",
				"--allow-identity: %w", err)
		}
		named[key] = true
	}
	return func(_ context.Context, identity auth.PublicKey, _ request.Op, _ auth.StoreID) error {
		if !named[identity] {
			return auth.ErrForbidden
		}
		return nil
	}, nil
}

// A revertFunc decides whether an identity may make an older root the head again.
type revertFunc = func(server.Requester, auth.StoreID) bool

// mayRevert allows the identities that --writer-identity names; nil allows none.
func (f serveFlags) mayRevert() (revertFunc, error) {
	if len(f.writers) == 0 {
		return nil, nil
	}
	type writer struct {
		store    auth.StoreID
		identity auth.PublicKey
	}
	named := make(map[writer]bool, len(f.writers))
	for _, entry := range f.writers {
		id, key, ok := strings.Cut(entry, "=")
		store, err := auth.ParseStoreID(id)
		if err != nil || !ok {
			return nil, usage("give ID=KEY: a store's id and an identity, as digstore identity prints it",
				"--writer-identity: %.200q is not ID=KEY", entry)
		}
		identity, err := auth.ParsePublicKey(key)
		if err != nil {
			return nil, usage("a key is 96 hex digits, as digstore identity prints it",
				"--writer-identity: %w", err)
		}
		named[writer{store, identity}] = true
	}
	return func(by server.Requester, store auth.StoreID) bool {
		return named[writer{store, by.Identity}]
	}, nil
}

// decoySecret returns the secret that decoys are derived from. It is kept in the
// workspace, so that the decoy of a key is the same after a restart. Otherwise a
// reader could detect a decoy because it changes.
func (a *app) decoySecret(ws *digstore.Workspace) []byte {
	secret, err := ws.DecoySecret()
	if err != nil {
		a.warn("answers for missing resources will change after a restart, which reveals them: %v", err)
		return nil
	}
	return secret
}

// nonces opens the file that keeps the nonces of pushes and revocations, so that
// none of them is accepted again after a restart. If it returns nil, nonces are kept
// in memory only, and requests from before the start are refused.
func (a *app) nonces(ws *digstore.Workspace) (*noncefile.File, error) {
	name := filepath.Join(ws.Dir(), ".dig", "nonces.bin")
	file, err := noncefile.Open(name, &noncefile.Options{Beneath: ws.Dir()})
	switch {
	case errors.Is(err, noncefile.ErrDamaged):
		return nil, &hinted{err, "wait ten minutes, remove the file, and start again"}
	case err != nil: // a read-only disk, or another serve in this workspace
		a.warn("a push of the last minutes could be replayed: %v", err)
		return nil, nil
	}
	return file, nil
}

// authorityBy returns the Authority that --authority names; nil is the default.
func (f serveFlags) authorityBy(r *chain.Resolver) (server.Authority, error) {
	if f.authority != "" && f.authority != "store-key" && r == nil {
		return nil, usage("name one with --chain URL or --chain full-node",
			"--authority %s: no chain source is configured", f.authority)
	}
	switch f.authority {
	case "":
		return nil, nil
	case "store-key":
		return chain.StoreKey{}, nil
	case "on-chain-key":
		return chain.OnChainKey{Resolver: r}, nil
	case "both":
		return chain.All(chain.StoreKey{}, chain.OnChainKey{Resolver: r}), nil
	case "tip":
		return chain.TipRoot{Resolver: r}, nil
	}
	return nil, usage("choose store-key, on-chain-key, both or tip",
		"--authority: unknown value %q", f.authority)
}

// policy returns the policy for first pushes.
func (f serveFlags) policy(r *chain.Resolver) (server.Policy, error) {
	if f.allowAny && r != nil {
		return server.TrustOnFirstUse{Anchor: r}, nil
	}
	if f.allowAny {
		return server.TrustOnFirstUse{}, nil
	}
	if len(f.allow) == 0 {
		return server.RejectUnknown{}, nil
	}
	list := server.AllowList{}
	for _, entry := range f.allow {
		text, keyText, hasKey := strings.Cut(entry, "=")
		id, err := auth.ParseStoreID(text)
		if err != nil {
			return nil, usage("an id is 64 hex digits", "--allow: %w", err)
		}
		var key auth.PublicKey
		if hasKey {
			if key, err = auth.ParsePublicKey(keyText); err != nil {
				return nil, usage("a public key is 96 hex digits", "--allow: %w", err)
			}
		}
		list[id] = key
	}
	return list, nil
}
