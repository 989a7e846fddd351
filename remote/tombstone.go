package remote

import (
	"context"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// maxStones is how many of an origin's tombstones have their signatures checked, which takes about a
// millisecond each: as many as a server keeps for a store.
const maxStones = 4096

// take adds those of an origin's tombstones that key has signed for this store. Others are ignored: an
// origin cannot revoke by itself (remote-protocol 5.4).
func (v *visit) take(ctx context.Context, stones []auth.Tombstone, key auth.PublicKey) error {
	for _, t := range stones[:min(len(stones), maxStones)] {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("remote: check tombstones: %w", err)
		}
		same := func(k auth.Tombstone) bool { return k.Store == t.Store && k.Root == t.Root }
		if t.Store != v.store || slices.ContainsFunc(v.kept, same) || t.Check(key) != nil {
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
