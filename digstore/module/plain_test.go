package module_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// plain opens resource i of a sample.
func plain(t testing.TB, m *module.Module, name string) *module.Plain {
	t.Helper()
	u := urn.URN{Store: auth.StoreID{1}, Resource: name}
	r, err := m.Find(u.RetrievalKey())
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Open(u.Key(nil))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlainReads(t *testing.T) {
	texts := []string{"", "a", long, long + long + long}
	m := open(t, sample(t, small(module.None()), texts...))
	for i, text := range texts {
		name := "file" + string(rune('0'+i))
		p := plain(t, m, name)
		if err := iotest.TestReader(p, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if n, err := io.Copy(&b, p); err != nil || n != p.Size() || b.String() != text {
			t.Errorf("%s: copied %d of %d bytes, %v", name, n, p.Size(), err)
		}
	}
}

// Sealed bytes can be read from anywhere.
func TestSealedReads(t *testing.T) {
	b := sample(t, small(module.Padme()), "", long+long)
	r, src, err := apart(t, b)
	if err != nil {
		t.Fatal(err)
	}
	cheap, _ := r.Module(src)
	for _, m := range []*module.Module{open(t, b), cheap} {
		for res, err := range m.Resources() {
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(res.Sealed())
			if err != nil || merkle.Sum(whole) != res.Leaf() {
				t.Fatal(err)
			}
			if err := iotest.TestReader(res.Sealed(), whole); err != nil {
				t.Error(err)
			}
		}
	}
}

// Any number of goroutines may ReadAt.
func TestPlainReadsAtOnce(t *testing.T) {
	text := long + long + long
	p := plain(t, open(t, sample(t, small(module.None()), text)), "file0")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range len(text) - 20 {
				at := (i*7 + g*13) % (len(text) - 20)
				b := make([]byte, 20)
				if _, err := p.ReadAt(b, int64(at)); err != nil || string(b) != text[at:at+20] {
					t.Errorf("at %d: %q, %v", at, b, err)
				}
			}
		})
	}
	wg.Wait()
}

// A damaged chunk is refused where it is reached, and by name.
func TestPlainRefusesDamage(t *testing.T) {
	base := sample(t, small(module.None()), long+long)
	m := open(t, base)
	pool, err := m.Section(module.SectionChunkPool)
	if err != nil {
		t.Fatal(err)
	}
	_, off, n := pool.Outer()
	bad := bytes.Clone(base)
	bad[off+n-1] ^= 1 // in the last chunk
	p := plain(t, open(t, bad), "file0")
	got, err := io.ReadAll(p)
	if !errors.Is(err, urn.ErrSealed) || len(got) == 0 || !bytes.HasPrefix([]byte(long+long), got) {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := plain(t, open(t, bad), "file0").WriteTo(io.Discard); !errors.Is(err, urn.ErrSealed) {
		t.Error(err)
	}
	empty := sample(t, nil, "")
	m = open(t, empty)
	u := urn.URN{Store: auth.StoreID{1}, Resource: "file0"}
	r, err := m.Find(u.RetrievalKey())
	if err != nil {
		t.Fatal(err)
	}
	wrong, _ := r.Open(u.Key(&urn.Salt{1}))
	if _, err := wrong.Read(make([]byte, 1)); !errors.Is(err, urn.ErrSealed) {
		t.Errorf("empty content with another key: %v", err)
	}
}

func TestBuilder(t *testing.T) {
	b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{},
		&module.Options{MaxContent: 10, TempDir: t.TempDir()})
	add := func(name, text string) error {
		return b.Add(t.Context(), name, bytes.NewReader([]byte(text)))
	}
	if err := add("a", "12345"); err != nil {
		t.Fatal(err)
	}
	if err := add("a", "1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name twice: %v", err)
	}
	if err := add("b", "123456"); !errors.Is(err, module.ErrTooLarge) {
		t.Errorf("too much: %v", err)
	}
	if err := b.Add(t.Context(), "b", errorReader{}); !errors.Is(err, errDisk) {
		t.Errorf("broken reader: %v", err)
	}
	if err := add("b", "54321"); err != nil {
		t.Errorf("after errors: %v", err)
	}
	var out bytes.Buffer
	root, err := b.Build(t.Context(), &out)
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, out.Bytes())
	if err := m.Verify(t.Context()); err != nil || m.ID().Root != root {
		t.Errorf("%v, root %v, want %v", err, m.ID().Root, root)
	}
	if text, err := io.ReadAll(plain(t, m, "b")); err != nil || string(text) != "54321" {
		t.Errorf("b is %q, %v", text, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, o := range []module.Options{{ChunkMin: 100, ChunkMax: 10}, {ChunkMax: module.MaxChunk}} {
		b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{}, &o)
		if err := b.Add(t.Context(), "a", bytes.NewReader(nil)); err == nil {
			t.Errorf("%+v: no error", o)
		}
		b.Close()
	}
	// A builder without a resource makes an empty module.
	var empty bytes.Buffer
	if root, err := module.NewBuilder(auth.StoreID{}, auth.PublicKey{}, nil).Build(t.Context(),
		&empty); err != nil || root != merkle.Sum(nil) {
		t.Errorf("empty: %v, %v", root, err)
	}
	apart(t, empty.Bytes())
}

