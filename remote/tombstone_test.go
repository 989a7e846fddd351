package remote

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// signedTombstone returns a tombstone of the zero store.
func signedTombstone(t *testing.T, by *auth.Key, root merkle.Hash) auth.Tombstone {
	t.Helper()
	out, err := auth.SignTombstone(t.Context(), auth.Tombstone{Root: root, NotAfter: 1}, by)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// manyTombstones returns n tombstones of different roots. Only that of root 1 has a valid
// signature, by key.
func manyTombstones(t *testing.T, key *auth.Key, n int) []auth.Tombstone {
	t.Helper()
	one := signedTombstone(t, key, merkle.Hash{1})
	out := []auth.Tombstone{one}
	for i := range n - 1 {
		// a well-formed signature of another record, so that only the pairing check fails
		next := one
		binary.BigEndian.PutUint64(next.Root[8:], uint64(i+1))
		out = append(out, next)
	}
	return out
}

// TestForgedTombstones checks that thousands of forged tombstones of one origin cost few checks
// and hide no valid one, in any order of origins and of tombstones.
func TestForgedTombstones(t *testing.T) {
	attacker, publisher := auth.NewKey([auth.SeedSize]byte{1}), auth.NewKey([auth.SeedSize]byte{2})
	forged := manyTombstones(t, attacker, 6000)
	head := merkle.Hash{9}
	for _, c := range []struct {
		name string
		root merkle.Hash // revoked by an honest tombstone
		mix  bool        // it comes after the forged ones
	}{
		{"a root, at another origin", merkle.Hash{7}, false},
		{"the head, at another origin", head, false},
		{"the store, at another origin", merkle.Hash{}, false},
		{"the head, behind the forged ones", head, true},
		{"the store, behind the forged ones", merkle.Hash{}, true},
	} {
		honest := []auth.Tombstone{signedTombstone(t, publisher, c.root)}
		shown := [][]auth.Tombstone{forged, honest, slices.Clone(forged)}
		if c.mix {
			shown = [][]auth.Tombstone{slices.Concat(forged, honest)}
		}
		for range 2 {
			v := &syncRun{tombstones: newTombstoneSet(auth.StoreID{}, nil),
				pins: module.Pins{Publisher: publisher.PublicKey()}}
			for range 3 { // as when the head changes
				if err := v.addTombstones(t.Context(), shown, publisher.PublicKey(), head); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(v.tombstones.valid, honest) || !slices.Equal(v.report.Tombstones, honest) {
				t.Errorf("%s: %d are kept, %d reported", c.name, len(v.tombstones.valid),
					len(v.report.Tombstones))
			}
			if want := 1 + maxFailed; v.tombstones.checked > want {
				t.Errorf("%s: %d signatures were checked, want at most %d", c.name, v.tombstones.checked, want)
			}
			slices.Reverse(shown)
		}
	}
}

// TestTombstonesOnce checks that equal tombstones count and cost once, that stored ones cost
// nothing, that a failure under one key does not affect another key, and that one origin may have
// up to maxTombstones valid ones.
func TestTombstonesOnce(t *testing.T) {
	key, other := auth.NewKey([auth.SeedSize]byte{1}), auth.NewKey([auth.SeedSize]byte{2})
	var list []auth.Tombstone
	for n := range 2 * maxFailed {
		list = append(list, signedTombstone(t, key, merkle.Hash{byte(n), 1}))
	}
	shown := slices.Repeat(list, 50)
	set := newTombstoneSet(auth.StoreID{}, list[:3])
	for _, c := range []struct {
		by             *auth.Key
		valid, checked int
	}{
		{other, 3, maxFailed},
		{other, 3, maxFailed},
		{key, len(list), maxFailed + len(list) - 3},
		{key, len(list), maxFailed + len(list) - 3},
	} {
		if _, err := set.add(t.Context(), shown, c.by.PublicKey()); err != nil {
			t.Fatal(err)
		}
		if len(set.valid) != c.valid || set.checked != c.checked {
			t.Errorf("%d are valid by %d checks, want %d by %d", len(set.valid), set.checked,
				c.valid, c.checked)
		}
	}
	foreign := list[0]
	foreign.Store[0]++
	many := append([]auth.Tombstone{foreign}, manyTombstones(t, key, maxTombstones+2)...)
	got := newTombstoneSet(auth.StoreID{}, nil).candidates(many,
		[]merkle.Hash{many[maxTombstones+2].Root})
	if len(got) != maxTombstones || got[0] != many[maxTombstones+2] || slices.Contains(got, foreign) {
		t.Errorf("%d tombstones of one origin are looked at, want %d", len(got), maxTombstones)
	}
}
