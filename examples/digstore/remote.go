package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/remote"
)

func (a *app) remoteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remote",
		Short: "Name the hosts that the store is pulled from and pushed to",
		Long: `A remote is a name for a host of the active store. Pull and push use the remote
"origin" by default. If it is not set, it is rpc.dig.net.`,
		Example: `  digstore remote add origin dig://example.org/ID
  digstore remote list`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "add NAME URL",
			Short: "Give a host a name",
			Long: `Add gives the host at URL the NAME, which must be new. URL is dig://HOST/ID,
https://HOST[/stores/ID], or http:// for a loopback address.`,
			Example: `  digstore remote add origin dig://example.org:8443/ID
  digstore remote add backup https://backup.example.org`,
			Args: cobra.ExactArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withStore(func(s *digstore.Store) error {
					return a.addRemote(cmd.Context(), s, args[0], args[1])
				})
			},
		},
		&cobra.Command{
			Use:     "list",
			Short:   "List the remotes",
			Long:    `List prints a line "NAME<TAB>URL" for each remote of the store.`,
			Example: "  digstore remote list --json",
			Args:    cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				return a.withStore(func(s *digstore.Store) error {
					remotes, err := s.Remotes()
					if err != nil {
						return err
					}
					return a.answer(remotes, func(w io.Writer) {
						for _, name := range slices.Sorted(maps.Keys(remotes)) {
							fmt.Fprintf(w, "%s\t%s\n", oneline.Name(name), oneline.Name(remotes[name]))
						}
					})
				})
			},
		},
		&cobra.Command{
			Use:               "remove NAME",
			Short:             "Remove a remote",
			Long:              `Remove removes the name; nothing changes at the host.`,
			Example:           "  digstore remote remove backup",
			Args:              cobra.ExactArgs(1),
			ValidArgsFunction: a.completeRemotes,
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withStore(func(s *digstore.Store) error {
					if err := s.RemoveRemote(cmd.Context(), args[0]); err != nil {
						return err
					}
					return a.done(map[string]string{"removed": args[0]}, "removed remote %s", args[0])
				})
			},
		})
	return cmd
}

func (a *app) addRemote(ctx context.Context, s *digstore.Store, name, text string) error {
	u, err := remote.ParseURL(text)
	if err != nil {
		return err
	}
	if _, err := u.WithStore(s.ID()); err != nil {
		return err
	}
	if err := s.AddRemote(ctx, name, text); err != nil {
		return err
	}
	return a.done(map[string]string{"name": name, "url": text}, "added remote %s -> %s", name, text)
}
