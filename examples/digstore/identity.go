package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
)

func (a *app) identityCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Show the identity key that signs this machine's requests",
		Long: `Identity prints the public key with which this machine signs its requests to
hosts. The key is made on first use and kept in your configuration folder, or in
$DIG_IDENTITY_DIR. It is not a publisher key: it cannot change any store.

With --at HOST it prints the key that --separate-identity uses at that host.`,
		Example: `  digstore identity
  digstore identity --at example.org:8443
  DIG_IDENTITY_DIR=/run/secrets/dig digstore identity`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, key, err := identity()
			if err != nil {
				return err
			}
			if at != "" {
				if key, err = remote.DeriveIdentity(key, strings.ToLower(at)); err != nil {
					return err
				}
			}
			return a.answer(map[string]any{"public_key": key.PublicKey(), "file": path}, func(w io.Writer) {
				fmt.Fprintln(w, key.PublicKey())
				a.note("kept in %s", path)
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "",
		"print the key that --separate-identity uses at `HOST[:PORT]`")
	return cmd
}

// identity loads the identity key, or makes it if there is none.
func identity() (path string, key *auth.Key, err error) {
	if path, err = auth.IdentityPath(); err != nil {
		return "", nil, err
	}
	key, err = auth.LoadKey(path)
	return path, key, err
}
