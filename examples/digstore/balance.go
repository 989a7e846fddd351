package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) balanceCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "balance ADDRESS",
		Short: "Show the XCH and DIG at an address",
		Long: `Balance prints the XCH and DIG at an address (xch1…) or puzzle hash. It only
reads the chain. The amount of DIG is what the source reports and is not
verified.`,
		Example: `  digstore balance xch1… --chain https://api.coinset.org
  digstore balance xch1… --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.required(&f)
			if err != nil {
				return err
			}
			ctx, stop := a.within(cmd.Context(), hostFlags{timeout: timeout})
			defer stop()
			return a.balance(ctx, r, args[0])
		},
	}
	f.register(cmd)
	registerTimeout(cmd, &timeout)
	return cmd
}

func (a *app) balance(ctx context.Context, r *chain.Resolver, text string) error {
	owner, err := merkle.ParseHash(text)
	if err != nil {
		if _, owner, err = chain.ParseAddress(text); err != nil {
			return usage("give an address that begins with xch1 or txch1, or a puzzle hash", "%w", err)
		}
	}
	a.resume = "nothing was changed; run the same command again"
	xch, err := r.Balance(ctx, owner, merkle.Hash{})
	if err != nil {
		return err
	}
	dig, err := r.Balance(ctx, owner, chain.DIG())
	if err != nil {
		return err
	}
	type amounts struct {
		Amount   uint64 `json:"amount"`
		Coins    int    `json:"coins"`
		Verified bool   `json:"verified"`
	}
	v := struct {
		PuzzleHash merkle.Hash `json:"puzzle_hash"`
		XCH        amounts     `json:"xch"` // in mojos: 10^12 are 1 XCH
		DIG        amounts     `json:"dig"` // in units of 0.001 DIG
	}{owner, amounts(xch), amounts(dig)}
	return a.answer(v, func(w io.Writer) {
		table(w, [][]string{
			{"XCH", decimal(xch.Amount, 12), plural(xch.Coins, "coin", "coins")},
			{"DIG", decimal(dig.Amount, 3), plural(dig.Coins, "coin", "coins")},
		})
		if dig.Coins > 0 && !dig.Verified {
			a.note("the amount of DIG is not verified: it may count coins that are not DIG")
		}
	})
}

// decimal formats an amount with that many digits after the decimal point.
func decimal(n uint64, digits int) string {
	s := fmt.Sprintf("%0*d", digits+1, n)
	whole, part := s[:len(s)-digits], strings.TrimRight(s[len(s)-digits:], "0")
	if part == "" {
		return whole
	}
	return whole + "." + part
}
