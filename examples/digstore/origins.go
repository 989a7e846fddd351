package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/remote"
)

// syncFlags are the flags of clone and pull.
type syncFlags struct {
	host    hostFlags
	trust   trustFlags
	chain   chainFlags
	from    []string
	verbose bool
}

func (f *syncFlags) register(cmd *cobra.Command) {
	f.host.register(cmd)
	f.trust.register(cmd)
	f.chain.register(cmd)
	cmd.Flags().StringArrayVar(&f.from, "from", nil,
		"download from the host at this `URL` too; may be repeated")
	cmd.Flags().Var(&f.host.longest, "max-module",
		"the largest module to accept, a `SIZE` such as 500MB or 2GiB (default: 1GiB)")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print what was checked, and against what")
}

// trustOf returns the remote.Trust of the flags, with the chain as its anchor if a
// source is configured.
func (a *app) trustOf(t *trustFlags, c *chainFlags) (remote.Trust, *chain.Resolver, error) {
	trust, err := t.trust()
	if err != nil {
		return trust, nil, err
	}
	r, err := a.resolver(c)
	if r != nil {
		trust.Anchor = r
	}
	return trust, r, err
}

// sync returns the remote.Sync of the flags.
func (a *app) sync(f *syncFlags, trust remote.Trust, p *progress) *remote.Sync {
	return &remote.Sync{
		Trust: trust, AllGenerations: f.trust.all, MaxModule: int64(f.host.longest),
		Progress: p.transfer("downloading"), OnRetry: a.noteRetry,
	}
}

// origin returns the origin at first or, with --from, one origin made of several.
// The caller calls done.
func (a *app) origin(ctx context.Context, first remote.URL,
	f *syncFlags) (from remote.Origin, done func(), err error) {
	urls := []remote.URL{first}
	for _, text := range f.from {
		u, err := remote.ParseURL(text)
		if err == nil {
			u, err = u.WithStore(first.Store)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("--from: %w", err)
		}
		urls = append(urls, u)
	}
	var mirrors []remote.Mirror
	done = func() {
		for _, m := range mirrors {
			_ = m.Origin.(*remote.Client).Close() // never fails
		}
	}
	for _, u := range urls {
		c, err := a.client(ctx, u, f.host)
		if err != nil {
			done()
			return nil, nil, err
		}
		mirrors = append(mirrors, remote.Mirror{Origin: c})
	}
	if len(mirrors) == 1 {
		return mirrors[0].Origin, done, nil
	}
	from, err = remote.NewOrigins(mirrors, nil)
	return from, done, err
}
