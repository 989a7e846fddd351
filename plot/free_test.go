package plot_test

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

// TestCreateFreeSpace: a plot that the disk has no room for is not begun.
func TestCreateFreeSpace(t *testing.T) {
	dir := t.TempDir()
	free, err := diskfs.Free(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(runtime.GOOS + " does not tell how much space is free")
	}
	check(t, err)
	m := &capsule.Manifest{Store: auth.StoreID{9}}
	leaves := []merkle.Hash{}
	for i := range uint32(free/capsule.MaxSize) + 1 {
		c := []byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}
		d := capsule.Descriptor{Index: i, Size: capsule.MaxSize, Hash: merkle.Sum(c)}
		d.ChunkRoot = d.Hash
		m.Capsules, leaves = append(m.Capsules, d), append(leaves, d.Leaf())
	}
	m.Root = merkle.Root(leaves)
	_, err = plot.Create(t.Context(), dir, []*capsule.Manifest{m}, auth.NewNodeKey([32]byte{1}),
		&plot.Options{Difficulty: plot.NoWork})
	if !diskfs.NoSpace(err) {
		t.Errorf("a plot of %d bytes where %d are free: %v",
			int64(len(m.Capsules))*capsule.MaxSize, free, err)
	}
	list, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range list {
		if info, err := e.Info(); err != nil || info.Size() > 0 {
			t.Errorf("%s is left, %d bytes, %v", e.Name(), info.Size(), err)
		}
	}
}
