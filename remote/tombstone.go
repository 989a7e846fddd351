package remote

import (
	"context"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// maxStones is how many of one origin's tombstones have their signatures checked, which takes about a
// millisecond each: as many as a server keeps for a store.
const maxStones = 4096

// A stoneCheck is a tombstone that was held to a key.
type stoneCheck struct {
	stone auth.Tombstone
	key   auth.PublicKey
}

// stonesOf returns the tombstones that an origin shows, at most maxStones, equal ones once.
func stonesOf(d *Descriptor) []auth.Tombstone {
	seen := make(map[auth.Tombstone]bool, min(len(d.Tombstones), maxStones))
	var out []auth.Tombstone
	for _, t := range d.Tombstones {
		if len(out) == maxStones {
			break
		}
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}

// take adds those tombstones of origins that key has signed for this store. Others are ignored: an origin cannot revoke
// by itself (remote-protocol 5.4). What has failed once is not checked again on this visit.
func (v *visit) take(ctx context.Context, stones []auth.Tombstone, key auth.PublicKey) error {
	for _, t := range stones {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("remote: check tombstones: %w", err)
		}
		same := func(k auth.Tombstone) bool { return k.Store == t.Store && k.Root == t.Root }
		if t.Store != v.store || slices.ContainsFunc(v.kept, same) || v.failed[stoneCheck{t, key}] {
			continue
		}
		if t.Check(key) != nil {
			v.failed[stoneCheck{t, key}] = true
			continue
		}
		v.kept = append(v.kept, t)
		v.report.Tombstones = append(v.report.Tombstones, t)
	}
	return nil
}

// keep writes the new ones down, so that no origin can hide them later.
func (v *visit) keep(ctx context.Context) error {
	r, ok := v.to.(Revoker)
	if !ok {
		return nil
	}
	for ; v.written < len(v.report.Tombstones); v.written++ {
		if err := r.Revoke(ctx, v.report.Tombstones[v.written]); err != nil {
			return fmt.Errorf("remote: keep tombstone: %w", err)
		}
	}
	return nil
}

// revoked reports whether root, or the whole store, is taken back by a tombstone known to be valid. The
// zero root asks for the store alone.
func (v *visit) revoked(root merkle.Hash) error { return revokedBy(v.kept, root) }

func revokedBy(stones []auth.Tombstone, root merkle.Hash) error {
	for _, t := range stones {
		if !t.Revokes(root) {
			continue
		}
		what := "generation " + root.String()
		if t.WholeStore() {
			what = "the whole store"
		}
		return &VerificationError{Check: CheckTombstone, Got: fmt.Sprintf("%s was revoked (%v)", what, t.Reason), Err: ErrRevoked}
	}
	return nil
}
