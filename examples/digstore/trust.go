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
// key seen, which is held from then on (decisions 6 and 26).
type trustFlags struct {
	root      string
	publisher string
	acceptKey string
	all       bool
}

func (t *trustFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.root, "root", "", "the `ROOT` that you know from elsewhere; no other is taken")
	cmd.Flags().StringVar(&t.publisher, "publisher", "", "the publisher `KEY` that you know from elsewhere; no other is taken")
	cmd.Flags().StringVar(&t.acceptKey, "accept-key", "", "a publisher `KEY` that has replaced the one held")
	cmd.Flags().BoolVar(&t.all, "all", false, "fetch the older generations too; they carry no signature of their own")
}

// trust makes the library's Trust.
func (t *trustFlags) trust() (remote.Trust, error) {
	trust := remote.Trust{FirstUse: true, KeyHashID: true, AllowUnsignedHistory: t.all}
	var err error
	if t.root != "" {
		if trust.Root, err = merkle.ParseHash(t.root); err != nil {
			return trust, usage("a root is 64 hex digits", "--root: %w", err)
		}
	}
	if t.publisher != "" {
		if trust.Publisher, err = auth.ParsePublicKey(t.publisher); err != nil {
			return trust, usage("a public key is 96 hex digits", "--publisher: %w", err)
		}
	}
	if t.acceptKey != "" {
		if trust.AcceptKey, err = auth.ParsePublicKey(t.acceptKey); err != nil {
			return trust, usage("a public key is 96 hex digits", "--accept-key: %w", err)
		}
	}
	path, err := auth.IdentityPath()
	if err != nil {
		return trust, err
	}
	trust.Known = digstore.OpenKnownStores(filepath.Join(filepath.Dir(path), "known_stores.json"))
	return trust, nil
}

// received is what clone and pull print.
type received struct {
	Store      string         `json:"store"`
	StoreID    auth.StoreID   `json:"store_id"`
	Root       merkle.Hash    `json:"root"`
	Generation uint64         `json:"generation"`
	ModuleSize int64          `json:"module_size,omitempty"`
	Bytes      int64          `json:"bytes_received"`
	PublicKey  auth.PublicKey `json:"public_key"`
	KeyProven  bool           `json:"key_proven"`
	Basis      remote.Basis   `json:"basis,omitempty"`
	Unanchored bool           `json:"unanchored"`
	UpToDate   bool           `json:"up_to_date"`
	NewerHead  *merkle.Hash   `json:"newer_unconfirmed_head,omitempty"`
}

// newReceived joins the report of a clone or pull with what is here now.
func newReceived(s *digstore.Store, r *remote.Report) (received, error) {
	v := received{
		Store: s.Name(), StoreID: s.ID(), Root: r.Root, Generation: r.Generation, Bytes: r.Bytes, PublicKey: r.Publisher,
		KeyProven: r.KeyProven, Basis: r.Basis, Unanchored: r.Unanchored, UpToDate: r.UpToDate, NewerHead: nonZero(r.NewerHead),
	}
	if r.UpToDate {
		return v, nil
	}
	g, err := s.At(r.Root)
	if err != nil {
		return v, err
	}
	v.ModuleSize = g.Module().Size()
	return v, nil
}

// warnTrust says what the result rests on where that is not much.
func (a *app) warnTrust(r *remote.Report) {
	switch {
	case r.Basis == remote.ByFirstUse:
		a.warn("nothing vouches for publisher key %.16s…: it is believed on first use and held from now on", r.Publisher)
	case r.KeyChanged:
		a.warn("the publisher key has changed to %.16s…, as you accepted; it is held from now on", r.Publisher)
	}
	if !r.NewerHead.IsZero() {
		a.warn("the origin's head %.16s… is newer and not confirmed; it was not taken", r.NewerHead)
	}
}

// trusted says what the result rests on.
func (r received) trusted() string {
	why := "publisher key believed by " + string(r.Basis)
	if r.KeyProven {
		why = "the store id proves the publisher key"
	}
	if r.Unanchored {
		why += ", freshness is the host's word"
	}
	return why
}
