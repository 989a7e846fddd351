package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/internal/vectors"
)

// A kind is one primitive type of store/codec.json: it reads a value and
// writes back what it read.
type kind func(r *codec.Reader, w *codec.Writer)

var kinds = map[string]kind{
	"u8":  func(r *codec.Reader, w *codec.Writer) { w.U8(r.U8()) },
	"u16": func(r *codec.Reader, w *codec.Writer) { w.U16(r.U16()) },
	"u32": func(r *codec.Reader, w *codec.Writer) { w.U32(r.U32()) },
	"u64": func(r *codec.Reader, w *codec.Writer) { w.U64(r.U64()) },
	"option_u32": func(r *codec.Reader, w *codec.Writer) {
		some := r.Option()
		w.Option(some)
		if some {
			w.U32(r.U32())
		}
	},
	"vec_u16": func(r *codec.Reader, w *codec.Writer) {
		n := r.Count(2)
		w.Count(n)
		for range n {
			w.U16(r.U16())
		}
	},
	"string": func(r *codec.Reader, w *codec.Writer) { w.String(r.String()) },
	"bytes":  func(r *codec.Reader, w *codec.Writer) { w.Bytes(r.Bytes()) },
}

// value reads the JSON value of a vector as the Go value that was encoded.
func value(t *testing.T, kind string, text json.RawMessage, w *codec.Writer) {
	t.Helper()
	var n json.Number
	number := func(text json.RawMessage) uint64 {
		if err := json.Unmarshal(bytes.Trim(text, `"`), &n); err != nil {
			t.Fatal(err)
		}
		v, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	switch kind {
	case "u8":
		w.U8(uint8(number(text)))
	case "u16":
		w.U16(uint16(number(text)))
	case "u32":
		w.U32(uint32(number(text)))
	case "u64":
		w.U64(number(text))
	case "option_u32":
		w.Option(string(text) != "null")
		if string(text) != "null" {
			w.U32(uint32(number(text)))
		}
	case "vec_u16":
		var items []uint16
		if err := json.Unmarshal(text, &items); err != nil {
			t.Fatal(err)
		}
		w.Count(len(items))
		for _, v := range items {
			w.U16(v)
		}
	case "string":
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		w.String(s)
	default:
		t.Fatalf("no value of type %s", kind)
	}
}

func TestVectors(t *testing.T) {
	const name = "store/codec.json"
	var file struct {
		Origin string
		Encode []struct {
			Type, Name string
			Fields     map[string]json.RawMessage
			Encoded    vectors.Hex
			Note       string
		}
		Reject []struct {
			Type, Name string
			Encoded    vectors.Hex
			Note       string
		}
		Trailing []struct {
			Type    string
			Encoded vectors.Hex
			Note    string
		} `json:"accept_with_trailing_bytes"`
	}
	vectors.Load(t, name, &file)
	passed, elsewhere := 0, 0
	for _, c := range file.Encode {
		k, ok := kinds[c.Type]
		if !ok {
			elsewhere++ // structures, which their own packages test
			continue
		}
		w := codec.NewWriter(nil)
		value(t, c.Type, c.Fields["v"], w)
		if b, err := w.Done(); err != nil || !bytes.Equal(b, c.Encoded) {
			t.Errorf("%s %s: encoded as %x, %v, want %v", c.Type, c.Name, b, err, c.Encoded)
		}
		r, w := codec.NewReader(c.Encoded), codec.NewWriter(nil)
		k(r, w)
		if b, _ := w.Done(); r.Done() != nil || !bytes.Equal(b, c.Encoded) {
			t.Errorf("%s %s: %v, read and written back as %x", c.Type, c.Name, r.Done(), b)
		}
		passed++
	}
	for _, c := range file.Reject {
		k, ok := kinds[c.Type]
		if !ok {
			elsewhere++
			continue
		}
		r := codec.NewReader(c.Encoded)
		k(r, codec.NewWriter(nil))
		var e *codec.Error
		if !errors.As(r.Err(), &e) {
			t.Errorf("%s %s: error %v", c.Type, c.Name, r.Err())
		}
		passed++
	}
	for _, c := range file.Trailing {
		k, ok := kinds[c.Type]
		if !ok {
			elsewhere++
			continue
		}
		r := codec.NewReader(c.Encoded)
		k(r, codec.NewWriter(nil))
		if r.Err() != nil || !errors.Is(r.Done(), codec.ErrValue) {
			t.Errorf("%s: %v, then %v", c.Type, r.Err(), r.Done())
		}
		passed++
	}
	vectors.Count(t, name, passed, elsewhere)
}

// After the first error nothing more is read, and nothing is invented.
func TestSticky(t *testing.T) {
	r := codec.NewReader([]byte{0, 0, 0, 9, 1, 2, 3})
	if b := r.Bytes(); b != nil {
		t.Errorf("Bytes = %x", b)
	}
	first := r.Err()
	if !errors.Is(first, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", first)
	}
	dst := []byte{7}
	r.Fixed(dst)
	r.Fail(errors.New("later"))
	if r.U8() != 0 || r.U16() != 0 || r.U32() != 0 || r.U64() != 0 || r.String() != "" || r.Bool() ||
		r.Option() ||
		r.Count(1) != 0 || len(r.Rest()) != 0 || r.Len() != 0 || dst[0] != 7 {
		t.Error("something was read after an error")
	}
	if r.Err() != first || r.Done() != first {
		t.Errorf("the error became %v", r.Err())
	}
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		read func(*codec.Reader)
		want error
	}{
		{"bool 2", "\x02", func(r *codec.Reader) { r.Bool() }, codec.ErrValue},
		{"option ff", "\xff", func(r *codec.Reader) { r.Option() }, codec.ErrValue},
		{"not UTF-8", "\x00\x00\x00\x02\xc3\x28", func(r *codec.Reader) { _ = r.String() }, codec.ErrValue},
		{"count too large", "\xff\xff\xff\xff12345678", func(r *codec.Reader) { r.Count(4) }, codec.ErrValue},
		{"count one too many", "\x00\x00\x00\x031234", func(r *codec.Reader) { r.Count(2) }, codec.ErrValue},
		{"count of a type without size", "\x00\x00\x00\x051234", func(r *codec.Reader) { r.Count(0) }, codec.ErrValue},
		{"length too large", "\xff\xff\xff\xff", func(r *codec.Reader) { r.Bytes() }, io.ErrUnexpectedEOF},
		{"short array", "123", func(r *codec.Reader) { r.Fixed(make([]byte, 4)) }, io.ErrUnexpectedEOF},
		{"nothing", "", func(r *codec.Reader) { r.U8() }, io.ErrUnexpectedEOF},
	} {
		r := codec.NewReader([]byte(c.in))
		if c.read(r); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: error %v, want %v", c.name, r.Err(), c.want)
		}
	}
	w := codec.NewWriter([]byte("kept"))
	w.String("\xff")
	w.U8(1)
	if b, err := w.Done(); b != nil || !errors.Is(err, codec.ErrValue) {
		t.Errorf("writing a string that is not UTF-8: %x, %v", b, err)
	}
	for _, n := range []int{-1, math.MinInt} {
		w := codec.NewWriter(nil)
		if w.Count(n); w.Len() != 0 {
			t.Errorf("count %d was written", n)
		}
		if _, err := w.Done(); !errors.Is(err, codec.ErrTooLong) {
			t.Errorf("count %d: %v", n, err)
		}
	}
}

