package digstore_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// TestOtherModuleOfRoot: a generation that was dropped comes back as a module with another layout and metadata. What a
// server remembered of the first one is not used for it.
func TestOtherModuleOfRoot(t *testing.T) {
	trees := edited(t, corpus.Small(7), "one byte in every large file")
	_, from, gens := commitTrees(t, trees)
	dir := t.TempDir()
	w := must(digstore.Init(dir, nil))
	defer w.Close()
	for i, g := range gens {
		check(t, w.Receive(ctx, signedAs(t, from, g.Root), parentOf(gens, i), false, bytes.NewReader(moduleOf(t, from, g.Root)), deep))
	}
	c := remote.NewContents(w, nil)
	id := module.ID{Store: from.ID(), Root: gens[0].Root}
	read := func() (sealed map[string]string, message string) {
		sealed = map[string]string{}
		for _, name := range trees[0].Names() {
			r := must(c.Open(ctx, id, urn.RetrievalKey(id.Store, name)))
			sealed[name] = string(must(io.ReadAll(io.NewSectionReader(r, 0, r.Size()))))
			check(t, r.Close())
		}
		if m := must(c.Metadata(ctx, id)); m != nil {
			message, _ = m.Message()
		}
		return sealed, message
	}
	want, message := read()
	if message != "" {
		t.Fatalf("the first module has the message %q", message)
	}

	other := must(digstore.Open(dir, nil))
	defer other.Close()
	s := must(other.Store(""))
	must(s.GC(ctx, &digstore.GCOptions{Keep: 1}))
	r := must(from.Recipe(ctx, id.Root))
	entries := slices.Collect(r.Entries())
	slices.Reverse(entries)
	o := &module.Options{Padding: module.None(), Metadata: &module.Metadata{SchemaVersion: 1}}
	o.Metadata.SetMessage("another one")
	again := must(module.Compose(id.Store, r.PublicKey(), entries, o))
	_, chunks := takenApart(moduleOf(t, from, id.Root))
	check(t, s.Assemble(ctx, gens[:1], signedAs(t, from, id.Root), again, merkle.Hash{}, putting(again, chunks, must(s.MissingChunks(ctx, again))), deep))

	got, message := read()
	if message != "another one" {
		t.Errorf("the metadata is that of the module that was dropped: message %q", message)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: other sealed bytes", name)
		}
	}
	a, b := must(r.Digest()), must(again.Digest())
	if a == b || a != must(must(from.Recipe(ctx, id.Root)).Digest()) {
		t.Errorf("digests %s and %s of two modules", a, b)
	}
}
