package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"
)

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
