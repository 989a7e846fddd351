package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) anchorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "anchor",
		Short: "Read what the chain says about a store",
		Long: `A store may have a coin on Chia's chain that says which root counts, which
counted before, and who may write. Anchor reads it from a source that is not
believed beyond its form: what hashes can check is checked.

Clone, pull, push and promote hold themselves to it with the same --chain.`,
		Example: `  digstore anchor use https://api.coinset.org
  digstore anchor show
  digstore anchor verify`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.anchorShowCommand(), a.anchorHistoryCommand(), a.anchorVerifyCommand(), a.anchorWritersCommand(), a.anchorUseCommand())
	return cmd
}

// storeID is the store that a command of anchor is about: a name, an id or a
// URN; the active one where args name none.
func (a *app) storeID(args []string) (id auth.StoreID, err error) {
	text := optional(args)
	if u, err := urn.Parse(text); err == nil {
		return u.Store, nil
	}
	if id, err := auth.ParseStoreID(text); err == nil {
		return id, nil
	}
	if text != "" {
		a.store = text
	}
	err = a.withStore(func(s *digstore.Store) error {
		id = s.ID()
		return nil
	})
	return id, err
}

// anchorRun is the frame of the commands that ask the chain about a store.
func (a *app) anchorRun(f *chainFlags, timeout *time.Duration, run func(context.Context, *chain.Resolver, auth.StoreID, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		r, err := a.required(f)
		if err != nil {
			return err
		}
		id, err := a.storeID(args)
		if err != nil {
			return err
		}
		a.resume = "nothing was changed; run the same command again"
		ctx, stop := a.within(cmd.Context(), hostFlags{timeout: *timeout})
		defer stop()
		return run(ctx, r, id, args)
	}
}

// registerTimeout is --timeout of the commands that ask the chain alone.
func registerTimeout(cmd *cobra.Command, timeout *time.Duration) {
	cmd.Flags().DurationVar(timeout, "timeout", 0, "give up after this `TIME` in all, as 90s or 10m")
}

func (a *app) anchorShowCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "show [STORE]",
		Short: "Show the store's newest generation on the chain",
		Long: `Show prints what the newest coin of the store says, and how deep it is. STORE is
a name, an id or a URN; without it, the active store.`,
		Example: `  digstore anchor show
  digstore anchor show urn:dig:chia:ID --chain full-node --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string) error {
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
	}{StoreID: t.Store, Root: t.Root(), anchored: newAnchored(t), CoinID: t.CoinID(), Bytes: t.Metadata.Bytes,
		Label: text(t.Metadata.Label), Description: text(t.Metadata.Description), PendingAt: t.PendingHeight, MeltedAt: t.MeltedHeight}
	if t.OwnerKnown {
		v.Owner = &t.Owner
	}
	if t.Pending != nil {
		root := t.Pending.Root()
		v.PendingRoot = &root
	}
	return a.answer(v, func(w io.Writer) {
		rows := [][]string{{"store", v.StoreID.String()}, {"root", v.Root.String()}, {"status", v.anchored.String()}, {"coin", v.CoinID.String()}}
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
			rows = append(rows, []string{"melted", fmt.Sprintf("in block %d: the store is no more", v.MeltedAt)})
		case v.PendingRoot != nil:
			rows = append(rows, []string{"pending", fmt.Sprintf("root %s in block %d", v.PendingRoot, v.PendingAt)})
		case v.PendingAt != 0:
			rows = append(rows, []string{"pending", fmt.Sprintf("something in block %d", v.PendingAt)})
		}
		table(w, rows)
	})
}

// text is what stands on the chain, "" where nothing does.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a *app) anchorHistoryCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "history [STORE]",
		Short: "List every coin the store has had on the chain",
		Long: `History prints the lineage of the store, oldest first: the block, its time, the
root, and who wrote it. Changes of owner repeat the root.`,
		Example: `  digstore anchor history
  digstore anchor history ID --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string) error {
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
		r := row{Generation: e.Generation, Root: e.Root, CoinID: e.CoinID, Height: e.Height, By: e.By.String()}
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
			cells = append(cells, []string{strconv.Itoa(r.Generation), "block " + strconv.FormatUint(uint64(r.Height), 10), at, r.Root.String(), r.By})
		}
		table(w, cells)
	})
}

