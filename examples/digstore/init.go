package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
)

func (a *app) initCommand() *cobra.Command {
	var dir, id string
	var o digstore.StoreOptions
	var longest amount
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Make a store, and the workspace around it when there is none",
		Long: `Init makes a store called NAME with a publisher key of its own, and makes it
the active one. The store's id is the SHA-256 of the publisher's public key;
--id takes a launcher id that was minted elsewhere instead.

The store is kept in the nearest workspace, from the current folder upwards, or
else under .dig in the current folder. --dir names the content
root: the folder that a commit publishes when nothing was staged by hand.`,
		Example: `  digstore init site --dir site
  digstore init diary --private
  digstore init site --dir public --listed     clones can list the files`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			o.ContentRoot, o.Activate, o.MaxSize = dir, true, int64(longest)
			return a.init(id, &o)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the content root: the folder that commits publish")
	cmd.Flags().StringVar(&id, "id", "", "launcher `ID` of the store, 64 hex digits (default: hash of the publisher key)")
	cmd.Flags().BoolVar(&o.Private, "private", false, "seal with a secret salt: a URN alone does not open the content")
	cmd.Flags().BoolVar(&o.Listed, "listed", false, "put the list of names into every generation, for everyone to see")
	cmd.Flags().Var(&longest, "max-size", "the most content that a generation may have, a `SIZE` as 500MB (default: 128MB)")
	cmd.MarkFlagsMutuallyExclusive("private", "listed")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

func (a *app) init(id string, o *digstore.StoreOptions) error {
	if o.ContentRoot != "" {
		info, err := os.Stat(o.ContentRoot)
		if err != nil {
			return &hinted{fmt.Errorf("content root: %w", err), "make the folder first"}
		}
		if !info.IsDir() {
			return usage("name a folder", "content root %s is not a folder", o.ContentRoot)
		}
		if o.ContentRoot, err = filepath.Abs(o.ContentRoot); err != nil {
			return err
		}
	}
	var err error
	if o.Key, err = auth.GenerateKey(nil); err != nil {
		return err
	}
	store := auth.StoreIDFromKey(o.Key.PublicKey())
	if id != "" {
		if store, err = auth.ParseStoreID(id); err != nil {
			return usage("an id is 64 hex digits", "--id: %w", err)
		}
	}
	ws, err := a.findOrInit()
	if err != nil {
		return err
	}
	defer ws.Close()
	if below, err := filepath.Rel(ws.Dir(), o.ContentRoot); o.ContentRoot != "" && err == nil && filepath.IsLocal(below) {
		o.ContentRoot = below // so that the project can be moved
	}
	outside := filepath.IsAbs(o.ContentRoot)
	s, err := ws.Create(store, o)
	if errors.Is(err, fs.ErrExist) {
		return &hinted{err, "choose another name, or work on the store that is there: digstore stores"}
	}
	if err != nil {
		return err
	}
	if outside { // the user has just named it
		if err := a.allowContentRoot(s, ws.Dir(), realPath(o.ContentRoot)); err != nil {
			return err
		}
	}
	return a.done(struct {
		Name        string         `json:"name"`
		Workspace   string         `json:"workspace"`
		StoreID     auth.StoreID   `json:"store_id"`
		PublicKey   auth.PublicKey `json:"public_key"`
		ContentRoot string         `json:"content_root,omitempty"`
		Private     bool           `json:"private"`
		Listed      bool           `json:"listed"`
	}{s.Name(), ws.Dir(), s.ID(), o.Key.PublicKey(), o.ContentRoot, o.Private, o.Listed},
		"store %s made: %s", s.Name(), s.ID())
}
