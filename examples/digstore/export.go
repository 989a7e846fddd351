package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export [ROOT] FILE",
		Short: "Write a generation to a .dig file",
		Long: `Export writes the module of a generation: one file with its encrypted content and
its proofs, the same bytes that a host serves. FILE must not exist yet; "-" is
standard output.`,
		Example: `  digstore export site.dig
  digstore export 3 - | sha256sum`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeRoots,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, file := "", args[0]
			if len(args) == 2 {
				which, file = args[0], args[1]
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.export(cmd.Context(), s, which, file)
			})
		},
	}
}

func (a *app) export(ctx context.Context, s *digstore.Store, which, file string) error {
	g, err := a.generation(ctx, s, which)
	if err != nil {
		return err
	}
	root := g.Info().Root
	if file == "-" {
		if a.json {
			return usage("name a file", "--json needs standard output for its object")
		}
		_, err := s.Export(ctx, root, a.out, nil)
		return err
	}
	p := a.progress("exporting")
	defer p.stop()
	n, err := createFile(file, func(w io.Writer) (int64, error) {
		return s.Export(ctx, root, w, p.set)
	})
	if err != nil {
		return err
	}
	p.stop()
	return a.done(struct {
		Root merkle.Hash `json:"root"`
		File string      `json:"file"`
		Size int64       `json:"size"`
	}{root, file, n}, "%s: %s of generation %d", file, size(n), g.Info().Number)
}

// createFile creates a file, which must not exist yet, and fills it. On failure it
// removes the file.
func createFile(path string, fill func(io.Writer) (int64, error)) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	n, err := fill(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path)
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	return n, nil
}
