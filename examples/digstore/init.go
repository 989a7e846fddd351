package main

import (
	"context"
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
		Short: "Make a store, and a workspace if there is none",
		Long: `Init makes a store called NAME with a new publisher key, and makes it the active
store. The id of the store is the SHA-256 of the public key, or with --id the
launcher id of a store that was minted on the chain.

The store is kept in the workspace (the .dig folder) of the current folder or of
the nearest folder above it; if there is none, init makes one in the current
folder. --dir names the content root: the folder that commit publishes when
nothing is staged.`,
		Example: `  digstore init site --dir site
  digstore init diary --private
  digstore init site --dir public --listed     readers can list the file names`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			o.ContentRoot, o.Activate, o.MaxSize = dir, true, int64(longest)
			return a.init(cmd.Context(), id, &o)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "",
		"the content root: the folder (`DIR`) that commit publishes")
	cmd.Flags().StringVar(&id, "id", "",
		"the `ID` of the store, 64 hex digits (default: hash of the publisher key)")
	cmd.Flags().BoolVar(&o.Private, "private", false,
		"encrypt with a secret salt as well: the URN alone does not open the content")
	cmd.Flags().BoolVar(&o.Listed, "listed", false,
		"publish the list of file names with every generation")
	cmd.Flags().Var(&longest, "max-size",
		"the most content in one generation, a `SIZE` such as 500MB (default: 128MB)")
	cmd.MarkFlagsMutuallyExclusive("private", "listed")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

func (a *app) init(ctx context.Context, id string, o *digstore.StoreOptions) error {
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
	below, err := filepath.Rel(ws.Dir(), o.ContentRoot)
	if o.ContentRoot != "" && err == nil && filepath.IsLocal(below) {
		o.ContentRoot = below // relative, so that the project can be moved
	}
	outside := filepath.IsAbs(o.ContentRoot)
	s, err := ws.Create(ctx, store, o)
	if errors.Is(err, fs.ErrExist) {
		return &hinted{err, "choose another name; digstore stores lists the stores"}
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
		"made store %s: %s", s.Name(), s.ID())
}
