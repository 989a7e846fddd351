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

// Received is one change of a store that a server has made.
type Received struct {
	Requester // zero for [Server.Receive] and [Server.Promote]
	Event     Event
	Store     auth.StoreID
	Root      merkle.Hash // of the generation; of a revocation: zero stands for the whole store
	Parent    merkle.Hash // the head before; zero: there was none, or it is a revocation
	Pending   bool        // the generation is kept, and is not the head
	Recipe    bool        // it came as a recipe and chunks
	Again     bool        // it was in the history already, and is the head again
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
