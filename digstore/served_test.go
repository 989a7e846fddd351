package digstore_test

import (
	"testing"

	"github.com/dig-network/digstore/digstore"
)

// TestServedAt: other processes see a mark while it is held, only for its port and its workspace.
// The mark of a killed process is ignored.
func TestServedAt(t *testing.T) {
	dir := t.TempDir()
	w := must(digstore.Init(dir, nil))
	defer w.Close()
	other := must(digstore.Open(dir, nil))
	defer other.Close()
	elsewhere := must(digstore.Init(t.TempDir(), nil))
	defer elsewhere.Close()
	for range 2 {
		mark := must(w.MarkServing(8443))
		for _, c := range []struct {
			in   *digstore.Workspace
			port int
			want bool
		}{{other, 8443, true}, {other, 8443, true}, {other, 8444, false}, {elsewhere, 8443, false}} {
			if got := must(c.in.ServedAt(c.port)); got != c.want {
				t.Errorf("port %d of %s: %v, want %v", c.port, c.in.Dir(), got, c.want)
			}
		}
		check(t, mark.Close())
		if must(other.ServedAt(8443)) {
			t.Error("served after the mark was closed")
		}
	}
}
