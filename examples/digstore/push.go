package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

func (a *app) pushCommand() *cobra.Command {
	host := hostFlags{changes: true}
	var tokenFile string
	var anchor chainFlags
	var pending, headOnly, forceRoutes bool
	cmd := &cobra.Command{
		Use:   "push [REMOTE]",
		Short: "Upload new generations to a host",
		Long: `Push uploads the generations that REMOTE does not have. REMOTE is the name of a
remote or a URL (default: origin). The host accepts them because the publisher
signed them; the signature is part of each generation, so a clone can be pushed
without the publisher key. Push uploads only what has changed if the host
supports that.

With --pending the new generation stays pending at the host until digstore
promote makes it the head. With --chain push accepts only the root that the chain
names as the new head.

The first push of a store needs permission: the host allows the store's id, or
you have a token (--token-file FILE, or the variable DIG_PUSH_TOKEN). Hosts of
dig.net publish through a wallet; --force-routes pushes directly anyway.`,
		Example: `  digstore push
  digstore push http://127.0.0.1:8444
  digstore push backup --token-file token.txt`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRemotes,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if host.token, err = pushToken(tokenFile); err != nil {
				return err
			}
			pusher := &remote.Pusher{Pending: pending, HeadOnly: headOnly, ForceRoutes: forceRoutes}
			ctx, stop := a.within(cmd.Context(), host)
			defer stop()
			return a.withStore(func(s *digstore.Store) error {
				if err := a.confirmed(ctx, s, merkle.Hash{}, &anchor, pending); err != nil {
					return err
				}
				return a.push(ctx, s, orOrigin(args), host, pusher)
			})
		},
	}
	host.register(cmd)
	anchor.register(cmd)
	cmd.Flags().StringVar(&tokenFile, "token-file", "",
		"a `FILE` with the token for a first push (default: $DIG_PUSH_TOKEN)")
	cmd.Flags().BoolVar(&pending, "pending", false,
		"upload the new generation without making it the head")
	cmd.Flags().BoolVar(&headOnly, "head-only", false,
		"upload the head only, without the generations before it")
	cmd.Flags().BoolVar(&forceRoutes, "force-routes", false, "push with PUT to hosts of dig.net too")
	_ = cmd.MarkFlagFilename("token-file")
	return cmd
}

func (a *app) push(ctx context.Context, s *digstore.Store, to string, host hostFlags,
	pusher *remote.Pusher) error {
	c, err := a.pushTarget(ctx, s, to, host, pusher)
	if err != nil {
		return err
	}
	defer c.Close()
	a.resume = "the host has either the old head or the new one; run the same command again"
	p := a.progress("connecting")
	defer p.stop()
	pusher.Progress = p.transfer("uploading")
	report, err := pusher.Push(ctx, c, s)
	if err != nil {
		return err
	}
	p.stop()
	return a.pushed(report, c.URL())
}

// confirmed checks that the chain names root, if a source is configured. A zero
// root means the store's head. A pending generation need not be on the chain.
func (a *app) confirmed(ctx context.Context, s *digstore.Store, root merkle.Hash, f *chainFlags,
	pending bool) error {
	r, err := a.resolver(f)
	if r == nil || err != nil || pending {
		return err
	}
	if root.IsZero() {
		head, err := s.Head(ctx)
		if err != nil {
			return err
		}
		root = head.Root
	}
	err = r.VerifyRoot(ctx, s.ID(), root, chain.TipOnly)
	if errors.Is(err, chain.ErrNotAnchored) {
		return &hinted{err,
			"run digstore push --pending, write the root to the chain, then run digstore promote"}
	}
	if err != nil {
		return err
	}
	_, err = a.anchorOf(ctx, r, s.ID())
	return err
}

// pushTarget returns the client of the host to push to. It sets the signer of
// pusher if the store's key is here.
func (a *app) pushTarget(ctx context.Context, s *digstore.Store, to string, host hostFlags,
	pusher *remote.Pusher) (*remote.Client, error) {
	u, err := host.locate(s, to)
	if err != nil {
		return nil, err
	}
	a.warnSamePlace(u)
	host.forms = s
	if key, err := s.Signer(); err == nil {
		pusher.Signer = key
	} else if !errors.Is(err, digstore.ErrNoKey) {
		return nil, err
	}
	return a.client(ctx, u, host)
}

// pushed prints the report of a push or a promotion.
func (a *app) pushed(r *remote.PushReport, at remote.URL) error {
	v := struct {
		PushedRoot merkle.Hash   `json:"pushed_root"`
		Pushed     []merkle.Hash `json:"pushed"`
		Remote     string        `json:"remote"`
		Bytes      int64         `json:"bytes"`
		BytesSent  int64         `json:"bytes_sent"`
		UpToDate   bool          `json:"up_to_date"`
		Pending    bool          `json:"pending"`
		Claimed    bool          `json:"claimed"`
	}{
		PushedRoot: r.Root, Pushed: r.Pushed, Remote: at.Endpoint(), Bytes: r.Bytes,
		BytesSent: r.Sent, UpToDate: r.UpToDate, Pending: r.Pending,
	}
	switch {
	case r.UpToDate:
		return a.done(v, "%s is up to date at %s", at.Origin(), r.Root)
	case r.Pending:
		return a.done(v, "left root %s pending at %s (%s sent of %s)",
			r.Root, at.Origin(), size(r.Sent), size(r.Bytes))
	}
	return a.done(v, "pushed root %s to %s\n%s sent of %s",
		r.Root, at.Origin(), size(r.Sent), size(r.Bytes))
}

// pushToken returns the token for a first push, "" if there is none.
func pushToken(file string) (string, error) {
	if file == "" {
		return os.Getenv("DIG_PUSH_TOKEN"), nil
	}
	return readToken(file)
}
