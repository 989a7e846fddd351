package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// trustFlags say what is believed of a host: by default the first publisher
// key seen, which is held from then on.
type trustFlags struct {
	root       string
	publisher  string
	acceptKey  string
	acceptHead string
	revert     bool
	all        bool
}

func (t *trustFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.root, "root", "", "the `ROOT` that you know from elsewhere; no other is taken")
	cmd.Flags().StringVar(&t.publisher, "publisher", "", "the publisher `KEY` that you know from elsewhere; no other is taken")
	cmd.Flags().StringVar(&t.acceptKey, "accept-key", "", "a publisher `KEY` that has replaced the one held")
	cmd.Flags().StringVar(&t.acceptHead, "accept-head", "", "a `ROOT` to take although it does not follow from the one held")
	cmd.Flags().BoolVar(&t.revert, "accept-revert", false, "take a root that was here before the head, where the publisher went back to it")
	cmd.Flags().BoolVar(&t.all, "all", false, "fetch the older generations too; they carry no signature of their own")
}

// trust makes the library's Trust.
func (t *trustFlags) trust() (remote.Trust, error) {
	trust := remote.Trust{FirstUse: true, KeyHashID: true, AllowUnsignedHistory: t.all, AcceptRevert: t.revert}
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
