package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show [ROOT]",
		Short: "Show one generation and list its resources",
		Long: `Show prints the publisher key, time and size of a generation, and the names and
sizes of its resources with known names. ROOT is a root, its first 8 or more
digits, or the number of a generation (default: the head).`,
		Example: `  digstore show
  digstore show 0
  digstore show 5b1f09ae --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRoots,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(func(s *digstore.Store) error {
				return a.show(cmd.Context(), s, optional(args))
			})
		},
	}
}

// optional returns the first argument, or "".
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) show(ctx context.Context, s *digstore.Store, which string) error {
	g, err := a.findGeneration(ctx, s, which)
	if err != nil {
		return err
	}
	type file struct {
		Key  string `json:"key"`
		Size int64  `json:"size"`
	}
	names, unnamed, err := g.Names()
	if err != nil {
		return err
	}
	files := make([]file, 0, len(names))
	for _, name := range names {
		content, err := g.Resource(name)
		if err != nil {
			return err
		}
		files = append(files, file{name, content.Size()})
	}
	revoked, err := revocations(ctx, s)
	if err != nil {
		return err
	}
	v := struct {
		Store      string         `json:"store"`
		StoreID    auth.StoreID   `json:"store_id"`
		Generation uint64         `json:"generation"`
		Root       merkle.Hash    `json:"root"`
		Time       *time.Time     `json:"time"` // null: not a time that JSON can represent
		PublicKey  auth.PublicKey `json:"public_key"`
		ModuleSize int64          `json:"module_size"`
		Resources  int            `json:"resources"`
		Message    string         `json:"message,omitempty"`
		Revoked    string         `json:"revoked,omitempty"`
		Files      []file         `json:"files"`
	}{
		s.Name(), s.ID(), g.Info().Number, g.Info().Root, writable(g.Info().Time), g.PublicKey(),
		g.Module().Size(), len(names) + unnamed, g.Message(), revoked.of(g.Info().Root), files,
	}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "store       %s  %s\n", oneline.Name(v.Store), v.StoreID)
		fmt.Fprintf(w, "generation  %d\nroot        %s\n", v.Generation, v.Root)
		fmt.Fprintf(w, "time        %s\n", shown(v.Time))
		fmt.Fprintf(w, "publisher   %s\n", v.PublicKey)
		fmt.Fprintf(w, "module      %s\n", size(v.ModuleSize))
		if v.Message != "" {
			fmt.Fprintf(w, "message     %s\n", oneline.Name(v.Message))
		}
		if v.Revoked != "" {
			fmt.Fprintf(w, "%s     %s\n", a.paint(w, red, "revoked"), v.Revoked)
		}
		rows := make([][]string, len(files))
		for i, f := range files {
			rows[i] = []string{"", size(f.Size), f.Key}
		}
		table(w, rows)
		if unnamed > 0 {
			fmt.Fprintf(w, "%s without a known name\n", plural(unnamed, "resource", "resources"))
		}
	})
}
