package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/vectors"
)

// TestMetadataOf: the encoding of the metadata is kept, including unknown items.
func TestMetadataOf(t *testing.T) {
	var file struct{ Scenarios []scenario }
	vectors.Load(t, "chain-lineage-reference.json", &file)
	for _, sc := range file.Scenarios {
		for i, st := range sc.Steps {
			list, err := chain.MetadataOf(t.Context(), sc.Launcher, st.Spend.spend())
			if st.Expect.Melted {
				if !errors.Is(err, chain.ErrMelted) {
					t.Errorf("%s, step %d: %v, want ErrMelted", sc.Name, i, err)
				}
				continue
			}
			if err != nil || !bytes.Equal(list, st.Expect.Metadata.metadata().Encode()) {
				t.Errorf("%s, step %d: %x, %v; want %x", sc.Name, i, list, err,
					st.Expect.Metadata.metadata().Encode())
			}
		}
	}
}
