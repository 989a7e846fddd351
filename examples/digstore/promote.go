package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

func (a *app) promoteCommand() *cobra.Command {
	host := hostFlags{changes: true}
	var anchor chainFlags
	var tokenFile string
	var forceRoutes bool
	cmd := &cobra.Command{
		Use:   "promote [ROOT] [REMOTE]",
		Short: "Make a pending generation the head of the store at a host",
		Long: `Promote makes a generation the head of the store at REMOTE (default: origin),
after digstore push --pending left it there. ROOT names the generation (default:
the local head). If the host no longer has it, promote sends it as push does.`,
		Example: `  digstore push --pending
  digstore promote
  digstore promote 5b1f09ae backup
  digstore promote dig://example.org/ID`,
		Args: cobra.MaximumNArgs(2),
		ValidArgsFunction: func(
			cmd *cobra.Command, args []string, text string,
		) ([]string, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				found, _ := a.completeRoots(cmd, args, text)
				return found, noFiles
			case 1:
				return a.completeRemotes(cmd, nil, text)
			}
			return nil, noFiles
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if host.token, err = pushToken(tokenFile); err != nil {
				return err
			}
			root := ""
			// a lone URL is no root
			if len(args) > 0 && (len(args) > 1 || !strings.Contains(args[0], "://")) {
				root, args = args[0], args[1:]
			}
			ctx, stop := a.within(cmd.Context(), host)
			defer stop()
			return a.withStore(func(s *digstore.Store) error {
				pusher := &remote.Pusher{ForceRoutes: forceRoutes}
				return a.promote(ctx, s, root, orOrigin(args), host, &anchor, pusher)
			})
		},
	}
	host.register(cmd)
	anchor.register(cmd)
	cmd.Flags().StringVar(&tokenFile, "token-file", "",
		"a `FILE` with the token for a first push (default: $DIG_PUSH_TOKEN)")
	cmd.Flags().BoolVar(&forceRoutes, "force-routes", false, "push with PUT to hosts of dig.net too")
	_ = cmd.MarkFlagFilename("token-file")
	return cmd
}

func (a *app) promote(ctx context.Context, s *digstore.Store, text, to string, host hostFlags,
	anchor *chainFlags, pusher *remote.Pusher) error {
	var root merkle.Hash // the head
	if text != "" {
		line, err := findRoot(ctx, s, text)
		if err != nil {
			return err
		}
		root = line.Root
	}
	if err := a.confirmed(ctx, s, root, anchor, false); err != nil {
		return err
	}
	c, err := a.pushTarget(ctx, s, to, host, pusher)
	if err != nil {
		return err
	}
	defer c.Close()
	a.resume = "the host has either the old head or the new one; run the same command again"
	p := a.progress("connecting")
	defer p.stop()
	pusher.Progress = p.transfer("promoting")
	report, err := pusher.Promote(ctx, c, s, root)
	if err != nil {
		return err
	}
	p.stop()
	return a.pushed(report, c.URL())
}
