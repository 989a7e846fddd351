package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) importCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add a .dig file as a generation",
		Long: `Import verifies every byte of a .dig file and adds it as the next generation of
its store. The store is made if it is not there yet. A .dig file has no signature
of its root, so it does not prove who made it: compare the root and the key that
import prints with those that the publisher gave you.`,
		Example: `  digstore import site.dig
  digstore import site.dig --name mirror`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importFile(cmd.Context(), args[0], name)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the `NAME` of the store if it is new (default: its id)")
	return cmd
}

func (a *app) importFile(ctx context.Context, path, name string) error {
	a.resume = "nothing was imported; run the same command again"
	f, err := regular.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := module.Open(f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ws, err := a.findOrInit()
	if err != nil {
		return err
	}
	defer ws.Close()
	s, err := ws.Store(m.ID().Store.String())
	if errors.Is(err, fs.ErrNotExist) {
		if name == "" {
			name = m.ID().Store.String()
		}
		s, err = ws.Create(ctx, m.ID().Store, &digstore.StoreOptions{Name: name})
	}
	if err != nil {
		return err
	}
	p := a.progress("importing")
	defer p.stop()
	g, err := s.Import(ctx, f, auth.SignedRoot{}, p.set)
	if err != nil {
		return err
	}
	p.stop()
	return a.done(struct {
		Store      string         `json:"store"`
		StoreID    auth.StoreID   `json:"store_id"`
		Generation uint64         `json:"generation"`
		Root       merkle.Hash    `json:"root"`
		PublicKey  auth.PublicKey `json:"public_key"`
	}{s.Name(), s.ID(), g.Info().Number, g.Info().Root, m.PublicKey()},
		"store %s, generation %d\nroot %s\nkey  %s",
		s.Name(), g.Info().Number, g.Info().Root, m.PublicKey())
}
