package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
)

func (a *app) revokeCommand() *cobra.Command {
	host := hostFlags{changes: true}
	var root, reason string
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke --root ROOT|--all [REMOTE]",
		Short: "Revoke a generation, or the whole store, permanently",
		Long: `Revoke signs a tombstone with the publisher key and sends it to REMOTE (default:
origin). Hosts and clones that have the tombstone refuse that generation or, with
--all, every past and future generation. A revocation cannot be undone.`,
		Example: `  digstore revoke --root 5b1f09ae --reason superseded
  digstore revoke --all --reason compromise --yes backup`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRemotes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (root != "") {
				return usage("usage: "+cmd.UseLine(), "revoke: give --root or --all")
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.revoke(cmd.Context(), s, root, reason, orOrigin(args), host)
			})
		},
	}
	host.register(cmd)
	cmd.Flags().StringVar(&root, "root", "",
		"the `ROOT` to revoke: a root, its first digits, or a number")
	cmd.Flags().BoolVar(&all, "all", false, "revoke the whole store")
	cmd.Flags().StringVar(&reason, "reason", "unspecified",
		"the `REASON`: unspecified, compromise, superseded or takedown")
	_ = cmd.RegisterFlagCompletionFunc("root", a.completeRoots)
	_ = cmd.RegisterFlagCompletionFunc("reason", cobra.FixedCompletions(
		[]cobra.Completion{"unspecified", "compromise", "superseded", "takedown"}, noFiles))
	return cmd
}

func (a *app) revoke(ctx context.Context, s *digstore.Store, root, reason, at string,
	host hostFlags) error {
	why, err := auth.ParseReason(reason)
	if err != nil {
		return usage("choose one of these", "--reason: %w", err)
	}
	t := auth.Tombstone{Store: s.ID(), NotAfter: uint64(time.Now().Unix()), Reason: why}
	what := "the whole store " + s.Name()
	if root != "" {
		line, err := findRoot(ctx, s, root)
		if err != nil {
			return err
		}
		t.Root = line.Root
		what = fmt.Sprintf("generation %d of store %s", line.Number, s.Name())
	}
	key, err := s.Signer()
	if err != nil {
		return err
	}
	u, err := host.locate(s, at)
	if err != nil {
		return err
	}
	if err := a.confirm(fmt.Sprintf("revoke %s at %s for good", what, u.Origin())); err != nil {
		return err
	}
	if t, err = auth.SignTombstone(ctx, t, key); err != nil {
		return err
	}
	ctx, stop := a.within(ctx, host)
	defer stop()
	c, err := a.client(ctx, u, host)
	if err != nil {
		return err
	}
	defer c.Close()
	a.resume = "the host may have the revocation already; run the same command again"
	p := a.progress("connecting")
	defer p.stop()
	if err := c.Revoke(ctx, t); err != nil {
		return err
	}
	if err := s.Revoke(ctx, t); err != nil {
		return fmt.Errorf("revoked at %s, but not in the local store: %w", u.Origin(), err)
	}
	p.stop()
	v := map[string]any{"revoked": "store", "reason": why.String()}
	if root != "" {
		v["revoked"], v["root"] = "root", t.Root
	}
	return a.done(v, "revoked %s at %s: %s", what, u.Origin(), why)
}
