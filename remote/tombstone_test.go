package remote

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Tombstones that fail are checked once on a visit, however many origins show them, and equal ones count once.
func TestTombstonesOnce(t *testing.T) {
	attacker, publisher := auth.NewKey([auth.SeedSize]byte{1}), auth.NewKey([auth.SeedSize]byte{2})
	d := new(Descriptor)
	for n := range 100 {
		stone, err := auth.SignTombstone(t.Context(), auth.Tombstone{Root: merkle.Hash{byte(n), 1}}, attacker)
		if err != nil {
			t.Fatal(err)
		}
		d.Tombstones = append(d.Tombstones, stone)
	}
	shown := len(d.Tombstones)
	d.Tombstones = slices.Repeat(d.Tombstones, 50)
	stones := stonesOf(d)
	if len(stones) != shown {
		t.Errorf("%d of %d tombstones are looked at, %d of them differ", len(stones), len(d.Tombstones), shown)
	}
	v := &visit{failed: map[stoneCheck]bool{}}
	took := func() time.Duration {
		begin := time.Now()
		if err := v.take(context.Background(), stones, publisher.PublicKey()); err != nil {
			t.Fatal(err)
		}
		return time.Since(begin)
	}
	first := took()
	again := min(took(), took(), took())
	if again > first/5 || len(v.kept) != 0 {
		t.Errorf("%v, then %v for what has failed; %d kept", first, again, len(v.kept))
	}
	// The right key is another question.
	if err := v.take(context.Background(), stones, attacker.PublicKey()); err != nil || len(v.kept) != shown {
		t.Errorf("%d of %d kept, %v", len(v.kept), shown, err)
	}
	for n := range maxStones + 1 {
		d.Tombstones = append(d.Tombstones, auth.Tombstone{NotAfter: uint64(n + 1)})
	}
	if got := len(stonesOf(d)); got != maxStones {
		t.Errorf("%d tombstones of one origin are looked at, want %d", got, maxStones)
	}
}
