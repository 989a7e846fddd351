package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote"
)

func (a *app) pullCommand() *cobra.Command {
	var f syncFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "pull [REMOTE]",
		Short: "Download new generations from a host",
		Long: `Pull downloads the generations that REMOTE has and this store does not. REMOTE is
the name of a remote or a URL (default: origin). Pull makes the same checks as
clone, and downloads only what has changed if the host supports that.

Pull refuses a host that went back to an older root, has a different history, or
sends another publisher key. It keeps the evidence in the store's folder.

--dry-run prints what a pull would download, and changes nothing.`,
		Example: `  digstore pull
  digstore pull backup --dry-run
  digstore pull https://example.org --from dig://mirror.example`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRemotes,
		RunE: func(cmd *cobra.Command, args []string) error {
			pull := a.pull
			if dry {
				pull = a.dryPull
			}
			ctx, stop := a.within(cmd.Context(), f.host)
			defer stop()
			return a.withStore(func(s *digstore.Store) error {
				return pull(ctx, s, orOrigin(args), &f)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false,
		"print what would be downloaded, and change nothing")
	return cmd
}

func (a *app) pull(ctx context.Context, s *digstore.Store, where string, f *syncFlags) error {
	trust, chain, err := a.trustOf(&f.trust, &f.chain)
	if err != nil {
		return err
	}
	from, done, err := a.pullSource(ctx, s, where, f)
	if err != nil {
		return err
	}
	defer done()
	a.resume = resumeTransfer
	p := a.progress("connecting")
	defer p.stop()
	report, err := a.sync(f, trust, p).Pull(ctx, s, from)
	p.stop()
	if err != nil {
		return a.withReport(err, report, f.verbose)
	}
	a.warnReport(report)
	r, err := newReceived(s, report)
	if err == nil {
		r.Anchor, err = a.anchorOf(ctx, chain, r.StoreID)
	}
	if err != nil {
		return err
	}
	if r.UpToDate {
		return a.printReceived(r, f.verbose, "already up to date at %s", r.Root)
	}
	return a.printReceived(r, f.verbose, "pulled; local root is now %s\ngeneration %d: %s",
		r.Root, r.Generation, r.trusted())
}

// pullSource returns the origin of a pull. The caller calls done.
func (a *app) pullSource(ctx context.Context, s *digstore.Store, where string,
	f *syncFlags) (from remote.Origin, done func(), err error) {
	u, err := f.host.locate(s, where)
	if err != nil {
		return nil, nil, err
	}
	return a.origin(ctx, u, f)
}

// dryPull prints what a pull would download.
func (a *app) dryPull(ctx context.Context, s *digstore.Store, where string,
	f *syncFlags) error {
	trust, _, err := a.trustOf(&f.trust, &f.chain)
	if err != nil {
		return err
	}
	from, done, err := a.pullSource(ctx, s, where, f)
	if err != nil {
		return err
	}
	defer done()
	a.resume = "nothing was changed; run the same command again"
	p := a.progress("connecting")
	defer p.stop()
	preview, err := a.sync(f, trust, p).Preview(ctx, s, from)
	p.stop()
	if err != nil {
		return err
	}
	return a.answer(preview, func(w io.Writer) {
		if preview.UpToDate && len(preview.ToFetch) == 0 {
			fmt.Fprintf(w, "already up to date at %s\n", preview.Root)
		} else if !preview.UpToDate {
			fmt.Fprintf(w, "a pull would bring %s, to root %s\n",
				plural(preview.Lines, "generation", "generations"), preview.Root)
		}
		var rows [][]string
		for _, c := range preview.ToFetch {
			name := fmt.Sprintf("  generation %d", c.Generation)
			rows = append(rows, []string{name, c.Root.String(), sized(c.Size), coming(c)})
		}
		table(w, rows)
		if f.verbose {
			a.writeReport(w, &remote.Report{Checks: preview.Checks, Origins: preview.Origins})
		}
	})
}

func sized(n int64) string {
	if n < 0 {
		return "unknown size"
	}
	return size(n)
}

// coming describes what of a generation would be downloaded.
func coming(c remote.PreviewGeneration) string {
	switch {
	case c.Transfer < 0 || c.Transfer == c.Size:
		return "to download completely"
	case c.Recipe:
		return size(c.Transfer) + " to download: what has changed"
	}
	return size(c.Transfer) + " to download; the rest is here"
}
