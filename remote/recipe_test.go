package remote_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// randomRecipe composes a module of n random resources. change selects those that differ from the
// resources of seed.
func randomRecipe(t testing.TB, n int, change func(i int) (seed uint64, gone bool)) *module.Recipe {
	t.Helper()
	var entries []module.Entry
	for i := range n {
		seed, gone := change(i)
		if gone {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(i), seed))
		hash := func(r *rand.Rand) (h merkle.Hash) {
			for k := range h {
				h[k] = byte(r.Uint32())
			}
			return h
		}
		e := module.Entry{Key: hash(rand.New(rand.NewPCG(uint64(i), 1<<40)))}
		for range 1 + max(0, r.IntN(14)-10) {
			e.Chunks = append(e.Chunks, module.Chunk{ID: hash(r), Len: 16 + r.Uint32N(30_000)})
		}
		if e.Leaf = hash(r); len(e.Chunks) == 1 {
			e.Leaf = e.Chunks[0].ID
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b module.Entry) int { return a.Key.Compare(b.Key) })
	r, err := module.Compose(auth.StoreID{7}, auth.PublicKey{8}, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func same(int) (uint64, bool) { return 0, false }

func encoded(t testing.TB, r *module.Recipe) []byte {
	t.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// known is the function by which wire.UnpackRecipe gets bases.
func known(have ...*module.Recipe) func(merkle.Hash) (*module.Recipe, error) {
	return func(root merkle.Hash) (*module.Recipe, error) {
		for _, r := range have {
			if r.Root() == root {
				return r, nil
			}
		}
		return nil, fs.ErrNotExist
	}
}

// TestPackRecipe checks that a packed recipe unpacks to the same recipe, with any base.
func TestPackRecipe(t *testing.T) {
	recipes := []*module.Recipe{
		randomRecipe(t, 0, same),
		randomRecipe(t, 1, same),
		randomRecipe(t, 300, same),
		randomRecipe(t, 300, func(i int) (uint64, bool) { return uint64(i % 3), i%50 == 7 }),
		randomRecipe(t, 900, func(i int) (uint64, bool) { return 5, false }),
	}
	for i, r := range recipes {
		for j, base := range append([]*module.Recipe{nil}, recipes...) {
			b, err := wire.PackRecipe(r, base)
			if err != nil {
				t.Fatal(err)
			}
			got, err := wire.UnpackRecipe(b, known(recipes...))
			if err != nil {
				t.Fatalf("%d against %d: %v", i, j-1, err)
			}
			if !bytes.Equal(encoded(t, got), encoded(t, r)) {
				t.Errorf("%d against %d: another recipe came out", i, j-1)
			}
		}
	}
}

// TestPackRecipeSize compares the size of a recipe with one change in a hundred with the
// incompressible part: the IDs of new chunks, the leaves of new resources with several, and the
// keys of new resources.
func TestPackRecipeSize(t *testing.T) {
	for _, tc := range []struct{ n, over int }{{500, 5}, {5000, 20}} {
		before := randomRecipe(t, tc.n, func(i int) (uint64, bool) { return 0, i%500 == 11 })
		after := randomRecipe(t, tc.n, func(i int) (uint64, bool) {
			// 8 of 1,000 changed, 2 removed and 2 new
			if i%125 == 3 {
				return 1, false
			}
			return 0, i%500 == 77
		})
		floor := 0
		for e := range after.Entries() {
			was, ok := before.Entry(e.Key)
			switch {
			case !ok:
				floor += 32
			case was.Leaf == e.Leaf:
				continue
			}
			floor += 32 * len(e.Chunks)
			if len(e.Chunks) > 1 {
				floor += 32
			}
		}
		packed, err := wire.PackRecipe(after, before)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := wire.PackRecipe(after, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf(
			"%d resources: encoding %d bytes, packed alone %d, against the one before %d, of which %d "+
				"are new hashes",
			tc.n, len(encoded(t, after)), len(alone), len(packed), floor)
		if most := floor + floor/2 + 512; len(packed) > most {
			t.Errorf("%d resources: %d bytes, want at most %d", tc.n, len(packed), most)
		}
	}
}

// TestUnpackRecipeRefuses checks that invalid packs are refused and allocate no more than the
// limit.
func TestUnpackRecipeRefuses(t *testing.T) {
	base := randomRecipe(t, 40, same)
	other := randomRecipe(t, 40, func(i int) (uint64, bool) { return 3, false })
	good, err := wire.PackRecipe(other, nil)
	if err != nil {
		t.Fatal(err)
	}
	against, err := wire.PackRecipe(other, base)
	if err != nil {
		t.Fatal(err)
	}
	raw := encoded(t, other)
	frame := func(raw []byte, o ...zstd.EOption) []byte {
		w, err := zstd.NewWriter(nil, append(o, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(raw, nil)
	}
	packed := func(size uint32, frame ...byte) []byte {
		b := append([]byte("DIGRCPW1"), make([]byte, 40)...)
		return append(binary.BigEndian.AppendUint32(b, size), frame...)
	}
	edit := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		b[at] ^= v
		return b
	}
	size := uint32(len(raw))
	streamed := func() []byte { // without a content size
		var b bytes.Buffer
		w, _ := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
		w.Write(make([]byte, 70<<20))
		w.Close()
		return b.Bytes()
	}()
	for name, tc := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                         {nil, module.ErrRecipe},
		"a header only":                   {packed(0), module.ErrRecipe},
		"another version":                 {edit(good, 7, 3), module.ErrRecipe},
		"no frame":                        {packed(5, []byte("hello")...), module.ErrRecipe},
		"cut":                             {good[:len(good)-3], module.ErrRecipe},
		"more behind it":                  {append(bytes.Clone(good), "more"...), module.ErrRecipe},
		"another frame behind it":         {append(bytes.Clone(good), frame(make([]byte, 1<<20))...), module.ErrRecipe},
		"announced too long":              {packed(1<<31, good[52:]...), module.ErrRecipe},
		"announced one longer":            {packed(size+1, good[52:]...), module.ErrRecipe},
		"announced one shorter":           {packed(size-1, good[52:]...), module.ErrRecipe},
		"a bomb":                          {packed(size, frame(make([]byte, 64<<20))...), module.ErrRecipe},
		"a bomb of no announced length":   {packed(size, streamed...), module.ErrRecipe},
		"a bomb within what is announced": {packed(wire.MaxRecipe, frame(make([]byte, wire.MaxRecipe))...), module.ErrRecipe},
		"a frame to be skipped":           {packed(size, append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, good[52:]...)...), module.ErrRecipe},
		"a dictionary of a number":        {packed(size, frame(raw, zstd.WithEncoderDictRaw(77, raw))...), module.ErrRecipe},
		"a digest without a base":         {edit(good, 45, 1), module.ErrRecipe},
		"a base that is not here":         {edit(against, 9, 1), remote.ErrNoBase},
		"another dictionary":              {edit(against, 41, 1), remote.ErrNoBase},
		"a damaged frame":                 {edit(against, len(against)-9, 0x55), module.ErrRecipe},
		"no recipe":                       {packed(uint32(len("no recipe")), frame([]byte("no recipe"))...), module.ErrRecipe},
	} {
		r, err := wire.UnpackRecipe(tc.b, known(base))
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, %v, want %v", name, r, err, tc.want)
		}
	}
	broken := errors.New("disk")
	if _, err := wire.UnpackRecipe(against, func(merkle.Hash) (*module.Recipe, error) {
		return nil, broken
	}); !errors.Is(err, broken) || errors.Is(err, remote.ErrNoBase) {
		t.Errorf("a base that cannot be read: %v", err)
	}
}

// TestPackRecipeTooLarge checks that a recipe with chunks longer than any module is not packed.
func TestPackRecipeTooLarge(t *testing.T) {
	long, err := module.Compose(auth.StoreID{7}, auth.PublicKey{8},
		[]module.Entry{{Key: merkle.Hash{1},
			Chunks: []module.Chunk{{ID: merkle.Hash{2}, Len: module.MaxChunk + 1}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.PackRecipe(long, nil); !errors.Is(err, remote.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func FuzzUnpackRecipe(f *testing.F) {
	base := randomRecipe(f, 30, same)
	for _, b := range []*module.Recipe{nil, base} {
		for _, n := range []int{0, 3, 30} {
			p, err := wire.PackRecipe(randomRecipe(f, n, func(i int) (uint64, bool) {
				return uint64(i) & 1, false
			}), b)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := wire.UnpackRecipe(b, known(base))
		if err != nil {
			if !errors.Is(err, module.ErrRecipe) && !errors.Is(err, remote.ErrNoBase) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := wire.PackRecipe(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := wire.UnpackRecipe(again, known(base)); err != nil ||
			!bytes.Equal(encoded(t, back), encoded(t, r)) {
			t.Fatalf("what came out does not go in again: %v", err)
		}
		places := r.Offsets()
		for i, at := range places { // a chunk with an offset lies inside the module
			if at >= 0 && at+int64(r.Pool()[i].Len) > r.Size() {
				t.Fatalf("chunk %d at %d of %d bytes", i, at, r.Size())
			}
		}
	})
}
