package state_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/tier/internal/state"
)

// fill puts something of everything into the data.
func fill(d *state.Data) {
	at := time.Unix(1_700_000_000, 5).UTC()
	r := state.Removal{Store: auth.StoreID{1}, Root: merkle.Hash{2}, At: at, Revoked: true}
	d.Removed[r.Key()] = r
	q := state.Damage{Hash: merkle.Hash{3}, Place: "storage", Found: at, Text: "x"}
	d.Quarantine[q.Key()] = q
	d.Volumes["/v"] = "id"
	d.Accessed[auth.StoreID{1}], d.Refused[auth.StoreID{2}] = at, at
	d.Verified["/v/p"] = state.PlotStamp{Path: "/v/p", ID: merkle.Hash{4}, Size: 5, Modified: at}
	d.Plotting = &state.PlotJob{Volume: "/v", From: "/w/p",
		Keys: []index.Key{{Store: auth.StoreID{1}, Root: merkle.Hash{2}}}}
	d.Scrub = state.Scrub{Started: at, Running: true, Store: auth.StoreID{1}, Bytes: 6}
}

func all(s *state.State) (out state.Data) {
	s.Read(func(d *state.Data) { out = *d })
	return out
}

// TestCrashes: after a crash at any operation the file has the old or the new data, and the new
// data if the change was acknowledged.
func TestCrashes(t *testing.T) {
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/d")
		s, err := state.Load(disk, "/d/state")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Change(func(d *state.Data) { d.Volumes["/old"] = "old" }); err != nil {
			t.Fatal(err)
		}
		before := all(s).Volumes["/old"]
		disk.StopAfter(n)
		changed := s.Change(fill)
		for seed := range uint64(4) {
			again, err := state.Load(disk.Recover(seed), "/d/state")
			if err != nil {
				t.Fatal(err)
			}
			got := all(again)
			whole := reflect.DeepEqual(got, all(s))
			old := len(got.Removed) == 0 && got.Volumes["/old"] == before && got.Plotting == nil
			if !whole && (changed == nil || !old) {
				t.Fatalf("operation %d, seed %d: %+v after %v", n, seed, got, changed)
			}
		}
		if changed == nil {
			return
		}
	}
}

// What could not be written is written with the next change; without a change nothing is.
func TestWrittenLater(t *testing.T) {
	full := errors.New("disk is full")
	fail := false
	calls := 0
	disk := diskfs.NewCrash("/d")
	s, err := state.Load(diskfs.Before(disk, func(op, _ string) error {
		calls++
		if fail && op == "write" {
			return full
		}
		return nil
	}), "/d/state")
	if err != nil {
		t.Fatal(err)
	}
	fail = true
	if err := s.Change(fill); !errors.Is(err, full) {
		t.Fatalf("full disk: %v", err)
	}
	fail = false
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	calls = 0
	if err := s.Flush(); err != nil || calls != 0 {
		t.Errorf("%v, %d operations without a change", err, calls)
	}
	again, err := state.Load(disk, "/d/state")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(all(again), all(s)) {
		t.Errorf("found %+v", all(again))
	}
}

// A revocation of a datastore is one of all its generations.
func TestRevoked(t *testing.T) {
	s, err := state.Load(diskfs.OS(), "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	whole := state.Removal{Store: auth.StoreID{1}, At: now, Revoked: true}
	one := state.Removal{Store: auth.StoreID{2}, Root: merkle.Hash{1}, At: now}
	err = s.Change(func(d *state.Data) { d.Removed[whole.Key()], d.Removed[one.Key()] = whole, one })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		store, root      byte
		removed, revoked bool
		since            time.Duration
	}{{1, 0, true, true, time.Hour}, {1, 9, true, true, time.Hour}, {2, 1, true, false, 0},
		{2, 2, false, false, 0}, {3, 1, false, false, 0}} {
		k := index.Key{Store: auth.StoreID{c.store}, Root: merkle.Hash{c.root}}
		if s.IsRemoved(k) != c.removed || s.IsRevoked(k) != c.revoked ||
			s.RevokedFor(k, now.Add(time.Hour)) != c.since {
			t.Errorf("store %d root %d: removed %v, revoked %v for %v", c.store, c.root,
				s.IsRemoved(k), s.IsRevoked(k), s.RevokedFor(k, now.Add(time.Hour)))
		}
	}
}
