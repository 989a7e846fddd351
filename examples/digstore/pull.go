package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote"
)

func (a *app) pullCommand() *cobra.Command {
	var host hostFlags
	var trust trustFlags
	cmd := &cobra.Command{
		Use:   "pull [REMOTE]",
		Short: "Bring a store up to date with a host",
		Long: `Pull fetches what is new at REMOTE, the name of a remote or a URL ("origin"
without one), with the checks of clone. A host that went back, took another
branch, or shows another publisher key is refused.`,
		Example: `  digstore pull
  digstore pull backup
  digstore pull https://example.org`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRemotes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(func(s *digstore.Store) error { return a.pull(cmd.Context(), s, orOrigin(args), host, trust) })
		},
	}
	host.register(cmd)
	trust.register(cmd)
	return cmd
}

func (a *app) pull(ctx context.Context, s *digstore.Store, from string, host hostFlags, flags trustFlags) error {
	trust, err := flags.trust()
	if err != nil {
		return err
	}
	u, err := host.locate(s, from)
	if err != nil {
		return err
	}
	ctx, stop := a.within(ctx, host)
	defer stop()
	c, err := a.client(ctx, u, host)
	if err != nil {
		return err
	}
	defer c.Close()
	a.resume = "what has arrived is kept; run the same command again and it goes on from there"
	p := a.progress("connecting")
	defer p.stop()
	report, err := (&remote.Sync{Trust: trust, AllGenerations: flags.all, Progress: p.transfer("downloading")}).Pull(ctx, s, c)
	if err != nil {
		return err
	}
	p.stop()
	a.warnTrust(report)
	r, err := newReceived(s, report)
	if err != nil {
		return err
	}
	if r.UpToDate {
		return a.done(r, "already up to date at %s", r.Root)
	}
	return a.done(r, "pulled; local root is now %s\ngeneration %d: %s", r.Root, r.Generation, r.trusted())
}
