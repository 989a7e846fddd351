package plot_test

import (
	"bytes"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/plot"
)

// A Set of plots is a source, whatever the compression and the number of plots.
func TestSetAsSource(t *testing.T) {
	for _, c := range []plot.Compression{plot.None, plot.LZ4, plot.Zstd} {
		t.Run(string(c), func(t *testing.T) {
			capsuletest.TestSource(t, func(t *testing.T,
				held []capsuletest.Holding) capsule.Source {
				dir := t.TempDir()
				half := (len(held) + 1) / 2
				for _, part := range [][]capsuletest.Holding{held[:half], held[half:]} {
					createHeld(t, dir, c, part)
				}
				return openSet(t, plot.Dir{Path: dir})
			})
		})
	}
}

// createHeld makes a plot of holdings in dir, unless there are none.
func createHeld(t *testing.T, dir string, c plot.Compression, held []capsuletest.Holding) {
	t.Helper()
	if len(held) == 0 {
		return
	}
	content := map[auth.StoreID]map[uint32][]byte{}
	var list []*capsule.Manifest
	for _, h := range held {
		content[h.Manifest.Store] = h.Content
		list = append(list, h.Manifest)
	}
	o := fast()
	o.Compression = c
	o.Keep = func(s auth.StoreID, d capsule.Descriptor) bool {
		return content[s][d.Index] != nil ||
			d.Size == 0
	}
	w, err := plot.Create(t.Context(), dir, list, node, o)
	check(t, err)
	defer w.Close()
	for {
		s, d, ok := w.Next()
		if !ok {
			break
		}
		check(t, w.Add(t.Context(), d, bytes.NewReader(content[s][d.Index])))
	}
	_, err = w.Seal(t.Context())
	check(t, err)
	check(t, w.Close())
}
