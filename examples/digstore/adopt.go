package main

import (
	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
)

func (a *app) adoptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt",
		Short: "Verify a history of another program and prove it from now on",
		Long: `Adopt verifies every chunk of every generation that is held, and writes the proofs
that the history of a new store has from the start: what is damaged later is then
told from what was never there. Use it once in a workspace that another program,
or an earlier version of this one, has written. Generations that are not held are
taken to be so on purpose.`,
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
				}{r.Lines, r.Verified, r.Signed}, "%s, %d verified and proven from now on", plural(r.Lines, "generation", "generations"), r.Verified)
			})
		},
	}
}
