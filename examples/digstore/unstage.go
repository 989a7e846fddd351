package main

import (
	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
)

func (a *app) unstageCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "unstage [KEY...]",
		Short: "Remove files from the staging area",
		Long:  `Unstage removes files from the staging area. It does not change the files themselves.`,
		Example: `  digstore unstage draft.html
  digstore unstage --all`,
		ValidArgsFunction: a.completeStaged,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usage("usage: "+cmd.UseLine(), "unstage: give keys, or --all")
			}
			return a.withStore(func(s *digstore.Store) error {
				n, err := s.Unstage(cmd.Context(), args...)
				if err != nil {
					return err
				}
				return a.done(map[string]int{"unstaged": n}, "%s unstaged", plural(n, "file", "files"))
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "empty the staging area")
	return cmd
}
