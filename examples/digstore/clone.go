package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/remote"
)

func (a *app) cloneCommand() *cobra.Command {
	var f syncFlags
	var name string
	cmd := &cobra.Command{
		Use:   "clone URL [DIR]",
		Short: "Download a store from a host and check every byte",
		Long: `Clone downloads the head of a store, and checks its chunks, leaves and root and
the publisher's signature. With DIR it makes a new workspace in DIR. Without DIR
it adds the store to the workspace of the current folder (made if there is none)
under the store's id or --name, and makes it the active store.

URL is one of dig://[owner@]HOST[:PORT]/ID, dig://ID (at rpc.dig.net),
https://HOST/stores/ID, http:// for a loopback address, or a URN, which is read
from the origin of the active store, or else from rpc.dig.net.

If the store id does not prove the publisher key, and neither --publisher nor
--root is given, clone trusts the key that the host sends, and pins it: a later
pull refuses any other key.

An interrupted clone continues when it is run again. With --from it downloads
from several hosts at once; every host must pass all checks, and a host that
fails one is left out and named. With --chain it accepts only the root that the
chain names.`,
		Example: `  digstore clone dig://example.org/ID
  digstore clone http://127.0.0.1:8443/stores/ID copy
  digstore clone dig://ID mirror --publisher KEY --all
  digstore clone dig://example.org/ID --from https://mirror.example --from dig://other.example`,
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string,
			cobra.ShellCompDirective) {
			if len(args) == 1 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := ""
			if len(args) == 2 {
				dir = args[1]
			}
			return a.clone(cmd.Context(), args[0], dir, name, &f)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&name, "name", "",
		"the `NAME` of the store in the workspace (default: its id)")
	return cmd
}

func (a *app) clone(ctx context.Context, text, dir, name string, f *syncFlags) error {
	trust, chain, err := a.trustOf(&f.trust, &f.chain)
	if err != nil {
		return err
	}
	u, err := a.cloneSource(text, &trust)
	if err != nil {
		return err
	}
	ctx, stop := a.within(ctx, f.host)
	defer stop()
	from, done, err := a.origin(ctx, u, f)
	if err != nil {
		return err
	}
	defer done()
	if name == "" {
		name = u.Store.String()
	}
	dest, err := a.destination(ctx, u, dir, name)
	if err != nil {
		return err
	}
	defer dest.ws.Close()

	a.resume = resumeTransfer
	p := a.progress("connecting")
	defer p.stop()
	report, err := a.sync(f, trust, p).Clone(ctx, dest.store, from)
	p.stop()
	if err != nil {
		started := dest.existed || p.done.Load() > 0
		if !started || !resumable(err) {
			dest.undo()
		}
		return a.withReport(err, report, f.verbose)
	}
	if err := dest.store.AddRemote(ctx, "origin", u.String()); err != nil {
		return err
	}
	if err := dest.ws.Use(ctx, dest.store.Name()); err != nil {
		return err
	}
	a.warnReport(report)
	r, err := newReceived(dest.store, report)
	if err == nil {
		r.Anchor, err = a.anchorOf(ctx, chain, r.StoreID)
	}
	if err != nil {
		return err
	}
	return a.printReceived(r, f.verbose, "cloned %s at root %s (%d bytes)\ngeneration %d: %s",
		r.StoreID, r.Root, r.ModuleSize, r.Generation, r.trusted())
}

