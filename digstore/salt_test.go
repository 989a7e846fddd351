package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
)

// TestPrivateClone: a clone of a private store can be served, and can be read with the salt.
func TestPrivateClone(t *testing.T) {
	ctx := context.Background()
	_, from := inMemory(t, &digstore.StoreOptions{Name: "secret", Private: true})
	g := commit(t, from, files{"page": "for few"}, nil)
	disk := diskfs.NewCrash("/clone")
	w, err := digstore.Init("/clone", options(disk))
	check(t, err)
	to, err := w.Create(ctx, from.ID(), &digstore.StoreOptions{Name: "copy"})
	check(t, err)
	body := moduleOf(t, from, g.Info().Root)
	check(t,
		to.Install(ctx, []module.Generation{g.Info()}, signed(t, from), bytes.NewReader(body), deep))
	if to.Salt() != nil {
		t.Error("a clone knows a salt")
	}
	wrong, right := &urn.Salt{1}, from.Salt()
	for _, c := range []struct {
		name string
		salt *urn.Salt
		want error
	}{{"none", nil, urn.ErrSealed}, {"wrong", wrong, urn.ErrSealed}, {"right", right,
		nil}, {"right again", right, nil}} {
		if c.salt != nil {
			other := must(digstore.Open("/clone", options(disk))) // as another process
			check(t, must(other.Store("copy")).ImportSalt(ctx, c.salt))
			check(t, other.Close())
		}
		if to.Private() != (c.salt != nil) || c.salt != nil && *to.Salt() != *c.salt {
			t.Errorf("%s salt: the open store has %v", c.name, to.Salt())
		}
		check(t, w.Close())
		w, err = digstore.Open("/clone", options(disk))
		check(t, err)
		to, err = w.Store("copy")
		check(t, err)
		g, err := to.Latest()
		check(t, err)
		text, err := fs.ReadFile(g, "page")
		if !errors.Is(err, c.want) || c.want == nil && string(text) != "for few" {
			t.Errorf("%s salt: read %q, %v; want error %v", c.name, text, err, c.want)
		}
	}
	check(t, w.Close())
	if err := from.ImportSalt(ctx, wrong); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another salt for the publisher's own store: %v, want fs.ErrExist", err)
	}
}
