package cdc_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/internal/cdc"
	"github.com/dig-network/digstore/internal/vectors"
)

// reference is the rule as digstore/module/FORMAT.md 2.2 has it, byte by byte: the end of
// the chunk that begins at start.
func reference(data []byte, start int, p cdc.Params) int {
	mask := uint64(1)<<(bits.Len(uint(p.Target))-1) - 1
	if len(data)-start <= p.Min {
		return len(data)
	}
	end := len(data)
	if p.Max < end-start {
		end = start + p.Max
	}
	var h uint64
	for i := start; i < end; {
		h = h<<1 + cdc.Table[data[i]]
		i++
		if i >= start+p.Min && h&mask == 0 {
			return i
		}
	}
	return end
}

func referenceCuts(data []byte, p cdc.Params) []int {
	var cuts []int
	for at := 0; at < len(data); {
		at = reference(data, at, p)
		cuts = append(cuts, at)
	}
	return cuts
}

// stream cuts what r gives with a Reader.
func stream(t interface{ Fatal(...any) }, r *cdc.Reader, want []byte) []int {
	var cuts []int
	at := 0
	for {
		chunk, err := r.Next()
		if err == io.EOF {
			return cuts
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk) == 0 || !bytes.Equal(chunk, want[at:min(at+len(chunk), len(want))]) {
			t.Fatal("a chunk of", len(chunk), "bytes at", at, "is not what the stream has there")
		}
		at += len(chunk)
		cuts = append(cuts, at)
	}
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.NewChaCha8(key).Read(b)
	return b
}

func TestGearVectors(t *testing.T) {
	const name = "store/gear_table.json"
	var file struct {
		Origin  string
		Seed    string `json:"seed_hex"`
		Pinned  map[string]string
		Entries []string    `json:"entries_hex"`
		Hash    vectors.Hex `json:"sha256_of_big_endian_concat"`
	}
	vectors.Load(t, name, &file)
	number := func(s string) uint64 {
		v, err := strconv.ParseUint(s, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if len(file.Entries) != len(cdc.Table) {
		t.Fatalf("%d entries", len(file.Entries))
	}
	sum := sha256.New()
	state := number(file.Seed)
	for i, s := range file.Entries {
		state += 0x9e3779b97f4a7c15
		z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		want := z ^ z>>31
		if pin, ok := file.Pinned[strconv.Itoa(i)]; ok {
			want = number(pin)
		}
		if got := cdc.Table[i]; got != number(s) || got != want {
			t.Errorf("entry %d is %016x, want %s, by the rule %016x", i, got, s, want)
		}
		binary.Write(sum, binary.BigEndian, cdc.Table[i])
	}
	if !bytes.Equal(sum.Sum(nil), file.Hash) {
		t.Errorf("the table hashes to %x, want %v", sum.Sum(nil), file.Hash)
	}
	vectors.Count(t, name, len(file.Entries), 0)
}

func TestChunkVectors(t *testing.T) {
	const name = "store/chunker.json"
	var file struct {
		Origin     string
		InputKinds string `json:"input_kinds"`
		Vectors    []struct {
			Name   string
			Input  vectors.Input
			Config struct {
				Min  int    `json:"min_size"`
				Max  int    `json:"max_size"`
				Mask string `json:"mask_hex"`
			}
			InputHash string   `json:"input_sha256"`
			Lengths   []int    `json:"lengths"`
			Hashes    []string `json:"chunk_sha256"` // the first 64
		}
	}
	vectors.Load(t, name, &file)
	hash := func(b []byte) string {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])
	}
	for _, c := range file.Vectors {
		mask, err := strconv.ParseUint(c.Config.Mask, 16, 31)
		if err != nil {
			t.Fatal(err)
		}
		p := cdc.Params{Min: c.Config.Min, Target: int(mask) + 1, Max: c.Config.Max}
		if got := hash(c.Input); got != c.InputHash {
			t.Fatalf("%s: the input made hashes to %s, want %s", c.Name, got, c.InputHash)
		}
		var lengths []int
		var hashes []string
		at := 0
		for _, end := range cdc.Cuts(c.Input, p, nil) {
			lengths = append(lengths, end-at)
			if len(hashes) < 64 {
				hashes = append(hashes, hash(c.Input[at:end]))
			}
			at = end
		}
		if !slices.Equal(lengths, c.Lengths) || !slices.Equal(hashes, c.Hashes) {
			t.Errorf("%s: lengths %v, want %v", c.Name, lengths, c.Lengths)
		}
		if got, want := stream(t, cdc.NewReader(bytes.NewReader(c.Input), p), c.Input), cdc.Cuts(c.Input,
			p, nil); !slices.Equal(got, want) {
			t.Errorf("%s: cut in a stream at %v, want %v", c.Name, got, want)
		}
	}
	vectors.Count(t, name, len(file.Vectors), 0)
}

