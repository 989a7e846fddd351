package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff [OLD [NEW]]",
		Short: "List the changes from one generation to another",
		Long: `Diff lists the resources that were added, modified and removed between two
generations. Without NEW it compares OLD with the head; without both it compares
the head with the generation before it. A resource without a known name is
listed by its retrieval key.`,
		Example: `  digstore diff
  digstore diff 0
  digstore diff 3 7 --json`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: a.completeRoots,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(func(s *digstore.Store) error { return a.diff(cmd.Context(), s, args) })
		},
	}
}

func (a *app) diff(ctx context.Context, s *digstore.Store, args []string) error {
	second := ""
	if len(args) == 2 {
		second = args[1]
	}
	to, err := a.generation(ctx, s, second)
	if err != nil {
		return err
	}
	var from merkle.Hash
	if len(args) > 0 {
		g, err := a.generation(ctx, s, args[0])
		if err != nil {
			return err
		}
		from = g.Info().Root
	} else if n := to.Info().Number; n > 0 {
		lines, err := s.Generations(ctx)
		if err != nil {
			return err
		}
		from = lines[n-1].Root
	}
	d, err := s.Diff(ctx, from, to.Info().Root)
	if err != nil {
		return err
	}
	added := withKeys(d.Added, d.UnnamedAdded)
	modified := withKeys(d.Modified, d.UnnamedModified)
	removed := withKeys(d.Removed, d.UnnamedRemoved)
	return a.answer(struct {
		From     *merkle.Hash `json:"from,omitempty"`
		To       merkle.Hash  `json:"to"`
		Added    []string     `json:"added"`
		Modified []string     `json:"modified"`
		Removed  []string     `json:"removed"`
		NewBytes int64        `json:"new_bytes"`
	}{nonZero(from), to.Info().Root, added, modified, removed, d.NewBytes}, func(w io.Writer) {
		a.changes(w, "", []change{
			{"added", green, added}, {"modified", yellow, modified}, {"removed", red, removed},
		})
	})
}

// withKeys returns names, then the retrieval keys of resources without a name.
func withKeys(names []string, unnamed []merkle.Hash) []string {
	all := append([]string{}, names...)
	for _, key := range unnamed {
		all = append(all, "key "+key.String())
	}
	return all
}

func nonZero(h merkle.Hash) *merkle.Hash {
	if h.IsZero() {
		return nil
	}
	return &h
}
