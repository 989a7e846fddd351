package module_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// A content is what a reader of a module sees of what the root speaks for: the
// sealed bytes of the resources in the order of their keys.
func content(m *module.Module) (string, error) {
	type resource struct{ key, sum merkle.Hash }
	var all []resource
	for r, err := range m.Resources() {
		if err != nil {
			return "", err
		}
		sealed, err := io.ReadAll(r.Sealed())
		if err != nil {
			return "", err
		}
		all = append(all, resource{r.Key(), merkle.Sum(sealed)})
	}
	slices.SortFunc(all, func(a, b resource) int { return a.key.Compare(b.key) })
	root := m.ID().Root
	s := root.String()
	for _, r := range all {
		s += r.sum.String()
	}
	return s, nil
}

// Every change of a single byte is refused, or leaves what the root speaks for
// as it was. What can change unseen lies where the doc of Verify says.
func TestVerifyNoticesEveryChange(t *testing.T) {
	o := small(module.Uniform(2700))
	base := sample(t, o, "a", "", long, long+long)
	m := open(t, base)
	want, err := content(m)
	if err != nil {
		t.Fatal(err)
	}
	where := map[string]int{}
	flips := []byte{0x01, 0x80}
	if vectors.Long(t) {
		flips = []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}
	}
	for i := range base {
		for _, flip := range flips {
			b := bytes.Clone(base)
			b[i] ^= flip
			changed, err := module.Open(bytes.NewReader(b), int64(len(b)))
			if err == nil {
				err = changed.Verify(t.Context())
			}
			if err != nil {
				if !errors.Is(err, module.ErrFormat) && !errors.Is(err, module.ErrVerify) {
					t.Errorf("byte %d: %v", i, err)
				}
				continue
			}
			if got, err := content(changed); err != nil || got != want {
				t.Errorf("byte %d, in %s: unnoticed, %v", i, place(m, i), err)
			}
			where[place(m, i)]++
		}
	}
	t.Logf("changes outside of what Verify looks at: %v", where)
	for _, inside := range []string{"section 2, CurrentRoot", "section 10, MerkleNodes",
		"section 9, ChunkPool"} {
		if where[inside] > 0 {
			t.Errorf("%d unnoticed changes in %s", where[inside], inside)
		}
	}
	if where["outside"] == 0 || where["section 11, Filler"] == 0 {
		t.Error("changes of code or filler are noticed, which the format does not provide for")
	}
}

// One resource is verified against the root, and not against what the leaves fold to.
func TestVerifyResource(t *testing.T) {
	base := sample(t, small(module.None()), "a", "", long)
	m := open(t, base)
	for _, id := range []module.Section{module.SectionCurrentRoot, module.SectionMerkleNodes} {
		s, err := m.Section(id)
		if err != nil {
			t.Fatal(err)
		}
		_, off, n := s.Outer()
		b := bytes.Clone(base)
		b[off+n-1] ^= 1
		for r, err := range open(t, b).Resources() {
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Verify(t.Context()); !errors.Is(err, module.ErrVerify) {
				t.Errorf("%v changed: resource %s: %v", id, r.Key(), err)
			}
		}
	}
}

// place names the part of the module that holds byte i.
func place(m *module.Module, i int) string {
	for id := range module.Section(14) {
		if s, err := m.Section(id); err == nil {
			if _, off, n := s.Outer(); int64(i) >= off && int64(i) < off+n {
				return id.String()
			}
		}
	}
	return "outside"
}

// A change in a chunk that the store gives is noticed too.
func TestVerifyReadsTheSource(t *testing.T) {
	base := sample(t, small(module.Padme()), "a", "", long, long+long)
	r, src, err := apart(t, base) // from the bytes of the recipe
	if err != nil {
		t.Fatal(err)
	}
	for i := range src.frames {
		src.frames[i] ^= 1
		m, _ := r.Module(src)
		err := m.Verify(t.Context())
		frame := slices.ContainsFunc(r.Pool(), func(c module.Chunk) bool {
			return int64(i) >= src.at[c.ID] && int64(i) < src.at[c.ID]+4
		})
		if !frame && !errors.Is(err, module.ErrVerify) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, err := r.Image(src).WriteTo(io.Discard); frame && err == nil {
			t.Errorf("byte %d, in the length of a frame: not noticed", i)
		}
		src.frames[i] ^= 1
	}
	delete(src.at, r.Pool()[1].ID)
	m, _ := r.Module(src)
	if err := m.Verify(t.Context()); !isNotExist(err) {
		t.Errorf("without a chunk: %v", err)
	}
}

// What was hashed on the way is not read again, and what does not fit is known.
func TestVerifyAfterTakeApart(t *testing.T) {
	base := sample(t, small(module.Padme()), "a", "", long, long+long)
	m := open(t, base)
	pool, err := m.Section(module.SectionChunkPool)
	if err != nil {
		t.Fatal(err)
	}
	_, off, n := pool.Outer()
	for i := int(off); i < int(off+n); i += 3 {
		b := bytes.Clone(base)
		b[i] ^= 4
		src := newMemory()
		r, err := module.Decompose(t.Context(), bytes.NewReader(b), src.put)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := r.Module(src)
		if err := m.Verify(t.Context()); !errors.Is(err, module.ErrVerify) &&
			!errors.Is(err, module.ErrFormat) {
			t.Errorf("byte %d of the pool: %v", i-int(off), err)
		}
	}
	src := newMemory()
	r, err := module.Decompose(t.Context(), bytes.NewReader(base), src.put)
	if err != nil {
		t.Fatal(err)
	}
	apart, _ := r.Module(src)
	var last int64
	err = apart.VerifyProgress(t.Context(), func(done, total int64) {
		if done < last || done > total {
			t.Errorf("progress goes from %d to %d of %d", last, done, total)
		}
		last = done
	})
	if err != nil || src.reads.Load() > 0 || last == 0 {
		t.Errorf("verified with %d reads of chunks, %d bytes gone through: %v",
			src.reads.Load(), last, err)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	m := open(t, sample(t, nil, long))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

var errDisk = errors.New("disk on fire")

type failing struct{ io.ReaderAt }

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

// What the reader says is not the module's fault.
func TestReaderErrors(t *testing.T) {
	if _, err := module.Open(failing{}, 1000); !errors.Is(err, errDisk) ||
		errors.Is(err, module.ErrFormat) {
		t.Error(err)
	}
	base := sample(t, nil, "x")
	broken := io.MultiReader(bytes.NewReader(base[:len(base)/2]), errorReader{})
	if _, err := module.Decompose(t.Context(), broken, newMemory().put); !errors.Is(err, errDisk) ||
		errors.Is(err, module.ErrFormat) {
		t.Error(err)
	}
	full := func(module.Chunk, []byte) error { return errDisk }
	if _, err := module.Decompose(t.Context(), bytes.NewReader(base),
		full); !errors.Is(err, errDisk) || errors.Is(err, module.ErrFormat) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := module.Decompose(ctx, bytes.NewReader(base),
		newMemory().put); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errDisk }
