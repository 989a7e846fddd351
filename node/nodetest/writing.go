package nodetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// testStaged: content can be opened right after Put, and is in no datastore before Commit.
func testStaged(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(4).Concat()[:2500])
	h.put(g)
	h.matches(h.Storage, "the instance")
	if u, err := h.Usage(t.Context()); err != nil || u.Staged != 3 || u.Bytes != 2500 {
		t.Errorf("usage %+v, %v, expected 3 staged with 2500 bytes", u, err)
	}
	h.put(g) // again
	h.commit(g, "", true)
	h.check()
}

// testWrongBytes: content that does not match is refused and changes nothing.
func testWrongBytes(t *testing.T, h *harness) {
	b := corpus.Small(5).Concat()[:200_000]
	g := capsuletest.Split(t, 1, 0, b)
	d := g.Capsules[0]
	flipped := bytes.Clone(b)
	flipped[len(b)-1] ^= 1
	broken := errors.New("broken")
	cases := []struct {
		name string
		d    capsule.Descriptor
		r    func() io.Reader
		want error
	}{
		{"flipped bit", d, reader(flipped), capsule.ErrContentMismatch},
		{"short", d, reader(b[:len(b)-1]), capsule.ErrContentMismatch},
		{"empty", d, reader(nil), capsule.ErrContentMismatch},
		{"long", d, reader(append(bytes.Clone(b), 0)), capsule.ErrContentMismatch},
		{"chunk root", capsule.Descriptor{Size: d.Size, Hash: d.Hash, ChunkRoot: merkle.Hash{1}},
			reader(b), capsule.ErrContentMismatch},
		{"size", capsule.Descriptor{Size: d.Size - 1, Hash: d.Hash}, reader(b),
			capsule.ErrContentMismatch},
		{"reader fails", d, func() io.Reader {
			return io.MultiReader(bytes.NewReader(b[:50_000]), iotest.ErrReader(broken))
		}, broken},
	}
	for _, there := range []bool{false, true} {
		for _, c := range cases {
			if err := h.Put(t.Context(), c.d, c.r()); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, expected %v", c.name, err, c.want)
			}
			if !there {
				h.lacks(d)
			}
		}
		if u, err := h.Usage(t.Context()); err != nil || u.Capsules != len(h.contents) {
			t.Errorf("usage %+v, %v, expected %d capsules", u, err, len(h.contents))
		}
		if !there {
			r := iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(b)))
			if err := h.Put(t.Context(), d, r); err != nil {
				t.Fatal(err)
			}
			h.contents[d.Hash] = b
			h.commit(g, "", true)
		}
	}
	h.check()
}

func reader(b []byte) func() io.Reader {
	return func() io.Reader { return bytes.NewReader(b) }
}

// testCommitRefused: a commit is atomic.
func testCommitRefused(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(6).Concat()[:3500])
	for i, d := range g.Capsules {
		if i == 2 {
			continue
		}
		if err := h.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			t.Fatal(err)
		}
	}
	bad := *g.Manifest
	bad.Root[0]++
	sized := &capsule.Manifest{Store: g.Store, Capsules: []capsule.Descriptor{g.Capsules[0]}}
	sized.Capsules[0].Size++
	sized.Root = sized.Capsules[0].Leaf()
	noRoot := &capsule.Manifest{Store: g.Store,
		Capsules: []capsule.Descriptor{{Size: 1000, Hash: g.Capsules[0].Hash}}}
	for _, c := range []struct {
		name string
		g    storage.Generation
		want error // nil: any
	}{
		{"a capsule is missing", storage.Generation{Manifest: g.Manifest, Head: true}, fs.ErrNotExist},
		{"root does not fold", storage.Generation{Manifest: &bad}, capsule.ErrManifest},
		{"no manifest", storage.Generation{}, capsule.ErrManifest},
		{"no capsules", storage.Generation{Manifest: &capsule.Manifest{Store: g.Store,
			Root: g.Root}}, capsule.ErrManifest},
		{"zero root", storage.Generation{Manifest: noRoot}, capsule.ErrManifest},
		{"another size", storage.Generation{Manifest: sized}, capsule.ErrContentMismatch},
		{"meta is too long", storage.Generation{Manifest: g.Manifest,
			Meta: make([]byte, storage.MaxMeta+1)}, nil},
	} {
		err := h.Commit(t.Context(), &c.g)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.want)
		}
	}
	h.check()
	h.add(g, "", true)
	h.check()
}

// testHeads: older generations are committed later, heads change forward and back, and removing the
// head leaves none.
func testHeads(t *testing.T, h *harness) {
	a := capsuletest.Of(t, 1, []byte("a"), []byte("x"))
	b, c := capsuletest.Of(t, 1, []byte("b")), capsuletest.Of(t, 1, []byte("c"))
	other := capsuletest.Of(t, 2, []byte("a"))
	h.add(a, "late", false)
	h.check() // a store without a head
	h.add(b, "", true)
	h.check()
	h.add(c, "late", false)
	h.add(other, "", true)
	h.check()
	h.commit(c, "", true)
	h.check()
	h.commit(b, "again", false) // the head stays
	h.check()
	h.commit(a, "", true)
	h.check()
	h.remove(a.Store, a.Root)
	h.check()
	h.commit(b, "", true)
	h.check()
	h.commit(b, "late", false) // the head that is committed again as a late one stays the head
	h.check()
}

// testMeta: Meta is stored unchanged, and becomes visible with its manifest.
func testMeta(t *testing.T, h *harness) {
	g := capsuletest.Of(t, 1, []byte("a"))
	key := auth.NewKey([auth.SeedSize]byte{1})
	statement, err := capsule.SignRoot(t.Context(), g.Manifest, 7, key)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := storage.Meta{Generation: 7, Signature: statement.Signature,
		Writer: statement.Writer, Handle: "mydata"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.add(g, string(meta), true)
	h.check()
	signed := *g.Manifest
	signed.Parent = merkle.Hash{3}
	if err := signed.SetStatement(statement); err != nil {
		t.Fatal(err)
	}
	g.Manifest = &signed
	for _, meta := range []string{"", "\x00\xff\"{}", string(make([]byte, storage.MaxMeta))} {
		h.commit(g, meta, true)
		h.check()
	}
	// The caller may change its values afterwards.
	own := []byte("own")
	mine := *g.Manifest
	mine.Capsules = slices.Clone(g.Capsules)
	kept := &storage.Generation{Manifest: &mine, Meta: own, Head: true}
	if err := h.Commit(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	h.stores[g.Store].generations[g.Root] = &storage.Generation{Manifest: g.Manifest,
		Meta: []byte("own")}
	own[0], mine.Capsules[0].Size, kept.Head = 'X', 99, false
	h.check()
}

// testPartialHoldings: a generation is still described after its content was released. Content can
// be put again.
func testPartialHoldings(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(7).Concat()[:3500])
	shared := capsuletest.Of(t, 2, g.Content[1], []byte("own"))
	h.add(g, "", true)
	h.add(shared, "", true)
	h.release(g.Capsules[1].Hash, g.Capsules[3].Hash, merkle.Hash{9})
	h.lacks(g.Capsules[1])
	h.check()
	h.lacks(g.Capsules[3])
	again := g.Capsules[1]
	if err := h.Put(t.Context(), again, bytes.NewReader(g.Content[1])); err != nil {
		t.Fatal(err)
	}
	h.contents[again.Hash] = g.Content[1]
	h.discard(again.Hash) // it is named, so it stays
	h.check()
	h.remove(g.Store, g.Root)
	h.check()
}
