package chain_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
)

func TestCached(t *testing.T) {
	c, s := minted(t, 5)
	c.Farm(32)
	before := c.Height()
	s.Update(root(6))
	dir := t.TempDir()
	resolve := func(want ...int) (spends, blocks int) {
		t.Helper()
		c.Calls()
		// The chain's own resolver keeps nothing, so every spend goes through the cache.
		got, err := chain.NewResolver(chain.NewCached(c, dir, 0), fresh()).Lineage(t.Context(), s.ID())
		if wanted := roots(1, want[0]); err != nil ||
			!slices.Equal(got[:min(len(got), len(wanted))], wanted) || len(got) != len(wanted)+len(want)-1 {
			t.Fatalf("%v, %v, want %v and more", got, err, wanted)
		}
		calls := c.Calls()
		return calls["CoinSpend"], calls["BlockAt"]
	}
	if spends, _ := resolve(6); spends != 7 {
		t.Errorf("cold: %d spends, want 7", spends)
	}
	if spends, blocks := resolve(6); spends != 1 || blocks > 2 {
		t.Errorf("warm: %d spends and %d blocks, want the shallow one alone", spends, blocks)
	}
	c.Farm(40)
	if spends, _ := resolve(6); spends != 1 {
		t.Errorf("the last one is settled: %d spends, want it once", spends)
	}
	if spends, _ := resolve(6); spends != 0 {
		t.Errorf("all are settled: %d spends, want none", spends)
	}
	// After a reorganization deeper than the settled depth, the spends above it are requested again.
	c.Reorg(before)
	s.Rewind()
	c.Farm(3)
	s.Update(root(7))
	c.Farm(40)
	if spends, _ := resolve(5, 7); spends == 0 {
		t.Errorf("after a deep reorganisation: no spend was asked for")
	}
	if spends, _ := resolve(5, 7); spends != 0 {
		t.Errorf("and once more: %d spends, want none", spends)
	}
	// Spends in damaged or missing files are requested again.
	files, err := filepath.Glob(filepath.Join(dir, "*.spend"))
	if err != nil || len(files) != 7 {
		t.Fatalf("%d files, %v, want 7", len(files), err)
	}
	if err := os.Truncate(files[0], 100); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if spends, _ := resolve(5, 7); spends != 2 {
		t.Errorf("one file cut off, one gone: %d spends, want 2", spends)
	}
	if err := os.WriteFile(filepath.Join(dir, "blocks"), []byte("not what it was"),
		0o600); err != nil {
		t.Fatal(err)
	}
	if spends, _ := resolve(5, 7); spends != 7 {
		t.Errorf("without the blocks: %d spends, want all 7", spends)
	}
}
