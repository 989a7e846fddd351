package conform_test

import (
	"testing"

	"github.com/dig-network/digstore/remote/conform"
)

// TestOurServer: it passes everything, read and write.
func TestOurServer(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name string
	}{{"memory"}} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, serve(w.memory(t), nil), w.id, &conform.Options{Write: &conform.Write{RevokeStore: true}})
			t.Log(r)
			for _, f := range findings(r) {
				t.Errorf("%+v", f)
			}
		})
	}
}
