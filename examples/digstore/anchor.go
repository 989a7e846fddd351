package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/urn"
)

func (a *app) anchorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "anchor",
		Short: "Read what the chain says about a store",
		Long: `A store may have a coin on Chia's chain that says which root counts, which
counted before, and who may write. Anchor reads it from a source that is not
believed beyond its form: what hashes can check is checked.

Clone, pull, push and promote hold themselves to it with the same --chain.`,
		Example: `  digstore anchor use https://api.coinset.org
  digstore anchor show
  digstore anchor verify`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.anchorShowCommand(), a.anchorHistoryCommand(), a.anchorVerifyCommand(), a.anchorWritersCommand(), a.anchorUseCommand())
	return cmd
}

// storeID is the store that a command of anchor is about: a name, an id or a
// URN; the active one where args name none.
func (a *app) storeID(args []string) (id auth.StoreID, err error) {
	text := optional(args)
	if u, err := urn.Parse(text); err == nil {
		return u.Store, nil
	}
	if id, err := auth.ParseStoreID(text); err == nil {
		return id, nil
	}
	if text != "" {
		a.store = text
	}
	err = a.withStore(func(s *digstore.Store) error {
		id = s.ID()
		return nil
	})
	return id, err
}

// anchorRun is the frame of the commands that ask the chain about a store.
func (a *app) anchorRun(f *chainFlags, timeout *time.Duration, run func(context.Context, *chain.Resolver, auth.StoreID, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		r, err := a.required(f)
		if err != nil {
			return err
		}
		id, err := a.storeID(args)
		if err != nil {
			return err
		}
		a.resume = "nothing was changed; run the same command again"
		ctx, stop := a.within(cmd.Context(), hostFlags{timeout: *timeout})
		defer stop()
		return run(ctx, r, id, args)
	}
}

// registerTimeout is --timeout of the commands that ask the chain alone.
func registerTimeout(cmd *cobra.Command, timeout *time.Duration) {
	cmd.Flags().DurationVar(timeout, "timeout", 0, "give up after this `TIME` in all, as 90s or 10m")
}
