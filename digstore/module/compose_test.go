package module_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A spec of a module for Compose: chunks by number, so that they repeat.
func drawEntries(t *rapid.T, src *memory) []module.Entry {
	var pool []module.Chunk
	for i := range rapid.IntRange(1, 30).Draw(t, "chunks") {
		body := bytes.Repeat([]byte{byte(i)}, rapid.IntRange(16, 400).Draw(t, "length"))
		binary.BigEndian.PutUint32(body, uint32(i))
		c := module.Chunk{ID: merkle.Sum(body), Len: uint32(len(body))}
		if rapid.Bool().Draw(t, "gap") {
			src.frames = append(src.frames, "gap"...)
		}
		if err := src.put(c, body); err != nil {
			t.Fatal(err)
		}
		pool = append(pool, c)
	}
	entries := make([]module.Entry, rapid.IntRange(0, 20).Draw(t, "resources"))
	for i := range entries {
		e := &entries[i]
		e.Key = merkle.Sum([]byte{byte(i)})
		var whole []byte
		for range rapid.IntRange(1, 6).Draw(t, "of chunks") {
			c := rapid.SampledFrom(pool).Draw(t, "chunk")
			e.Chunks = append(e.Chunks, c)
			at := src.at[c.ID] + 4
			whole = append(whole, src.frames[at:at+int64(c.Len)]...)
		}
		e.Leaf = merkle.Sum(whole)
	}
	return entries
}

func drawPadding(t *rapid.T) module.Padding {
	return rapid.SampledFrom([]module.Padding{module.Padme(), module.None(),
		module.Uniform(64 << 10)}).Draw(t, "padding")
}

// Compose, Decompose, Open and the recipe's own reading agree with each other.
func TestComposedModules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := newMemory()
		entries := drawEntries(t, src)
		r, err := module.Compose(auth.StoreID{1}, auth.PublicKey{2}, entries,
			&module.Options{Padding: drawPadding(t)})
		if err != nil {
			t.Fatal(err)
		}
		b := image(t, r, src)
		if r.Size() != int64(len(b)) || r.Len() != len(entries) {
			t.Fatalf("%d bytes of %d, %d resources of %d", len(b), r.Size(), r.Len(), len(entries))
		}
		file, err := module.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		cheap, _ := r.Module(src)
		taken := newMemory()
		apart, err := module.Decompose(t.Context(), iotest.HalfReader(bytes.NewReader(b)), taken.put)
		if err != nil {
			t.Fatal(err)
		}
		hashed, _ := apart.Module(taken)
		for name, m := range map[string]*module.Module{"file": file, "composed": cheap,
			"taken apart": hashed} {
			if m.ID() != r.ID() || m.PublicKey() != (auth.PublicKey{2}) {
				t.Fatalf("%s: %v", name, m.ID())
			}
			if err := m.Verify(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			i := 0
			for res, err := range m.Resources() {
				if err != nil || res.Key() != entries[i].Key || res.Leaf() != entries[i].Leaf ||
					res.SealedSize() != entries[i].SealedSize() {
					t.Fatalf("%s: resource %d: %v", name, i, err)
				}
				i++
			}
			var before merkle.Hash
			for rank := range entries {
				res, err := m.At(rank)
				if err != nil || (rank > 0 && res.Key().Compare(before) <= 0) {
					t.Fatalf("%s: resource at %d: %v", name, rank, err)
				}
				before = res.Key()
				if name != "file" {
					continue
				}
				if p, err := module.ProveWithoutTree(m, rank); err != nil ||
					p.CheckAt(res.Leaf(), m.ID().Root, int64(rank), int64(len(entries))) != nil {
					t.Fatalf("leaf %d proves %v, %v", rank, p.Root, err)
				}
			}
			if _, err := m.At(len(entries)); !isNotExist(err) {
				t.Fatalf("%s: a resource past the last: %v", name, err)
			}
			for _, e := range entries {
				res, err := m.Find(e.Key)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := res.Verify(t.Context()); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		x, _ := r.MarshalBinary()
		if y, _ := apart.MarshalBinary(); !bytes.Equal(x, y) {
			t.Fatal("the recipe composed and the one taken apart differ")
		}
		for _, e := range entries {
			got, ok := apart.Entry(e.Key)
			if !ok || got.Leaf != e.Leaf || !slices.Equal(got.Chunks, e.Chunks) {
				t.Fatalf("entry %v is %v", e, got)
			}
		}
		// Any window of the image is that part of the whole.
		img := r.Image(src)
		for range 20 {
			off := rapid.IntRange(0, len(b)).Draw(t, "offset")
			p := make([]byte, rapid.IntRange(0, 3000).Draw(t, "size"))
			n, err := img.ReadAt(p, int64(off))
			if want := min(len(p), len(b)-off); n != want || !bytes.Equal(p[:n], b[off:off+n]) ||
				(n < len(p)) != (err == io.EOF) && len(p) > 0 {
				t.Fatalf("%d bytes at %d: %d, %v", len(p), off, n, err)
			}
		}
	})
}

