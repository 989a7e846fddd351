package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/prove"
)

// queued is the number of waiting challenges per running one.
const queued = 4

// worker returns the worker for plots and proofs: the configured one with the CPU as fallback for a
// minute after a failure, or nil for the CPU.
func (n *Node) worker() capsule.Worker {
	if n.c.Worker == nil {
		return nil
	}
	return &prove.Fallback{Device: n.c.Worker, Now: n.c.Now, Failed: func(err error) {
		n.c.Logger.Warn("work", "error", err)
	}}
}

// newProver returns the pipeline that answers challenges from the plots.
func (n *Node) newProver(work capsule.Worker) *prove.Pipeline {
	return prove.New(&capsule.Responder{
		Prover:     &capsule.Prover{Key: n.c.Key, Plots: n.tiers, Work: work, Now: n.c.Now},
		Validators: n.c.Validators, NoMinimal: n.c.NoMinimal, MaxWorkBits: n.c.MaxWorkBits,
		Chain: n.c.Chain,
		Held: func(ctx context.Context, hash merkle.Hash) (bool, error) {
			return n.tiers.Held(ctx, hash)
		},
	}, &prove.Options{Workers: n.c.Limits.MaxChallenges, Queue: queued * n.c.Limits.MaxChallenges})
}

// Answer answers a challenge. See capsule.Responder for its errors. If too many challenges are
// waiting, the error is prove.ErrBusy.
func (n *Node) Answer(ctx context.Context, c *capsule.Challenge) (*capsule.Bundle, error) {
	if n.prover == nil {
		return nil, errors.ErrUnsupported
	}
	release := func() {}
	if ref, _, err := n.tiers.Index().Find(c.CapsuleHash); err == nil {
		if pinned, err := n.tiers.Pin(ctx, ref); err == nil { // only for speed
			release = pinned
		}
	}
	defer release()
	began := time.Now()
	bundle, err := n.prover.Answer(ctx, c)
	if errors.Is(err, prove.ErrBusy) {
		return nil, &api.Error{Code: api.Busy, RetryAfter: time.Second, Err: err}
	}
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
