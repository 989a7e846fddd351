package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) anchorHistoryCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "history [STORE]",
		Short: "List every coin that the store has had on the chain",
		Long: `History prints the coins of the store, oldest first: the block, its time, the
root, and the role that wrote it. A change of owner repeats the root.`,
		Example: `  digstore anchor history
  digstore anchor history ID --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(
			ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string,
		) error {
			entries, err := r.History(ctx, id)
			if err != nil {
				return err
			}
			return a.printLineage(id, entries)
		}),
	}
	f.register(cmd)
	registerTimeout(cmd, &timeout)
	return cmd
}

func (a *app) printLineage(id auth.StoreID, entries []chain.Entry) error {
	type row struct {
		Generation int         `json:"generation"`
		Root       merkle.Hash `json:"root"`
		CoinID     merkle.Hash `json:"coin_id"`
		Height     uint32      `json:"height"`
		Time       *time.Time  `json:"time,omitempty"`
		By         string      `json:"by"`
	}
	rows := make([]row, 0, len(entries))
	for _, e := range entries {
		r := row{
			Generation: e.Generation, Root: e.Root, CoinID: e.CoinID, Height: e.Height, By: e.By.String(),
		}
		if e.Time != 0 {
			at := time.Unix(int64(e.Time), 0).UTC()
			r.Time = &at
		}
		rows = append(rows, r)
	}
	return a.answer(map[string]any{"store_id": id, "coins": rows}, func(w io.Writer) {
		var cells [][]string
		for _, r := range rows {
			at := "-"
			if r.Time != nil {
				at = r.Time.Local().Format("2006-01-02 15:04:05")
			}
			cells = append(cells, []string{strconv.Itoa(r.Generation), fmt.Sprintf("block %d", r.Height),
				at, r.Root.String(), r.By})
		}
		table(w, cells)
	})
}
