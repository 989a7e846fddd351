package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) anchorWritersCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	var keyText string
	cmd := &cobra.Command{
		Use:   "writers [STORE]",
		Short: "List the keys that may write, according to the chain",
		Long: `Writers prints the owner and the delegates of the store as puzzle hashes and
addresses. With --key it prints the role of that key in the newest settled
generation; "--key mine" is the publisher key of the local store.`,
		Example: `  digstore anchor writers
  digstore anchor writers --key mine`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(
			ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string,
		) error {
			if keyText != "" {
				return a.roleOf(ctx, r, id, keyText)
			}
			t, err := r.Tip(ctx, id)
			if err != nil {
				return err
			}
			return a.printWriters(t, f.network)
		}),
	}
	f.register(cmd)
	registerTimeout(cmd, &timeout)
	cmd.Flags().StringVar(&keyText, "key", "", "print the role of this public `KEY`, or of \"mine\"")
	return cmd
}

func (a *app) roleOf(ctx context.Context, r *chain.Resolver, id auth.StoreID,
	keyText string) error {
	var key auth.PublicKey
	var err error
	if keyText == "mine" {
		a.store = id.String()
		err = a.withStore(func(s *digstore.Store) error {
			k, err := s.Signer()
			if err == nil {
				key = k.PublicKey()
			}
			return err
		})
	} else if key, err = auth.ParsePublicKey(keyText); err != nil {
		err = usage("a public key is 96 hex digits", "--key: %w", err)
	}
	if err != nil {
		return err
	}
	role, err := r.CanWrite(ctx, id, key)
	settled := !errors.Is(err, chain.ErrShallow)
	if err != nil && settled {
		return err
	}
	v := map[string]any{
		"store_id": id, "public_key": key, "role": role.String(),
		"may_write": role.MayWrite() && settled, "settled": settled,
	}
	if !settled {
		return a.done(v, "key %.16s… is %s, not settled yet: %v", key, role, err)
	}
	return a.done(v, "key %.16s… is %s", key, role)
}

func (a *app) printWriters(t *chain.Tip, network string) error {
	type row struct {
		Role       string      `json:"role"`
		PuzzleHash merkle.Hash `json:"puzzle_hash"`
		Address    string      `json:"address"`
		Fee        uint64      `json:"fee,omitempty"` // of an oracle, in mojos
	}
	prefix := chain.PrefixTestnet
	if orMainnet(network) == chain.Mainnet {
		prefix = chain.PrefixXCH
	}
	rows := []row{}
	if t.OwnerKnown {
		rows = append(rows, row{chain.RoleOwner.String(), t.Owner, chain.Address(prefix, t.Owner), 0})
	}
	if t.DelegatesKnown {
		for _, d := range t.Delegates {
			r := row{d.Role.String(), d.Puzzle, chain.Address(prefix, d.Puzzle), d.Fee}
			rows = append(rows, r)
		}
	}
	known := t.OwnerKnown && t.DelegatesKnown
	if !known {
		a.warn("the list is incomplete: the chain does not show all writers")
	}
	v := map[string]any{"store_id": t.Store, "status": t.Status, "complete": known, "writers": rows}
	return a.answer(v, func(w io.Writer) {
		var cells [][]string
		for _, r := range rows {
			cells = append(cells, []string{r.Role, r.PuzzleHash.String(), r.Address})
		}
		table(w, cells)
	})
}
