package module_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// apart takes a module apart and checks that it comes back bit for bit, also
// from the bytes of its recipe, or that it is refused as Open refuses it.
func apart(t testing.TB, b []byte) (*module.Recipe, *memory, error) {
	t.Helper()
	src := newMemory()
	r, err := module.Decompose(t.Context(), bytes.NewReader(b), src.put)
	_, openErr := module.Open(bytes.NewReader(b), int64(len(b)))
	if (err == nil) != (openErr == nil) {
		t.Fatalf("taking %d bytes apart: %v; opening them: %v", len(b), err, openErr)
	}
	if err != nil {
		if !errors.Is(err, module.ErrFormat) {
			t.Fatalf("taking %d bytes apart: %v", len(b), err)
		}
		return nil, nil, err
	}
	if got := image(t, r, src); !bytes.Equal(got, b) {
		t.Fatalf("%d bytes come back as %d, other from byte %d on", len(b), len(got), differ(got, b))
	}
	if !slices.Equal(r.Pool(), src.order) {
		t.Fatal("Pool is not what put was given")
	}
	enc, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	back, err := module.ParseRecipe(enc)
	if err != nil {
		t.Fatalf("recipe of %d bytes: %v", len(enc), err)
	}
	again, _ := back.MarshalBinary()
	if !bytes.Equal(again, enc) {
		t.Fatalf("recipe of %d bytes encodes again as %d, other from byte %d on", len(enc), len(again),
			differ(enc, again))
	}
	if got := image(t, back, src); !bytes.Equal(got, b) {
		t.Fatalf("%d bytes come back from their recipe's bytes as %d, other from byte %d on", len(b),
			len(got), differ(got, b))
	}
	return back, src, nil
}

func TestVectorsComeBack(t *testing.T) {
	v := loadModules(t)
	for _, c := range v.Modules {
		apart(t, vectors.File(t, "store/"+c.File))
	}
	for _, c := range v.Negative {
		apart(t, vectors.File(t, "store/"+c.File))
	}
}