// A slice that Bytes gives cannot be appended over the input.
func TestBytesAlias(t *testing.T) {
	in := []byte{0, 0, 0, 1, 'a', 'b'}
	b := codec.NewReader(in).Bytes()
	if &b[0] != &in[4] {
		t.Error("Bytes copied")
	}
	if _ = append(b, 'x'); in[5] != 'b' {
		t.Error("appending to Bytes changed the input")
	}
}

// Any sequence of values comes back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type field struct {
			kind int
			n    uint64
			b    []byte
			s    string
		}
		fields := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) field {
			return field{rapid.IntRange(0, 7).Draw(t, "kind"), rapid.Uint64().Draw(t, "n"),
				rapid.SliceOf(rapid.Byte()).Draw(t, "b"), rapid.String().Draw(t, "s")}
		}), 0, 20).Draw(t, "fields")
		w := codec.NewWriter([]byte("before"))
		for _, f := range fields {
			switch f.kind {
			case 0:
				w.U8(uint8(f.n))
			case 1:
				w.U16(uint16(f.n))
			case 2:
				w.U32(uint32(f.n))
			case 3:
				w.U64(f.n)
			case 4:
				w.Bytes(f.b)
			case 5:
				w.String(f.s)
			case 6:
				w.Bool(f.n&1 == 1)
			case 7:
				w.Fixed(f.b)
			}
		}
		b, err := w.Done()
		if err != nil {
			t.Fatal(err)
		}
		r := codec.NewReader(b)
		before := make([]byte, len("before"))
		r.Fixed(before)
		for i, f := range fields {
			ok := true
			switch f.kind {
			case 0:
				ok = r.U8() == uint8(f.n)
			case 1:
				ok = r.U16() == uint16(f.n)
			case 2:
				ok = r.U32() == uint32(f.n)
			case 3:
				ok = r.U64() == f.n
			case 4:
				ok = bytes.Equal(r.Bytes(), f.b)
			case 5:
				ok = r.String() == f.s
			case 6:
				ok = r.Bool() == (f.n&1 == 1)
			case 7:
				got := make([]byte, len(f.b))
				r.Fixed(got)
				ok = bytes.Equal(got, f.b)
			}
			if !ok {
				t.Fatalf("field %d of %+v came back otherwise", i, fields)
			}
		}
		if err := r.Done(); err != nil || string(before) != "before" || r.Offset() != len(b) {
			t.Fatal(err)
		}
	})
}

