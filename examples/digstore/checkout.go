package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) checkoutCommand() *cobra.Command {
	var names string
	var o digstore.CheckoutOptions
	cmd := &cobra.Command{
		Use:   "checkout [ROOT] DIR",
		Short: "Write the files of a generation to a folder",
		Long: `Checkout writes every resource of a generation to a file below DIR, and checks
each one. A generation has hashes of names, not the names. The names are known
for commits that were made here, and for stores made with init --listed. For
other stores, ask the publisher for the output of "digstore urn --all" and pass
it with --names. The store keeps these names for all of its generations.

If a name is missing, or cannot be written as a file (such as .git/config),
checkout writes nothing. With --partial it writes the other files and lists
those that it leaves out.`,
		Example: `  digstore checkout out
  digstore checkout 3 out
  digstore checkout --names names.txt out`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeRoots,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, dir := "", args[0]
			if len(args) == 2 {
				which, dir = args[0], args[1]
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.checkout(cmd.Context(), s, which, dir, names, o)
			})
		},
	}
	cmd.Flags().StringVar(&names, "names", "",
		"a `FILE` with the output of digstore urn --all, text or JSON")
	cmd.Flags().BoolVar(&o.Partial, "partial", false,
		"leave out resources without a name that can be a file")
	_ = cmd.MarkFlagFilename("names")
	return cmd
}

func (a *app) checkout(ctx context.Context, s *digstore.Store, which, dir, names string,
	o digstore.CheckoutOptions) error {
	a.resume = "no file was written partially; run the same command again"
	g, err := a.generation(ctx, s, which)
	if err != nil {
		return err
	}
	if names != "" {
		f, err := regular.Open(names)
		if err != nil {
			return err
		}
		defer f.Close()
		list, err := digstore.ParseNames(f)
		if err != nil {
			return usage("give a file with the output of digstore urn --all", "%s: %w", names, err)
		}
		g = g.WithNames(list)
		if _, err := g.KeepNames(ctx); err != nil {
			a.warn("the names were not kept for later: %v", err)
		}
	}
	p := a.progress("checking out")
	defer p.stop()
	o.Progress = p.set
	report, err := g.Checkout(ctx, dir, &o)
	if err != nil {
		return err
	}
	p.stop()
	a.listUnsafe(report.Unsafe)
	left := ""
	if report.Unnamed > 0 {
		left = fmt.Sprintf(", %d without a name left out", report.Unnamed)
	}
	return a.done(struct {
		Root    merkle.Hash  `json:"root"`
		Dir     string       `json:"dir"`
		Files   int          `json:"files"`
		Bytes   int64        `json:"bytes"`
		Unnamed int          `json:"unnamed"`
		Unsafe  []unsafeName `json:"unsafe,omitempty"`
	}{g.Info().Root, dir, report.Files, report.Bytes, report.Unnamed, unsafeNames(report.Unsafe)},
		"%s in %s, %s%s", plural(report.Files, "file", "files"), dir, size(report.Bytes), left)
}