// A foreign template carries the data as well as ours, and must be fit for it.
func TestTemplates(t *testing.T) {
	custom := custom([]byte("a guest of another kind"))
	for name, c := range map[string]struct {
		template []byte
		ok       bool
	}{
		"ours":           {module.Stub(), true},
		"with more":      {append(module.Stub(), custom...), true},
		"empty":          {[]byte{}, false},
		"no exports":     {[]byte("\x00asm\x01\x00\x00\x00"), false},
		"one name wrong": {bytes.Replace(module.Stub(), []byte("get_proof"), []byte("got_proof"), 1), false},
		"cut":            {module.Stub()[:500], false},
		"no memory":      {append(module.Stub()[:0x133:0x133], module.Stub()[0x13a:]...), false},
	} {
		r, err := module.Compose(auth.StoreID{1}, auth.PublicKey{2}, nil,
			&module.Options{Template: c.template})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		b := image(t, r, newMemory())
		if err := open(t, b).Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		apart(t, b)
	}
}

func TestComposeRefuses(t *testing.T) {
	a, b := module.Chunk{ID: merkle.Hash{1}, Len: 20}, module.Chunk{ID: merkle.Hash{1}, Len: 21}
	whole := module.Entry{Key: merkle.Hash{1}, Chunks: []module.Chunk{a}}
	huge := module.Entry{Key: merkle.Hash{9}}
	for i := range 100 {
		huge.Chunks = append(huge.Chunks, module.Chunk{ID: merkle.Hash{9, byte(i)}, Len: module.MaxChunk})
	}
	for name, c := range map[string]struct {
		entries []module.Entry
		padding module.Padding
		want    error
	}{
		"a key twice":             {[]module.Entry{whole, whole}, module.Padme(), errExist},
		"no chunk":                {[]module.Entry{{Key: merkle.Hash{1}}}, module.Padme(), nil},
		"a leaf that is no chunk": {[]module.Entry{{Leaf: merkle.Hash{2}, Chunks: []module.Chunk{a}}}, module.Padme(), nil},
		"one chunk, two lengths":  {[]module.Entry{{Chunks: []module.Chunk{a, b}}}, module.Padme(), nil},
		"above the uniform size":  {[]module.Entry{whole}, module.Uniform(600), module.ErrTooLarge},
		"above what memory holds": {[]module.Entry{huge}, module.None(), module.ErrTooLarge},
	} {
		r, err := module.Compose(auth.StoreID{}, auth.PublicKey{}, c.entries,
			&module.Options{Padding: c.padding})
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// Of a module that is not laid out as ours are, the entries are there too.
func TestForeignEntries(t *testing.T) {
	base := sample(t, small(module.Padme()), "a", long, long+long)
	want, src, err := apart(t, base)
	if err != nil {
		t.Fatal(err)
	}
	// Another generation in a row makes the table plain bytes.
	root := want.Root()
	at := bytes.LastIndex(base, root[:])
	odd := bytes.Clone(base)
	odd[at]++
	got, _, err := apart(t, odd)
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != want.Len() {
		t.Fatalf("%d entries, want %d", got.Len(), want.Len())
	}
	for e := range want.Entries() {
		o, ok := got.Entry(e.Key)
		if !ok || o.Leaf != e.Leaf || !slices.Equal(o.Chunks, e.Chunks) {
			t.Errorf("entry %v is %v", e, o)
		}
		r, err := got.Resource(e.Key, src)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, ok := got.Entry(merkle.Hash{}); ok {
		t.Error("an entry that is not there")
	}
}
