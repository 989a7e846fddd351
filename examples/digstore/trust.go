package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// trustFlags say which publisher key and root to accept. The default is to trust the
// key on first use and to pin it.
type trustFlags struct {
	root       string
	publisher  string
	acceptKey  string
	acceptHead string
	revert     bool
	all        bool
}

func (t *trustFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.root, "root", "",
		"accept only this `ROOT`, which you know from another source")
	cmd.Flags().StringVar(&t.publisher, "publisher", "",
		"accept only this publisher `KEY`, which you know from another source")
	cmd.Flags().StringVar(&t.acceptKey, "accept-key", "",
		"accept this new publisher `KEY` in place of the pinned one")
	cmd.Flags().StringVar(&t.acceptHead, "accept-head", "",
		"accept this `ROOT` although it does not follow from the local head")
	cmd.Flags().BoolVar(&t.revert, "accept-revert", false,
		"accept an older root that the publisher went back to")
	cmd.Flags().BoolVar(&t.all, "all", false,
		"download the older generations too; their roots are not signed")
}

// trust returns the remote.Trust of the flags.
func (t *trustFlags) trust() (remote.Trust, error) {
	trust := remote.Trust{
		FirstUse: true, KeyHashID: true, AllowUnsignedHistory: t.all, AcceptRevert: t.revert,
	}
	var err error
	for _, f := range []struct {
		name, text string
		to         *merkle.Hash
	}{{"root", t.root, &trust.Root}, {"accept-head", t.acceptHead, &trust.AcceptHead}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = merkle.ParseHash(f.text); err != nil {
			return trust, usage("a root is 64 hex digits", "--%s: %w", f.name, err)
		}
	}
	for _, f := range []struct {
		name, text string
		to         *auth.PublicKey
	}{{"publisher", t.publisher, &trust.Publisher}, {"accept-key", t.acceptKey, &trust.AcceptKey}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = auth.ParsePublicKey(f.text); err != nil {
			return trust, usage("a public key is 96 hex digits", "--%s: %w", f.name, err)
		}
	}
	path, err := auth.IdentityPath()
	if err != nil {
		return trust, err
	}
	trust.Known = digstore.OpenKnownStores(filepath.Join(filepath.Dir(path), "known_stores.json"))
	return trust, nil
}
