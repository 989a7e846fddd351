package capsuletest

import (
	"bytes"
	"io"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A Generation is a manifest with the content of its capsules.
type Generation struct {
	*capsule.Manifest
	Content [][]byte // by index
}

// created is the time of all generations.
const created = 1_700_000_000

// Split cuts content into capsules of size bytes, the last one shorter; 0 means the default size.
// The id of the datastore begins with the byte store.
func Split(t testing.TB, store byte, size uint32, content []byte) Generation {
	t.Helper()
	var g Generation
	m, err := capsule.Split(t.Context(), auth.StoreID{store}, bytes.NewReader(content),
		&capsule.SplitOptions{Size: size},
		func(_ capsule.Descriptor, r io.Reader) error {
			b, err := io.ReadAll(r)
			g.Content = append(g.Content, b)
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	g.Manifest = m
	m.Created = created
	return g
}

// Of makes a generation whose capsules have the given contents.
func Of(t testing.TB, store byte, contents ...[]byte) Generation {
	t.Helper()
	m := &capsule.Manifest{Store: auth.StoreID{store}, Created: created}
	var leaves []merkle.Hash
	for i, b := range contents {
		d, err := capsule.Describe(uint32(i), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		m.Capsules = append(m.Capsules, d)
		leaves = append(leaves, d.Leaf())
	}
	m.Root = merkle.Root(leaves)
	return Generation{m, contents}
}
