package main

import (
	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
)

func (a *app) adoptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt",
		Short: "Verify a history that another program wrote, and protect it with proofs",
		Long: `Adopt verifies every chunk of every generation that is held here, then writes
proofs for the history. With proofs, digstore can tell damage of the history from
generations that were never here. New stores have proofs from the start. Run
adopt once for a store that another program, or an earlier version of digstore,
wrote. Generations whose content is not here are recorded as not held.`,
		Example: `  digstore adopt`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *digstore.Store) error {
				a.resume = "nothing was changed; run the same command again"
				p := a.progress("verifying")
				defer p.stop()
				r, err := s.Adopt(cmd.Context(), p.set)
				if err != nil {
					return err
				}
				p.stop()
				return a.done(struct {
					Lines    int `json:"generations"`
					Verified int `json:"verified"`
					Signed   int `json:"signatures_made"`
				}{r.Lines, r.Verified, r.Signed}, "%s, %d verified; the history has proofs now",
					plural(r.Lines, "generation", "generations"), r.Verified)
			})
		},
	}
}
