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
		Short: "Set the default sources of the chain",
		Long: `Use writes the sources to config.toml beside the identity key. A source is the
URL of a host with the RPC of a Chia full node, or full-node for your own node.
Several sources must agree. From then on clone, pull and push accept only the
root that the chain names, and fail when the chain cannot be read. --chain none
makes an exception for one command; "anchor use none" removes the setting.`,
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
	flags := &chainFlags{sources: sources, network: network, chiaRoot: chiaRoot}
	_, err := a.resolver(flags)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
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
		return a.done(v, "the chain is read only with --chain")
	}
	return a.done(v, "the chain is read from %s", sources)
}
