package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// newResponder returns what answers challenges from the plots.
func (n *Node) newResponder() *capsule.Responder {
	return &capsule.Responder{
		Prover:     &capsule.Prover{Key: n.c.Key, Plots: n.tiers, Work: n.c.Worker, Now: n.c.Now},
		Validators: n.c.Validators, NoMinimal: n.c.NoMinimal, MaxWorkBits: n.c.MaxWorkBits,
		Chain: n.c.Chain,
		Held: func(ctx context.Context, hash merkle.Hash) (bool, error) {
			return n.tiers.Held(ctx, hash)
		},
	}
}

// Answer answers a challenge. See capsule.Responder for its errors.
func (n *Node) Answer(ctx context.Context, c *capsule.Challenge) (*capsule.Bundle, error) {
	if n.prover == nil {
		return nil, errors.ErrUnsupported
	}
	release := func() {}
	if ref, _, err := n.tiers.Index().Find(c.CapsuleHash); err == nil {
		if pinned, err := n.tiers.Pin(ctx, ref); err == nil { // it only makes the answer faster
			release = pinned
		}
	}
	defer release()
	began := time.Now()
	bundle, err := n.prover.Answer(ctx, c)
	if errors.Is(err, capsule.ErrNotReady) || errors.Is(err, fs.ErrNotExist) ||
		err == nil {
		n.validations.add(n.c.Now(), err == nil)
	}
	if err == nil {
		n.proving.add(time.Since(began))
		n.hub.send(slog.LevelInfo, "proof", "challenge_answered", map[string]any{
			"challenge_type": c.Type.String(), "plot_id": "0x" + bundle.PlotID.String()})
	}
	return bundle, err
}
