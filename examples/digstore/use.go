package main

import "github.com/spf13/cobra"

func (a *app) useCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a store the active one",
		Long:              `Use makes a store the active one, which commands use without --store.`,
		Example:           "  digstore use site",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: func(cmd *cobra.Command, args []string) error {
			ws, err := a.workspace()
			if err != nil {
				return err
			}
			defer ws.Close()
			a.store = args[0]
			s, err := a.pick(ws)
			if err != nil {
				return err
			}
			if err := ws.Use(cmd.Context(), s.Name()); err != nil {
				return err
			}
			return a.done(map[string]string{"active": s.Name()}, "store %s is active", s.Name())
		},
	}
}
