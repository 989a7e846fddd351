package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) anchorVerifyCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	var root string
	var ever bool
	cmd := &cobra.Command{
		Use:   "verify [STORE]",
		Short: "Check that the local head is the root on the chain",
		Long: `Verify checks that the head of the store, or --root, is the newest root on the
chain. With --any it checks that the chain has had the root at some time.`,
		Example: `  digstore anchor verify
  digstore anchor verify --root 0 --any`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(
			ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string,
		) error {
			h, err := a.rootToVerify(ctx, id, root)
			if err != nil {
				return err
			}
			mode, how := chain.TipOnly, "the newest root"
			if ever {
				mode, how = chain.AnyGeneration, "a root"
			}
			if err := r.VerifyRoot(ctx, id, h, mode); err != nil {
				return err
			}
			v, err := a.anchorOf(ctx, r, id)
			if err != nil {
				return err
			}
			return a.done(map[string]any{"store_id": id, "root": h, "anchor": v},
				"root %s is %s of the store on the chain\n%s", h, how, v)
		}),
	}
	f.register(cmd)
	registerTimeout(cmd, &timeout)
	cmd.Flags().StringVar(&root, "root", "",
		"the `ROOT` to check: a root, its first digits, or a number (default: the head)")
	cmd.Flags().BoolVar(&ever, "any", false, "accept any root that the chain has had")
	_ = cmd.RegisterFlagCompletionFunc("root", a.completeRoots)
	return cmd
}

// rootToVerify returns the root that text names: a root, or a local generation.
func (a *app) rootToVerify(ctx context.Context, id auth.StoreID, text string) (root merkle.Hash,
	err error) {
	if root, err = merkle.ParseHash(text); err == nil {
		return root, nil
	}
	a.store = id.String()
	err = a.withStore(func(s *digstore.Store) error {
		g, err := a.generation(ctx, s, text)
		if err == nil {
			root = g.Info().Root
		}
		return err
	})
	return root, err
}
