package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) verifyCommand() *cobra.Command {
	var deep, all bool
	cmd := &cobra.Command{
		Use:   "verify [ROOT]",
		Short: "Check that what is kept is what was signed",
		Long: `Verify recomputes the root of a generation from its leaves and checks the
publisher's signature over it. --deep also reads every chunk and hashes it up to
the root. Without ROOT it checks the head, with --all every generation held.`,
		Example: `  digstore verify --deep
  digstore verify 0
  digstore verify --all --deep`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRoots,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usage("usage: "+cmd.UseLine(), "verify wants a root or --all, not both")
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.verify(cmd.Context(), s, optional(args), deep, all)
			})
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read and hash every chunk")
	cmd.Flags().BoolVar(&all, "all", false, "every generation that is held")
	return cmd
}

// verified is what verify says about one generation.
type verified struct {
	Generation uint64      `json:"generation"`
	Root       merkle.Hash `json:"root"`
	Signed     bool        `json:"signed"`
	Bytes      int64       `json:"bytes"`
}

func (a *app) verify(ctx context.Context, s *digstore.Store, which string, deep, all bool) error {
	a.resume = "nothing was changed; run the same command again"
	var list []*digstore.Generation
	if all {
		lines, err := s.Generations(ctx)
		if err != nil {
			return err
		}
		for _, line := range lines {
			g, err := s.At(line.Root)
			if errors.Is(err, fs.ErrNotExist) {
				continue // not held
			}
			if err != nil {
				return err
			}
			list = append(list, g)
		}
	} else {
		g, err := a.generation(ctx, s, which)
		if err != nil {
			return err
		}
		list = append(list, g)
	}
	p := a.progress("verifying")
	defer p.stop()
	results := make([]verified, 0, len(list))
	for _, g := range list {
		r, err := verifyOne(ctx, s, g, deep)
		if err != nil {
			return &hinted{fmt.Errorf("generation %d, root %s: %w", g.Info().Number, g.Info().Root, err),
				"what is kept here is damaged: clone the store again, or pull it from another host"}
		}
		results = append(results, r)
	}
	p.stop()
	v := struct {
		Store   string       `json:"store"`
		StoreID auth.StoreID `json:"store_id"`
		Deep    bool         `json:"deep"`
		Good    []verified   `json:"verified"`
	}{s.Name(), s.ID(), deep, results}
	how := "leaves and root"
	if deep {
		how = "every chunk"
	}
	text := ""
	for i, r := range results {
		if i > 0 {
			text += "\n"
		}
		signed := "signed by its publisher"
		if !r.Signed {
			signed = "no signature is known"
		}
		text += fmt.Sprintf("generation %d is whole: %s checked, %s, %s", r.Generation, how, size(r.Bytes), signed)
	}
	return a.done(v, "%s", text)
}

// verifyOne checks a generation and, where one is known, its signature.
func verifyOne(ctx context.Context, s *digstore.Store, g *digstore.Generation, deep bool) (verified, error) {
	v := verified{Generation: g.Info().Number, Root: g.Info().Root, Bytes: g.Module().Size()}
	check := func(context.Context) error { return g.Module().VerifyLeaves() }
	if deep {
		check = g.Module().Verify
	}
	if err := check(ctx); err != nil {
		return v, err
	}
	signed, err := s.SignedRoot(ctx, g.Info().Root)
	if err != nil {
		return v, err
	}
	if v.Signed = !signed.Tagged.IsZero() || !signed.Untagged.IsZero(); v.Signed {
		err = signed.Check()
	}
	return v, err
}
