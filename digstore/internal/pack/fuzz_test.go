package pack_test

import (
	"bytes"
	"testing"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// packOf returns a finished pack of those chunks.
func packOf(t testing.TB, chunks ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pack.NewWriter(&b)
	for _, c := range chunks {
		if err := w.Add(merkle.Sum([]byte(c)), []byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != w.Size() {
		t.Fatalf("%d bytes were written, Size is %d", b.Len(), w.Size())
	}
	return b.Bytes()
}

// FuzzReadIndex: an index finds its own chunks, and reading a chunk that it names succeeds or
// reports damage.
func FuzzReadIndex(f *testing.F) {
	f.Add(packOf(f))
	f.Add(packOf(f, "one", "", "three"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		x, err := pack.ReadIndex("p", r, int64(len(b)))
		if err != nil {
			return
		}
		for e := range x.Entries() {
			if e.Offset < 0 {
				continue
			}
			sealed, err := pack.ReadFrame("p", r, e, nil)
			if err == nil && merkle.Sum(sealed) != e.ID {
				t.Fatalf("chunk %s is %q", e.ID, sealed)
			}
		}
	})
}

// FuzzParseMerged: an index that parses is encoded to the same bytes.
func FuzzParseMerged(f *testing.F) {
	f.Add(pack.Merge([]*pack.Index{indexOf("a", 0, 3), indexOf("b", 3, 2)}).Marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := pack.ParseMerged(b)
		if err != nil {
			return
		}
		if again := x.Marshal(); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		x.Find(merkle.Sum(b))
	})
}

// FuzzReadUnfinished: the valid part of an unfinished pack can be continued, and the result has the
// old and the new chunks.
func FuzzReadUnfinished(f *testing.F) {
	whole := packOf(f, "one", "two", "three")
	f.Add(whole)
	f.Add(whole[:20])
	want := map[merkle.Hash]uint32{}
	for _, c := range []string{"one", "two", "three"} {
		want[merkle.Sum([]byte(c))] = uint32(len(c))
	}
	lookup := func(id merkle.Hash) (uint32, bool) { n, ok := want[id]; return n, ok }
	f.Fuzz(func(t *testing.T, b []byte) {
		had, end, err := pack.ReadUnfinished(bytes.NewReader(b), int64(len(b)), lookup)
		if err != nil {
			t.Fatal(err)
		}
		if end == 0 {
			return
		}
		out := bytes.NewBuffer(bytes.Clone(b[:end]))
		w := pack.Resume(out, had, end)
		late := []byte("late")
		if err := w.Add(merkle.Sum(late), late); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(out.Bytes())
		x, err := pack.ReadIndex("p", r, r.Size())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range append(had, w.Entries()...) {
			c := module.Chunk{ID: e.ID, Len: e.Len}
			if _, ok := w.Find(c); !ok {
				t.Fatalf("chunk %s is not found", e.ID)
			}
			if _, _, ok := x.Find(e.ID); !ok {
				t.Fatalf("chunk %s is not in the index", e.ID)
			}
			if _, err := pack.ReadFrame("p", r, e, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}