// sample builds a module of a few small resources.
func sample(t testing.TB, o *module.Options, resources ...string) []byte {
	t.Helper()
	b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, o)
	defer b.Close()
	for i, text := range resources {
		if err := b.Add(t.Context(), fmt.Sprintf("file%d", i),
			bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := b.Build(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// small makes resources of a few bytes have several chunks.
func small(p module.Padding) *module.Options {
	return &module.Options{ChunkMin: 16, ChunkTarget: 32, ChunkMax: 64, Padding: p}
}

const long = "the quick brown fox jumps over the lazy dog, again and again and again and " +
	"again, until nobody looks any more"

// Whatever is done to a module, it is refused, or comes back bit for bit.
func TestAnyBytesComeBack(t *testing.T) {
	base := sample(t, small(module.Uniform(6000)), "a", "", long, long+long)
	step := 29
	if vectors.Long(t) {
		step = 1
	}
	for i := 0; i < len(base); i += step {
		for _, flip := range []byte{0x01, 0xff} {
			b := bytes.Clone(base)
			b[i] ^= flip
			apart(t, b)
		}
	}
	for n := 0; n < len(base); n += 31 {
		if _, _, err := apart(t, base[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(base))
		}
	}
	for name, b := range foreign(t, base) {
		if _, _, err := apart(t, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamagedWrapper: a module whose content is whole, but which other readers of WebAssembly
// refuse or read otherwise, is refused when it is opened and when it is taken apart.
func TestDamagedWrapper(t *testing.T) {
	good := sample(t, small(module.None()), "a", "one")
	if _, _, err := apart(t, good); err != nil {
		t.Fatal(err)
	}
	address := []byte{0x41, 0x80, 0x80, 0x80, 0x01, 0x0b}
	blob := blobOf(section{module.SectionStoreID, make([]byte, 32)},
		section{module.SectionCurrentRoot, make([]byte, 32)})
	least := wasmOf(blob)
	sum := bytes.Replace(least, address, []byte{0x41, 0x80, 0x80, 0x80, 0x01, 0x41, 0, 0x6a, 0x0b}, 1)
	sum[9] += 3 // the data section is longer now
	for name, b := range map[string][]byte{
		"sections twice":           append(bytes.Clone(good), good[8:]...),
		"nameless section":         append(bytes.Clone(good), 0, 0),
		"memory after the data":    append(bytes.Clone(good), 5, 3, 1, 0, 1),
		"bodies without functions": slices.Concat(least[:8], []byte{10, 4, 1, 2, 0, 0x0b}, least[8:]),
		"computed address":         sum,
	} {
		_, _, err := apart(t, b)
		var fault *module.FormatError
		if !errors.As(err, &fault) || fault.Fault != module.NotWasm {
			t.Errorf("%s: %v, want %v", name, err, module.NotWasm)
		}
	}
	if _, _, err := apart(t, least); err != nil {
		t.Errorf("what these were made of: %v", err)
	}
}

// foreign returns modules that are well formed and not built as ours are.
func foreign(t testing.TB, base []byte) map[string][]byte {
	t.Helper()
	random := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{}).Read(random)
	id, root := make([]byte, 32), merkle.Sum(nil)
	frame := func(n int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(n)), random[:n]...)
	}
	pool := func(frames ...[]byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(frames))),
			slices.Concat(frames...)...)
	}
	sections := func(more ...section) []section {
		return append([]section{{module.SectionStoreID, id}, {module.SectionCurrentRoot, root[:]}},
			more...)
	}
	return map[string][]byte{
		"nothing but ids":       wasmOf(blobOf(sections()...)),
		"a blob after another":  wasmOf(blobOf(sections(section{9, pool(frame(20))})...), blobOf(sections()...)),
		"pool of equal chunks":  wasmOf(blobOf(sections(section{9, pool(frame(20), frame(20), frame(30), frame(20))})...)),
		"pool of short chunks":  wasmOf(blobOf(sections(section{9, pool(frame(0), frame(1), frame(0), frame(3))})...)),
		"pool that is cut":      wasmOf(blobOf(sections(section{9, pool(frame(20), frame(20), frame(30), frame(20))[:60]})...)),
		"pool with a tail":      wasmOf(blobOf(sections(section{9, append(pool(frame(20)), "tail"...)})...)),
		"pool of a long chunk":  wasmOf(blobOf(sections(section{9, pool(frame(17), frame(module.MaxChunk + 1)[:0], frame(2<<20))})...)),
		"a lot that is unknown": wasmOf(blobOf(sections(section{77, random})...)),
		"unknown around a pool": wasmOf(blobOf(sections(section{77, random[:2<<20]}, section{9, pool(frame(500), frame(600))}, section{78, random[:1000]}, section{8, random[:999]})...)),
		"long table":            wasmOf(blobOf(sections(section{8, random}, section{10, random[:99]})...)),
		"long custom section":   append(bytes.Clone(base), custom(random)...),
		"random filler":         wasmOf(blobOf(sections(section{11, random[:2<<20]})...)),
		"filler before ids":     wasmOf(blobOf(section{11, random[:200]}, section{2, root[:]}, section{1, id})),
		"ids of odd length":     wasmOf(blobOf(sections(section{1, nil}, section{4, id})...)),
		"sections on sections":  wasmOf(overlap(blobOf(sections(section{9, pool(frame(20))}, section{11, random[:50]})...))),
	}
}

type section struct {
	id   module.Section
	body []byte
}

func blobOf(sections ...section) []byte {
	b := binary.BigEndian.AppendUint32([]byte("DIGS\x01"), uint32(len(sections)))
	at := 9 + 10*len(sections)
	for _, s := range sections {
		b = binary.BigEndian.AppendUint16(b, uint16(s.id))
		b = binary.BigEndian.AppendUint32(b, uint32(at))
		b = binary.BigEndian.AppendUint32(b, uint32(len(s.body)))
		at += len(s.body)
	}
	for _, s := range sections {
		b = append(b, s.body...)
	}
	return b
}

// overlap lets the last section begin inside the one before it.
func overlap(blob []byte) []byte {
	rows := int(binary.BigEndian.Uint32(blob[5:]))
	last := blob[9+10*(rows-1)+2:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)-10)
	return blob
}

