package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) storesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stores",
		Short: "List the stores of the workspace",
		Long:  `Stores lists the stores of the workspace. A star marks the active store.`,
		Example: `  digstore stores
  digstore -C /srv/stores stores --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listStores(cmd) },
	}
}

func (a *app) listStores(cmd *cobra.Command) error {
	ws, err := a.workspace()
	if err != nil {
		return err
	}
	defer ws.Close()
	type row struct {
		Name        string       `json:"name"`
		StoreID     auth.StoreID `json:"store_id"`
		Root        *merkle.Hash `json:"root,omitempty"`
		Generations uint64       `json:"generations"`
		Revoked     string       `json:"revoked,omitempty"` // why the head is revoked
		ContentRoot string       `json:"content_root,omitempty"`
		Active      bool         `json:"active"`
	}
	active := ""
	if s, err := ws.Active(); err == nil {
		active = s.Name()
	}
	rows := []row{}
	for s, err := range ws.All() {
		if err != nil {
			return err
		}
		last, err := s.Tail(cmd.Context(), 1)
		if err != nil {
			return err
		}
		r := row{
			Name: s.Name(), StoreID: s.ID(), ContentRoot: s.ContentRoot(),
			Active: s.Name() == active,
		}
		if len(last) > 0 {
			r.Root, r.Generations = &last[0].Root, last[0].Number+1
			revoked, err := revocations(cmd.Context(), s)
			if err != nil {
				return err
			}
			r.Revoked = revoked.of(last[0].Root)
		}
		rows = append(rows, r)
	}
	return a.answer(map[string]any{"workspace": ws.Dir(), "stores": rows}, func(w io.Writer) {
		cells := make([][]string, len(rows))
		for i, r := range rows {
			mark, root := " ", "no generation yet"
			if r.Active {
				mark = "*"
			}
			if r.Root != nil {
				root = r.Root.String()
			}
			if r.Revoked != "" {
				root += "  revoked: " + r.Revoked
			}
			cells[i] = []string{mark, r.Name, r.StoreID.String(), root}
		}
		table(w, cells)
	})
}
