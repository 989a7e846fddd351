package server

import (
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// postTombstone answers POST /stores/{id}/tombstone. See remote/PROTOCOL.md 7.2.
func (s *Server) postTombstone(w http.ResponseWriter, c *call) error {
	ctx := c.Context()
	var body wire.TombstoneBody
	if err := s.readJSON(c, wire.MaxRequestJSON, &body, "body is not a tombstone"); err != nil {
		return err
	}
	head, err := s.head(ctx, c.store)
	if err != nil {
		return err
	}
	t, err := parseTombstone(body)
	if err != nil {
		return err
	}
	c.root = t.Root
	if t.Store != c.store {
		return invalid("tombstone store_id does not match path")
	}
	if _, err := auth.NewVerifier(head.PublicKey); err != nil {
		return invalid("no usable key is known for this store")
	}
	if err := t.Check(head.PublicKey); err != nil {
		return forbidden("tombstone signature does not verify")
	}
	kept, err := s.tombstones(ctx, c.store)
	if err != nil {
		return err
	}
	replaces := slices.ContainsFunc(kept, func(k auth.Tombstone) bool { return k.Root == t.Root })
	if len(kept) >= s.opt.MaxTombstones && !replaces {
		return invalid("too many tombstones")
	}
	if err := s.revoker.Revoke(ctx, t); err != nil {
		return err
	}
	s.notify(ctx, Received{Requester: c.by, Event: EventRevocation, Store: t.Store, Root: t.Root})
	w.WriteHeader(http.StatusCreated)
	return nil
}

// parseTombstone decodes b. Its errors are the refusals of the route.
func parseTombstone(b wire.TombstoneBody) (t auth.Tombstone, err error) {
	record, err := hex.DecodeString(b.Record)
	if err != nil {
		return t, invalid("bad tombstone record hex")
	}
	if t, err = auth.ParseTombstone(record, auth.Signature{}); err != nil {
		return t, invalid("malformed tombstone record")
	}
	sig, err := hex.DecodeString(b.Signature)
	if err != nil {
		return t, invalid("bad tombstone sig hex")
	}
	if len(sig) != len(t.Sig) {
		return t, invalid("tombstone sig must be 96 bytes")
	}
	copy(t.Sig[:], sig)
	return t, nil
}
