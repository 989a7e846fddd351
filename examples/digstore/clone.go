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
		Short: "Fetch a store from a host and check every byte of it",
		Long: `Clone fetches the head of a store, checks that chunks, leaves, root and the
publisher's signature agree, and keeps it. With DIR it makes a workspace there;
without, the store goes into the workspace of the current folder, which is made
when there is none, under its id or --name, and becomes the active one.

URL is dig://[owner@]HOST[:PORT]/ID, dig://ID at rpc.dig.net, https://HOST/stores/ID,
http:// on loopback, or a URN, which is looked for at the configured origin.

The publisher key is believed on first use and held from then on, unless the
store id proves it or --publisher or --root say what to believe. A clone that
was broken off goes on where it stopped when it is run again.

With --from, several hosts are asked at once: each is held to all checks, the
bytes come from all that pass, and whoever lies is left out and named.

With --chain, the root that the chain has is the one that is taken.`,
		Example: `  digstore clone dig://example.org/ID
  digstore clone http://127.0.0.1:8443/stores/ID copy
  digstore clone dig://ID mirror --publisher KEY --all
  digstore clone dig://example.org/ID --from https://mirror.example --from dig://other.example`,
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
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
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the store in the workspace (default: its id)")
	return cmd
}

func (a *app) clone(ctx context.Context, text, dir, name string, f *syncFlags) error {
	trust, chain, err := a.believe(&f.trust, &f.chain)
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
	dest, err := a.destination(u, dir, name)
	if err != nil {
		return err
	}
	defer dest.ws.Close()

	a.resume = "what has arrived is kept; run the same command again and it goes on from there"
	p := a.progress("connecting")
	defer p.stop()
	report, err := a.sync(f, trust, p).Clone(ctx, dest.store, from)
	p.stop()
	if err != nil {
		if begun := dest.begun || p.done.Load() > 0; !begun || !goesOn(err) {
			dest.undo()
		}
		return a.because(err, report, f.verbose)
	}
	if err := dest.store.AddRemote("origin", u.String()); err != nil {
		return err
	}
	if err := dest.ws.Use(dest.store.Name()); err != nil {
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
	return a.told(r, f.verbose, "cloned %s at root %s (%d bytes)\ngeneration %d: %s", r.StoreID, r.Root, r.ModuleSize, r.Generation, r.trusted())
}

// cloneSource reads what clone is given. A URN is looked for at the origin of
// the active store, at rpc.dig.net without one, and its root is what is wanted.
func (a *app) cloneSource(text string, trust *remote.Trust) (remote.URL, error) {
	if !strings.HasPrefix(text, "urn:") {
		u, err := remote.ParseURL(text)
		if err == nil && u.Store.IsZero() {
			err = usage("add the store id: "+u.Origin()+"/stores/ID", "%s names a host and no store", text)
		}
		return u, err
	}
	name, err := urn.Parse(text)
	if err != nil {
		return remote.URL{}, usage("a URN is urn:dig:chia:ID[:ROOT]", "%w", err)
	}
	if !name.Root.IsZero() {
		if !trust.Root.IsZero() && trust.Root != name.Root {
			return remote.URL{}, usage("leave --root out", "the URN names another root than --root")
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

// destination is where a clone goes, and what it had to make for it.
type destination struct {
	ws    *digstore.Workspace
	store *digstore.Store
	own   bool   // the workspace is for this clone alone
	made  string // the folder that was made, or "" when it was there
	begun bool   // an earlier run that was broken off made the store
}

// destination opens or makes the workspace and the store. A store that is
// there without a generation is a clone that was broken off: it goes on.
func (a *app) destination(u remote.URL, dir, name string) (_ *destination, err error) {
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
		err = &hinted{fmt.Errorf("%s is a workspace already: %w", dir, fs.ErrExist), "clone into it with: digstore -C " + dir + " clone URL"}
	case errors.Is(err, fs.ErrNotExist):
		if d.store, err = d.ws.Create(u.Store, &digstore.StoreOptions{Name: name}); err != nil {
			d.undo()
		}
	case err == nil:
		d.begun = true
		if _, latest := d.store.Latest(); latest == nil {
			err = &hinted{fmt.Errorf("store %s is here already: %w", u.Store, fs.ErrExist), "bring it up to date with: digstore pull"}
		}
	}
	if err != nil {
		d.ws.Close()
		return nil, err
	}
	return d, nil
}

// holdsStores reports whether a workspace is in use. One that is not is a clone
// that was broken off early.
func holdsStores(ws *digstore.Workspace) bool {
	for range ws.All() {
		return true
	}
	return false
}

// undo takes away what was made for a clone that came to nothing. A store with a key is not the clone's.
func (d *destination) undo() {
	if d.store != nil {
		if _, err := d.store.Signer(); !errors.Is(err, digstore.ErrNoKey) {
			return
		}
		_ = d.ws.Remove(d.store.Name()) // best effort: nothing was installed
	}
	if d.own {
		_ = d.ws.Close()
		_ = os.RemoveAll(filepath.Join(d.ws.Dir(), ".dig"))
	}
	if d.made != "" {
		_ = os.Remove(d.made) // only when nothing else is in it
	}
}

// goesOn reports whether a clone that failed so is worth going on with: the
// origin was not refused, the way was broken.
func goesOn(err error) bool {
	return errors.Is(err, context.Canceled) || exitCode(err) == exitNetwork
}
