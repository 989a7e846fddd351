package module_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func seeds(f *testing.F) {
	for _, b := range vectors.Seeds(f, "store/modules/*.dig") {
		if len(b) < 10_000 {
			f.Add(b)
		}
	}
	f.Add(sample(f, small(module.None()), "a", "", long, long+long))
	f.Add(wasmOf(blobOf(section{1, make([]byte, 32)}, section{2, make([]byte, 32)},
		section{9, []byte{0, 0, 0, 1, 0, 0, 0, 1, 7}})))
}

// Whatever the bytes, everything that can be asked of a module has an answer.
func FuzzOpen(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := module.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		_ = m.VerifyLeaves()
		_ = m.Verify(context.Background())
		_, _ = m.Find(merkle.Hash{})
		n := 0
		for r, err := range m.Resources() {
			if err != nil {
				break
			}
			if n++; n > 10 {
				break
			}
			if found, err := m.Find(r.Key()); err != nil || found.Key() != r.Key() {
				t.Errorf("resource %v is not found: %v", r.Key(), err)
			}
			if k, err := io.Copy(io.Discard, r.Sealed()); err != nil || k != r.SealedSize() {
				t.Errorf("%d sealed bytes of %d, %v", k, r.SealedSize(), err)
			}
			p, err := r.Proof()
			if err == nil && p.Check(r.Leaf(), p.Root) != nil {
				t.Error("a proof that does not hold")
			}
		}
		_, _ = m.History()
		_, _ = m.Metadata()
		_, _ = m.AuthInfo()
		_, _ = m.TrustedKeys()
		_, _ = m.ChainState()
		_, _ = m.PublicManifest()
	})
}

// Whatever Decompose takes comes back bit for bit, and it takes what Open takes.
func FuzzTakeApart(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) { apart(t, b) })
}

// A recipe that parses encodes to the same bytes, and all of it can be read.
func FuzzRecipe(f *testing.F) {
	for _, b := range [][]byte{
		sample(f, small(module.None()), "a", "", long, long+long),
		sample(f, nil, "a"),
		wasmOf(blobOf(section{1, make([]byte, 32)}, section{2, make([]byte, 32)}, section{9, []byte{0, 0, 0, 1, 0, 0, 0, 1, 7}})),
	} {
		r, _, err := apart(f, b)
		if err != nil {
			f.Fatal(err)
		}
		enc, _ := r.MarshalBinary()
		f.Add(enc)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := module.ParseRecipe(b)
		if err != nil {
			return
		}
		if enc, _ := r.MarshalBinary(); !bytes.Equal(enc, b) {
			t.Errorf("%x encodes again as %x", b, enc)
		}
		img := r.Image(nil)
		for off := int64(0); off < min(r.Size(), 1<<20); off += 1000 {
			p := make([]byte, 1000)
			_, _ = img.ReadAt(p, off)
		}
		n := 0
		for e := range r.Entries() {
			if got, ok := r.Entry(e.Key); !ok || got.Leaf != e.Leaf {
				t.Errorf("entry %v is not found", e.Key)
			}
			if n++; n > 10 {
				break
			}
		}
		m, _ := r.Module(nil)
		_ = m.VerifyLeaves()
		_ = m.Verify(context.Background())
	})
}

// The structures decode to what encodes to the same bytes, or not at all.
func FuzzStructures(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1}, uint8(0))
	names := []string{"key_table_entry", "metadata_manifest", "authentication_info", "trusted_keys",
		"chain_state", "content_response", "execution_proof", "proof_response", "public_input",
		"content_request", "proof_request", "public_manifest"}
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		c := structureCase{Type: names[int(which)%len(names)]}
		s := c.empty()
		if s.UnmarshalBinary(b) != nil {
			return
		}
		enc, err := s.MarshalBinary()
		if err != nil {
			t.Fatalf("%T: %v", s, err)
		}
		again := c.empty()
		if err := module.UnmarshalStrict(enc, again); err != nil || !equalEncoding(t, s, again) {
			t.Errorf("%T: %x encodes as %x, which decodes as %v, %v", s, b, enc, again, err)
		}
	})
}