// Slices, streams of any read sizes, parallel parts and the loop of the spec
// cut alike, whatever the sizes.
func TestAllCutAlike(t *testing.T) {
	limit := 20_000
	if vectors.Long(t) {
		limit = 2_000_000
	}
	rapid.Check(t, func(t *rapid.T) {
		p := cdc.Params{
			Min:    rapid.OneOf(rapid.IntRange(1, 80), rapid.IntRange(1, 5000)).Draw(t, "min"),
			Target: 1 << rapid.IntRange(0, bits.UintSize-2).Draw(t, "target bits"),
			Max:    rapid.OneOf(rapid.IntRange(1, 10_000), rapid.Just(math.MaxInt)).Draw(t, "max"),
		}
		p.Target += rapid.IntRange(0, p.Target-1).Draw(t, "target rest")
		data := noise(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, limit).Draw(t, "length"))
		if rapid.Bool().Draw(t, "with runs") {
			for at := 0; at < len(data); at += 300 {
				copy(data[at:], bytes.Repeat(data[at:at+1], int(data[at])))
			}
		}
		want := referenceCuts(data, p)
		if got := cdc.Cuts(data, p, nil); !slices.Equal(got, want) {
			t.Fatalf("%+v: cut at %v, want %v", p, got, want)
		}
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 5).Draw(t, "read sizes")
		r := &chunky{data: data, sizes: append(sizes, 1)}
		if got := stream(t, cdc.NewReader(r, p), data); !slices.Equal(got, want) {
			t.Fatalf("%+v: cut in a stream at %v, want %v", p, got, want)
		}
		// A slice that ends early settles a chunk rightly or not at all.
		if cut := rapid.IntRange(0, len(data)).Draw(t, "cut"); len(data) > 0 {
			if n := cdc.Next(p, data[:cut], false); n != 0 && n != want[0] {
				t.Fatalf("%+v: of %d bytes the first %d, want %d or none", p, cut, n, want[0])
			}
		}
	})
}

// chunky gives data in reads of the sizes, over and over.
type chunky struct {
	data  []byte
	sizes []int
	n     int
}

func (c *chunky) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	size := min(c.sizes[c.n%len(c.sizes)], len(p), len(c.data))
	c.n++
	copy(p, c.data[:size])
	c.data = c.data[size:]
	if len(c.data) == 0 && c.n%2 == 0 {
		return size, io.EOF // the end may come with the last bytes
	}
	return size, nil
}

func TestParallel(t *testing.T) {
	data := noise(1, 9<<20)
	copy(data[3<<20:], make([]byte, 2<<20)) // two MiB without a place to cut at
	for _, p := range []cdc.Params{{}, {Min: 64, Target: 1 << 10, Max: 4 << 10},
		{Min: 8, Target: 1 << 20, Max: 1 << 16}, {Max: math.MaxInt}, {Min: 100, Target: 1, Max: 100}} {
		want := cdc.Cuts(data, p, nil)
		for _, n := range []int{0, 1, 2, 3, 7, 1000} {
			if got := cdc.CutsParallel(data, p, []int{-1}, n); got[0] != -1 || !slices.Equal(got[1:], want) {
				t.Errorf("%+v with %d workers: %d cuts, want %d", p, n, len(got)-1, len(want))
			}
		}
	}
	if got := cdc.CutsParallel(nil, cdc.Params{}, nil, 4); len(got) != 0 {
		t.Errorf("nothing is cut at %v", got)
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	r := cdc.NewReader(io.MultiReader(bytes.NewReader(noise(1, 300_000)), iotest.ErrReader(broken)),
		cdc.Params{})
	var err error
	for err == nil {
		_, err = r.Next()
	}
	if _, again := r.Next(); !errors.Is(err, broken) || !errors.Is(again, broken) {
		t.Errorf("errors %v, then %v", err, again)
	}
	r.Reset(bytes.NewReader([]byte("ok")))
	if chunk, err := r.Next(); err != nil || string(chunk) != "ok" {
		t.Errorf("after Reset: %q, %v", chunk, err)
	}
	r.Reset(idle{})
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// A Reader's memory does not depend on the stream.
func TestReaderAllocates(t *testing.T) {
	data := noise(1, 8<<20)
	r := cdc.NewReader(nil, cdc.Params{})
	once := func() {
		r.Reset(bytes.NewReader(data))
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	}
	once()
	if got := testing.AllocsPerRun(3, once); got > 2 {
		t.Errorf("%v allocations for a stream of %d bytes", got, len(data))
	}
}

func TestParams(t *testing.T) {
	data := noise(7, 1<<20)
	whole := cdc.Params{Min: cdc.DefaultMin, Target: cdc.DefaultTarget, Max: cdc.DefaultMax}
	if !slices.Equal(cdc.Cuts(data, cdc.Params{}, nil), referenceCuts(data, whole)) {
		t.Error("the zero Params do not cut as the defaults do")
	}
	if err := whole.Check(); err != nil {
		t.Error(err)
	}
	if err := (cdc.Params{Min: 10, Max: 9}).Check(); err == nil {
		t.Error("a minimum above the maximum passed")
	}
}

// However a stream is cut up into reads, its chunks are those of the loop.
func FuzzReader(f *testing.F) {
	f.Add([]byte("hello, hello, hello"), uint16(3), uint8(2), uint16(9), uint8(4))
	f.Add(noise(3, 5000), uint16(64), uint8(8), uint16(1024), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, least uint16, targetBits uint8, most uint16, read uint8) {
		p := cdc.Params{Min: 1 + int(least), Target: 1 << (targetBits % 31), Max: 1 + int(most)}
		want := referenceCuts(data, p)
		if got := cdc.Cuts(data, p, nil); !slices.Equal(got, want) {
			t.Errorf("%+v: cut at %v, want %v", p, got, want)
		}
		r := &chunky{data: data, sizes: []int{int(read), 1}}
		if got := stream(t, cdc.NewReader(r, p), data); !slices.Equal(got, want) {
			t.Errorf("%+v: cut in a stream at %v, want %v", p, got, want)
		}
	})
}