func (a *app) anchorVerifyCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	var root string
	var ever bool
	cmd := &cobra.Command{
		Use:   "verify [STORE]",
		Short: "Check that the head here is the root on the chain",
		Long: `Verify asks whether the head of the store, or --root, is its newest root on the
chain; with --any, whether it ever was one.`,
		Example: `  digstore anchor verify
  digstore anchor verify --root 0 --any`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string) error {
			h, err := a.rootToVerify(ctx, id, root)
			if err != nil {
				return err
			}
			mode, how := chain.TipOnly, "the newest root"
			if ever {
				mode, how = chain.AnyGeneration, "a root"
			}
			if err := r.VerifyRoot(ctx, id, h, mode); err != nil {
				return err
			}
			v, err := a.anchorOf(ctx, r, id)
			if err != nil {
				return err
			}
			return a.done(map[string]any{"store_id": id, "root": h, "anchor": v}, "root %s is %s of the store on the chain\n%s", h, how, v)
		}),
	}
	f.register(cmd)
	registerTimeout(cmd, &timeout)
	cmd.Flags().StringVar(&root, "root", "", "the `ROOT` to look for: a root, its first digits, or a number (default: the head)")
	cmd.Flags().BoolVar(&ever, "any", false, "any root that the store has had will do")
	_ = cmd.RegisterFlagCompletionFunc("root", a.completeRoots)
	return cmd
}

// rootToVerify is a root by itself, or a generation of the store here.
func (a *app) rootToVerify(ctx context.Context, id auth.StoreID, text string) (root merkle.Hash, err error) {
	if root, err = merkle.ParseHash(text); err == nil {
		return root, nil
	}
	a.store = id.String()
	err = a.withStore(func(s *digstore.Store) error {
		g, err := a.generation(ctx, s, text)
		if err == nil {
			root = g.Info().Root
		}
		return err
	})
	return root, err
}

func (a *app) anchorWritersCommand() *cobra.Command {
	var f chainFlags
	var timeout time.Duration
	var keyText string
	cmd := &cobra.Command{
		Use:   "writers [STORE]",
		Short: "List who may write, by the chain",
		Long: `Writers prints the owner and the delegates of the store as puzzle hashes and
addresses. With --key it says which role that key has in the newest settled
generation; --key mine is the publisher key of the store here.`,
		Example: `  digstore anchor writers
  digstore anchor writers --key mine`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeStores,
		RunE: a.anchorRun(&f, &timeout, func(ctx context.Context, r *chain.Resolver, id auth.StoreID, _ []string) error {
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
	cmd.Flags().StringVar(&keyText, "key", "", "the role of this `KEY`, or of mine")
	return cmd
}

func (a *app) roleOf(ctx context.Context, r *chain.Resolver, id auth.StoreID, keyText string) error {
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
	v := map[string]any{"store_id": id, "public_key": key, "role": role.String(), "may_write": role.MayWrite() && settled, "settled": settled}
	if !settled {
		return a.done(v, "%.16s… will be %s once that is settled: %v", key, role, err)
	}
	return a.done(v, "%.16s… is %s", key, role)
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
			rows = append(rows, row{d.Role.String(), d.Puzzle, chain.Address(prefix, d.Puzzle), d.Fee})
		}
	}
	known := t.OwnerKnown && t.DelegatesKnown
	if !known {
		a.warn("the chain does not show all who may write")
	}
	return a.answer(map[string]any{"store_id": t.Store, "status": t.Status, "complete": known, "writers": rows}, func(w io.Writer) {
		var cells [][]string
		for _, r := range rows {
			cells = append(cells, []string{r.Role, r.PuzzleHash.String(), r.Address})
		}
		table(w, cells)
	})
}

func (a *app) anchorUseCommand() *cobra.Command {
	var network, chiaRoot string
	cmd := &cobra.Command{
		Use:   "use SOURCE...",
		Short: "Say where the chain is read when --chain does not",
		Long: `Use writes the sources to config.toml beside the identity key: URLs of hosts
that speak as a full node does, or full-node for one's own. Several have to
agree. From then on every clone, pull and push is held to the chain, and refused
where it cannot be read; --chain none is the exception. "use none" goes back.`,
		Example: `  digstore anchor use https://api.coinset.org
  digstore anchor use full-node --chia-root ~/.chia/mainnet
  digstore anchor use none`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"full-node", "none"}, noFiles
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.anchorUse(args, network, chiaRoot) },
	}
	cmd.Flags().StringVar(&network, "network", "", "the `NAME` of the network (default: mainnet)")
	cmd.Flags().StringVar(&chiaRoot, "chia-root", "", "the `DIR` with a full node's certificates")
	_ = cmd.MarkFlagDirname("chia-root")
	return cmd
}

func (a *app) anchorUse(sources []string, network, chiaRoot string) error {
	if _, err := a.resolver(&chainFlags{sources: sources, network: network, chiaRoot: chiaRoot}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	c.Chain.Sources, c.Chain.Network, c.Chain.ChiaRoot = sources, network, chiaRoot
	if len(sources) == 1 && sources[0] == "none" {
		c.Chain.Sources = nil
	}
	path, err := c.write()
	if err != nil {
		return err
	}
	v := map[string]any{"file": path, "sources": sources}
	if len(c.Chain.Sources) == 0 {
		return a.done(v, "the chain is not read unless --chain says so")
	}
	return a.done(v, "the chain is read at %s", sources)
}