// cloneSource parses the URL or URN of clone. A URN is read from the origin of the
// active store, or else from rpc.dig.net; its root becomes trust.Root.
func (a *app) cloneSource(text string, trust *remote.Trust) (remote.URL, error) {
	if !strings.HasPrefix(text, "urn:") {
		u, err := remote.ParseURL(text)
		if err == nil && u.Store.IsZero() {
			err = usage("add the store id: "+u.Origin()+"/stores/ID", "%s does not name a store", text)
		}
		return u, err
	}
	name, err := urn.Parse(text)
	if err != nil {
		return remote.URL{}, usage("a URN is urn:dig:chia:ID[:ROOT]", "%w", err)
	}
	if !name.Root.IsZero() {
		if !trust.Root.IsZero() && trust.Root != name.Root {
			return remote.URL{}, usage("leave --root out", "--root and the URN name different roots")
		}
		trust.Root = name.Root
	}
	origin := "dig://" + remote.DefaultHost
	if ws, err := a.workspace(); err == nil {
		defer ws.Close()
		if s, err := a.pick(ws); err == nil {
			if origin, err = s.Remote("origin"); err != nil {
				return remote.URL{}, err
			}
		}
	}
	u, err := remote.ParseURL(origin)
	if err != nil {
		return remote.URL{}, err
	}
	u.Store = name.Store
	return u, nil
}

// destination is the workspace and the store of a clone.
type destination struct {
	ws      *digstore.Workspace
	store   *digstore.Store
	own     bool   // the workspace was made for this clone
	made    string // the folder that was made, "" if it existed
	existed bool   // an interrupted clone made the store
}

// destination opens or makes the workspace and the store. A store without a
// generation is an interrupted clone, which continues.
func (a *app) destination(ctx context.Context, u remote.URL,
	dir, name string) (_ *destination, err error) {
	d := &destination{own: dir != ""}
	if d.own {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			d.made = dir
		}
		open := func(o *digstore.Options) (*digstore.Workspace, error) { return digstore.Open(dir, o) }
		if d.ws, err = openWith(open); errors.Is(err, digstore.ErrNoWorkspace) {
			d.ws, err = digstore.Init(dir, nil)
		}
	} else {
		d.ws, err = a.findOrInit()
	}
	if err != nil {
		return nil, err
	}
	d.store, err = d.ws.Store(u.Store.String())
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.own && holdsStores(d.ws):
		err = &hinted{
			fmt.Errorf("%s is a workspace already: %w", dir, fs.ErrExist),
			"clone into it with: digstore -C " + dir + " clone URL",
		}
	case errors.Is(err, fs.ErrNotExist):
		if d.store, err = d.ws.Create(ctx, u.Store, &digstore.StoreOptions{Name: name}); err != nil {
			d.undo()
		}
	case err == nil:
		d.existed = true
		if _, latest := d.store.Latest(); latest == nil {
			err = &hinted{
				fmt.Errorf("store %s is here already: %w", u.Store, fs.ErrExist),
				"download new generations with: digstore pull",
			}
		}
	}
	if err != nil {
		d.ws.Close()
		return nil, err
	}
	return d, nil
}

// holdsStores reports whether a workspace has stores. One without stores is left by a
// clone that was interrupted early.
func holdsStores(ws *digstore.Workspace) bool {
	for range ws.All() {
		return true
	}
	return false
}

// undo removes the files of a failed clone. It keeps a store with a key, which the
// clone did not make.
func (d *destination) undo() {
	if d.store != nil {
		if _, err := d.store.Signer(); !errors.Is(err, digstore.ErrNoKey) {
			return
		}
		// Best effort: nothing was installed. It is done after an interrupt too.
		_ = d.ws.Remove(context.Background(), d.store.Name())
	}
	if d.own {
		_ = d.ws.Close()
		_ = os.RemoveAll(filepath.Join(d.ws.Dir(), ".dig"))
	}
	if d.made != "" {
		_ = os.Remove(d.made) // only when nothing else is in it
	}
}

// resumeTransfer is the hint after an interrupted clone or pull.
const resumeTransfer = "what was downloaded is kept; run the same command again to continue"

// resumable reports whether a clone that failed with err can continue: the connection
// failed, or the user interrupted it, but no check failed.
func resumable(err error) bool {
	return errors.Is(err, context.Canceled) || exitCode(err) == exitNetwork
}
