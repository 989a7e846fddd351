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
		Short: "Read a store's roots and writers from the Chia chain",
		Long: `A store can have a coin on the Chia chain. The coin names the current root of the
store, its history names the earlier roots, and it says who may write. Anchor
reads the coin from a source, such as a public host or your own full node, and
checks everything that hashes can check.

Clone, pull, push and promote take the same --chain flag, and then accept only
the root that the chain names.`,
		Example: `  digstore anchor use https://api.coinset.org
  digstore anchor show
  digstore anchor verify`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.anchorShowCommand(), a.anchorHistoryCommand(), a.anchorVerifyCommand(),
		a.anchorWritersCommand(), a.anchorUseCommand())
	return cmd
}

// storeID returns the store that args name by name, id or URN, or else the active
// store.
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

// A storeQuery asks the chain about a store.
type storeQuery func(context.Context, *chain.Resolver, auth.StoreID, []string) error

// anchorRun returns the RunE of a command that asks the chain about a store.
func (a *app) anchorRun(f *chainFlags, timeout *time.Duration,
	run storeQuery) func(*cobra.Command, []string) error {
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

// registerTimeout adds --timeout to a command that asks the chain only.
func registerTimeout(cmd *cobra.Command, timeout *time.Duration) {
	cmd.Flags().DurationVar(timeout, "timeout", 0, "stop after this `TIME`, such as 90s or 10m")
}