// The input is a list of primitives to read and the bytes to read them from.
// No input panics, and what was read without error is what was there.
func FuzzReader(f *testing.F) {
	names := []string{"u8", "u16", "u32", "u64", "option_u32", "vec_u16", "string", "bytes"}
	f.Add([]byte{0, 1, 2, 3}, make([]byte, 15))
	f.Add([]byte{5, 6, 7, 4}, []byte("\x00\x00\x00\x01ab\x00\x00\x00\x01c\x00\x00\x00\x00\x00"))
	f.Add([]byte{5}, []byte("\xff\xff\xff\xff\x00\x01"))
	f.Fuzz(func(t *testing.T, program, in []byte) {
		r, w := codec.NewReader(in), codec.NewWriter(nil)
		for _, p := range program {
			kinds[names[int(p)%len(names)]](r, w)
		}
		if r.Err() != nil {
			return
		}
		if b, err := w.Done(); err != nil || !bytes.Equal(b, in[:r.Offset()]) {
			t.Errorf("%x read by %x is written back as %x, %v", in, program, b, err)
		}
	})
}

// A key table of 10,000 entries of one chunk each.
func BenchmarkReader(b *testing.B) {
	w := codec.NewWriter(nil)
	var key [32]byte
	for i := range 10_000 {
		w.Fixed(key[:])
		w.Fixed(key[:])
		w.Count(1)
		w.U32(uint32(i))
		w.U64(65552)
	}
	in, err := w.Done()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r := codec.NewReader(in)
		for r.Len() > 0 {
			r.Fixed(key[:])
			r.Fixed(key[:])
			for range r.Count(4) {
				r.U32()
			}
			r.U64()
		}
		if err := r.Done(); err != nil {
			b.Fatal(err)
		}
	}
}
