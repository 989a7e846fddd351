package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
)

func (a *app) gcCommand() *cobra.Command {
	var keep int
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove data that no generation needs",
		Long: `Gc removes chunks that no generation uses, and files that interrupted commands
left behind. With --keep N it also drops the content of all but the newest N
generations; they stay in the history.`,
		Example: `  digstore gc
  digstore gc --keep 3 --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("keep") && keep < 1 {
				return usage("give a number from 1; --keep 1 keeps only the head", "--keep %d: too small", keep)
			}
			return a.withStore(func(s *digstore.Store) error {
				if keep > 0 {
					q := fmt.Sprintf("drop the content of all but the newest %s of store %s",
						plural(keep, "generation", "generations"), s.Name())
					if err := a.confirm(q); err != nil {
						return err
					}
				}
				a.resume = "no needed data was lost; run the same command again"
				p := a.progress("collecting")
				defer p.stop()
				r, err := s.GC(cmd.Context(), &digstore.GCOptions{Keep: keep, Progress: p.set})
				if err != nil {
					return err
				}
				p.stop()
				if r.Transfers > 0 {
					a.note("%s in progress: the chunks that they may need were kept; run gc again later",
						plural(r.Transfers, "transfer is", "transfers are"))
				}
				return a.done(struct {
					Dropped   int   `json:"generations_dropped"`
					Freed     int64 `json:"bytes_freed"`
					Transfers int   `json:"transfers_in_progress"`
				}{len(r.Dropped), r.Freed, r.Transfers}, "%s freed, %s dropped",
					size(r.Freed), plural(len(r.Dropped), "generation", "generations"))
			})
		},
	}
	cmd.Flags().IntVar(&keep, "keep", 0,
		"keep the content of the newest `N` generations only (default: all)")
	return cmd
}