func TestStructureVectors(t *testing.T) {
	var v struct {
		Origin string          `json:"origin"`
		Encode []structureCase `json:"encode"`
		Reject []structureCase `json:"reject"`
		Accept []structureCase `json:"accept_with_trailing_bytes"`
	}
	vectors.Load(t, "store/codec.json", &v)
	passed, skipped := 0, 0
	for _, c := range v.Encode {
		s, ok := c.structure(t)
		if !ok {
			skipped++
			continue
		}
		passed++
		if b, err := s.MarshalBinary(); err == nil && len(b) > len(c.Encoded) &&
			bytes.HasPrefix(b, c.Encoded) &&
			c.Type == "content_response" { // the early form, without chunk lengths
			if err := s.UnmarshalBinary(c.Encoded); err != nil {
				t.Errorf("%s %s: %v", c.Type, c.Name, err)
			}
			continue
		}
		if b, err := s.MarshalBinary(); err != nil || !bytes.Equal(b, c.Encoded) {
			t.Errorf("%s %s: encodes as %x, %v, want %v", c.Type, c.Name, b, err, c.Encoded)
		}
		back := c.empty()
		if err := module.UnmarshalStrict(c.Encoded, back); err != nil {
			t.Errorf("%s %s: %v", c.Type, c.Name, err)
		}
		if b, err := back.MarshalBinary(); err != nil || !bytes.Equal(b, c.Encoded) {
			t.Errorf("%s %s: decodes and encodes as %x, %v", c.Type, c.Name, b, err)
		}
		longer := append(bytes.Clone(c.Encoded), 1, 2, 3, 4, 5, 6, 7, 8)
		if err := module.UnmarshalStrict(longer, c.empty()); err == nil {
			t.Errorf("%s %s: bytes that follow are taken", c.Type, c.Name)
		}
		for n := range c.Encoded {
			if err := c.empty().UnmarshalBinary(c.Encoded[:n]); err == nil &&
				!(c.Type == "content_response" && n == len(c.Encoded)-len(c.lens())) {
				t.Errorf("%s %s: the first %d bytes are taken", c.Type, c.Name, n)
			}
		}
	}
	for i, c := range append(v.Reject, v.Accept...) {
		s := c.empty()
		if s == nil {
			skipped++
			continue
		}
		passed++
		err := s.UnmarshalBinary(c.Encoded)
		if accept := i >= len(v.Reject); accept != (err == nil) {
			t.Errorf("%s %s: %v", c.Type, c.Name, err)
		}
	}
	// Skipped: primitives, which internal/codec has, and structures of auth, merkle and urn.
	vectors.Count(t, "store/codec.json", passed, skipped)
}
