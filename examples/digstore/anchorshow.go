package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) anchorShowCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "show [STORE]",
		Short: "Show the store's newest generation on the chain",
		Long: `Show prints the newest coin of the store and how many blocks confirm it. STORE is
a name, an id or a URN (default: the active store).`,
		Example: `  digstore anchor show
  digstore anchor show urn:dig:chia:ID --chain full-node --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(
			ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string,
		) error {
			t, err := r.Tip(ctx, id)
			if err != nil {
				return err
			}
			return a.printTip(t)
		}),
	}
	f.register(cmd)
	registerTimeout(cmd, &timeout)
	return cmd
}

func (a *app) printTip(t *chain.Tip) error {
	v := struct {
		StoreID auth.StoreID `json:"store_id"`
		Root    merkle.Hash  `json:"root"`
		*anchored
		CoinID      merkle.Hash  `json:"coin_id"`
		Owner       *merkle.Hash `json:"owner_puzzle_hash,omitempty"`
		Label       string       `json:"label,omitempty"`
		Description string       `json:"description,omitempty"`
		Bytes       *uint64      `json:"bytes,omitempty"`
		PendingRoot *merkle.Hash `json:"pending_root,omitempty"`
		PendingAt   uint32       `json:"pending_height,omitempty"`
		MeltedAt    uint32       `json:"melted_height,omitempty"`
	}{
		StoreID: t.Store, Root: t.Root(), anchored: newAnchored(t), CoinID: t.CoinID(),
		Bytes: t.Metadata.Bytes, Label: text(t.Metadata.Label),
		Description: text(t.Metadata.Description),
		PendingAt:   t.PendingHeight, MeltedAt: t.MeltedHeight,
	}
	if t.OwnerKnown {
		v.Owner = &t.Owner
	}
	if t.Pending != nil {
		root := t.Pending.Root()
		v.PendingRoot = &root
	}
	return a.answer(v, func(w io.Writer) {
		rows := [][]string{
			{"store", v.StoreID.String()}, {"root", v.Root.String()},
			{"status", v.anchored.String()}, {"coin", v.CoinID.String()},
		}
		if v.Label != "" {
			rows = append(rows, []string{"label", v.Label})
		}
		if v.Description != "" {
			rows = append(rows, []string{"description", v.Description})
		}
		if v.Owner != nil {
			rows = append(rows, []string{"owner", v.Owner.String()})
		}
		switch {
		case v.MeltedAt != 0:
			rows = append(rows, []string{"melted",
				fmt.Sprintf("in block %d: the store was destroyed", v.MeltedAt)})
		case v.PendingRoot != nil:
			rows = append(rows, []string{"pending",
				fmt.Sprintf("root %s in block %d", v.PendingRoot, v.PendingAt)})
		case v.PendingAt != 0:
			rows = append(rows, []string{"pending",
				fmt.Sprintf("a change in block %d, not read yet", v.PendingAt)})
		}
		table(w, rows)
	})
}

// text returns *s, or "" for nil.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
