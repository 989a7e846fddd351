package server

import (
	"context"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// An Event is a kind of change of a store.
type Event string

// The events.
const (
	EventPush       Event = "push"       // a generation was received
	EventPromotion  Event = "promotion"  // [Server.Promote] made a pending generation the head
	EventRevocation Event = "revocation" // a tombstone was received
)

// Received is one change that a server made to a store.
type Received struct {
	Requester // zero for [Server.Receive] and [Server.Promote]
	Event     Event
	Store     auth.StoreID
	Root      merkle.Hash // of the generation; zero: a revocation of the whole store
	Parent    merkle.Hash // previous head; zero: none, or a revocation
	Pending   bool        // the generation is kept but is not the head
	Recipe    bool        // it arrived as a recipe and chunks
	Again     bool        // it was already in the history and is the head again
}

// notify calls Options.Received.
func (s *Server) notify(ctx context.Context, r Received) {
	if s.opt.Received == nil {
		return
	}
	if err := s.opt.Received(context.WithoutCancel(ctx), r); err != nil {
		s.log.ErrorContext(ctx, "Options.Received failed", "event",
			string(r.Event), "store", r.Store,
			"root", r.Root, "err", err)
	}
}
