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
		Short: "Write a generation out as a folder",
		Long: `Checkout writes every resource of a generation below DIR, each checked as it is
opened. A generation holds hashes of names, not names; they are known for one's
own commits and for stores made with --listed. Otherwise the publisher's list,
made with "digstore urn --all", is given with --names. The store keeps the names
that it has learned, for all of its generations. When names are missing nothing
is written, unless --partial asks for what can be named. So it is with names that
cannot be files, such as .git/config: --partial leaves them out and lists them.`,
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
	cmd.Flags().StringVar(&names, "names", "", "a `FILE` with the names, as urn --all prints them, text or JSON")
	cmd.Flags().BoolVar(&o.Partial, "partial", false, "write what has a name that can be a file, and leave out the rest")
	_ = cmd.MarkFlagFilename("names")
	return cmd
}

func (a *app) checkout(ctx context.Context, s *digstore.Store, which, dir, names string, o digstore.CheckoutOptions) error {
	a.resume = "no file is half written; run the same command again"
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
			return usage("give what digstore urn --all printed", "%s: %w", names, err)
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
		left = fmt.Sprintf(", %d left out for want of a name", report.Unnamed)
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