func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

// wasmOf is the least module around blobs, each in a segment of its own.
func wasmOf(blobs ...[]byte) []byte {
	segments := leb(len(blobs))
	for _, b := range blobs {
		segments = slices.Concat(segments, []byte{0, 0x41, 0x80, 0x80, 0x80, 0x01, 0x0b}, leb(len(b)), b)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00\x0b"), leb(len(segments)), segments)
}

func custom(body []byte) []byte {
	named := append([]byte("\x01x"), body...)
	return slices.Concat([]byte{0}, leb(len(named)), named)
}

func TestPaddings(t *testing.T) {
	blobLength := func(b []byte) int64 {
		m := open(t, b)
		end := int64(0)
		for id := range module.Section(14) {
			if s, err := m.Section(id); err == nil {
				_, off, n := s.Outer()
				end = max(end, off+n)
			}
		}
		return end - int64(bytes.Index(b, []byte("DIGS")))
	}
	var root merkle.Hash
	for _, c := range []struct {
		padding module.Padding
		content int
		want    int64
	}{
		{module.Padme(), 1, 4096},
		{module.Padme(), 10_000, 10752},
		{module.Padme(), 1_000_000, 1015808},
		{module.Uniform(20_000), 1, 20_000},
		{module.Uniform(20_000), 10_000, 20_000},
	} {
		text := make([]byte, c.content)
		rand.NewChaCha8([32]byte{}).Read(text)
		b := sample(t, &module.Options{Padding: c.padding}, string(text))
		if got := blobLength(b); got != c.want {
			t.Errorf("%d bytes with padding %v: data of %d bytes, want %d", c.content,
				c.padding, got, c.want)
		}
	}
	for i, p := range []module.Padding{module.Padme(), module.Uniform(5000), module.None()} {
		m := open(t, sample(t, &module.Options{Padding: p}, "x"))
		if i > 0 && m.ID().Root != root {
			t.Error("padding changes the root")
		}
		root = m.ID().Root
		if _, err := m.Section(module.SectionFiller); isNotExist(err) != (p == module.None()) {
			t.Errorf("padding %v: filler: %v", p, err)
		}
	}
}

func TestFillerVectors(t *testing.T) {
	var v struct {
		Origin string         `json:"origin"`
		Blobs  []blobCase     `json:"blobs"`
		Reject []blobCase     `json:"reject"`
		Padded []blobCase     `json:"trailing_padding_is_allowed"`
		Pools  []poolCase     `json:"chunk_pool"`
		Filler []fillerVector `json:"filler"`
	}
	vectors.Load(t, "store/data_section.json", &v)
	for _, c := range v.Blobs {
		c.check(t)
	}
	for _, c := range v.Reject {
		b := wasmOf(c.Blob)
		_, err := module.Open(bytes.NewReader(b), int64(len(b)))
		if got := class(err); got != "bad_blob" &&
			!(got == "no_data_section" && !bytes.HasPrefix(c.Blob, []byte("DIGS"))) {
			t.Errorf("%s: %v", c.Name, err)
		}
		apart(t, b)
	}
	for _, c := range v.Padded {
		b := wasmOf(c.Blob)
		if err := open(t, b).VerifyLeaves(); class(err) != "missing_section_4" {
			t.Errorf("%s: %v", c.Name, err)
		}
		apart(t, b)
	}
	for _, c := range v.Pools {
		c.check(t)
	}
	for _, c := range v.Filler {
		c.check(t)
	}
	vectors.Count(t, "store/data_section.json",
		len(v.Blobs)+len(v.Reject)+len(v.Padded)+len(v.Pools)+len(v.Filler), 0)
}

type blobCase struct {
	Name     string      `json:"name"`
	Origin   string      `json:"origin"`
	Blob     vectors.Hex `json:"blob_hex"`
	TotalLen int         `json:"total_len"`
	Sections []struct {
		ID     module.Section `json:"id"`
		Offset int64          `json:"offset"`
		Length int64          `json:"length"`
		Body   vectors.Hex    `json:"body_hex"`
	} `json:"sections"`
	Store  auth.StoreID `json:"store_id"`
	Root   merkle.Hash  `json:"root"`
	RootOK *bool        `json:"root_ok"`
}

func (c *blobCase) check(t *testing.T) {
	t.Helper()
	b := wasmOf(c.Blob)
	m, err := module.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		// Blobs without ids are no modules; their rows are read all the same.
		if !errors.Is(err, module.ErrFormat) || class(err) == "bad_blob" {
			t.Errorf("%s: %v", c.Name, err)
		}
		return
	}
	if m.ID().Store != c.Store || (c.Root != merkle.Hash{} && m.ID().Root != c.Root) {
		t.Errorf("%s: %v", c.Name, m.ID())
	}
	seen := map[module.Section]bool{}
	for _, want := range c.Sections {
		if seen[want.ID] {
			continue
		}
		seen[want.ID] = true
		s, err := m.Section(want.ID)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if body, err := io.ReadAll(s); err != nil || !bytes.Equal(body, want.Body) {
			t.Errorf("%s: %v is %x, %v", c.Name, want.ID, body, err)
		}
	}
	if c.RootOK != nil {
		err := m.VerifyLeaves()
		if ok := err == nil || class(err) == "missing_section_4"; ok && *c.RootOK == false && err == nil {
			t.Errorf("%s: leaves verify", c.Name)
		} else if *c.RootOK && class(err) == "root_mismatch" {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	apart(t, b)
}

type poolCase struct {
	Name   string        `json:"name"`
	Body   vectors.Hex   `json:"body_hex"`
	Chunks []vectors.Hex `json:"chunks_hex"`
}

// check reads each chunk of the pool as a resource of its own.
func (c *poolCase) check(t *testing.T) {
	t.Helper()
	table := binary.BigEndian.AppendUint32(nil, uint32(len(c.Chunks)))
	leaves := bytes.Clone(table)
	for i := range c.Chunks {
		row := module.KeyTableRow{Key: merkle.Hash{byte(i)}, ChunkIndices: []uint32{uint32(i)}}
		b, err := row.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		table = append(table, b...)
		leaf := merkle.Sum(c.Chunks[i])
		leaves = append(leaves, leaf[:]...)
	}
	id := make([]byte, 32)
	b := wasmOf(blobOf(section{1, id}, section{2, id}, section{8, table}, section{9, c.Body},
		section{10, leaves}))
	m := open(t, b)
	for i, want := range c.Chunks {
		r, err := m.Find(merkle.Hash{byte(i)})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if got, err := io.ReadAll(r.Sealed()); err != nil || !bytes.Equal(got, want) ||
			r.Leaf() != merkle.Sum(got) {
			t.Errorf("%s: chunk %d is %x, %v", c.Name, i, got, err)
		}
	}
	apart(t, b)
}

type fillerVector struct {
	Store   auth.StoreID `json:"store_id"`
	Root    merkle.Hash  `json:"root"`
	Length  int          `json:"length"`
	Bytes   vectors.Hex  `json:"bytes_hex"`
	First64 vectors.Hex  `json:"first64_hex"`
	Sum     *merkle.Hash `json:"sha256"`
}

// check compares the filler that a recipe makes with the vector's.
func (c *fillerVector) check(t *testing.T) {
	t.Helper()
	got := module.Filler(module.ID{Store: c.Store, Root: c.Root}, c.Length)
	if c.Bytes != nil && !bytes.Equal(got, c.Bytes) || !bytes.HasPrefix(got, c.First64) ||
		c.Sum != nil && merkle.Sum(got) != *c.Sum {
		t.Errorf("filler of %d bytes: %x…", c.Length, got[:min(64, len(got))])
	}
}

// A Builder that is never closed, as when its process is killed, leaves no file.
func TestBuilderLeavesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed on Windows")
	}
	dir := t.TempDir()
	b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{}, &module.Options{TempDir: dir})
	defer b.Close()
	for name, text := range corpus.Small(1) {
		if err := b.Add(t.Context(), name, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Fatalf("%d files in the temporary folder, %v; expected none", len(list), err)
	}
}
