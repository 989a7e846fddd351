package module

import (
	"encoding"
	"fmt"

	"github.com/dig-network/digstore/internal/codec"
)

// A Structure is one of the structures of FORMAT.md 5 and 10. MarshalBinary
// returns its encoding. UnmarshalBinary reads it from the start of a slice and
// ignores bytes that follow. It does not panic, and it allocates in proportion
// to the input.
type Structure interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
	encode(w *codec.Writer)
	decode(r *codec.Reader)
}

// UnmarshalStrict is v.UnmarshalBinary(b), but bytes that follow are an error.
func UnmarshalStrict(b []byte, v Structure) error {
	r := codec.NewReader(b)
	v.decode(r)
	return wrapDecode(v, r.Done())
}

func marshal(v Structure) ([]byte, error) {
	w := codec.NewWriter(nil)
	v.encode(w)
	b, err := w.Done()
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

func unmarshal(b []byte, v Structure) error {
	r := codec.NewReader(b)
	v.decode(r)
	return wrapDecode(v, r.Err())
}

func wrapDecode(v Structure, err error) error {
	if err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

func decodeOptionalString(r *codec.Reader) *string {
	if !r.Option() {
		return nil
	}
	s := r.String()
	return &s
}

func encodeOptionalString(w *codec.Writer, s *string) {
	w.Option(s != nil)
	if s != nil {
		w.String(*s)
	}
}

func decodeStrings(r *codec.Reader) []string {
	var out []string
	for n := r.Count(4); n > 0 && r.Err() == nil; n-- {
		out = append(out, r.String())
	}
	return out
}

func encodeStrings(w *codec.Writer, list []string) {
	w.Count(len(list))
	for _, s := range list {
		w.String(s)
	}
}

func decodeU32s(r *codec.Reader) []uint32 {
	n := r.Count(4)
	if n == 0 {
		return nil
	}
	out := make([]uint32, n)
	for i := range out {
		out[i] = r.U32()
	}
	return out
}

func encodeU32s(w *codec.Writer, list []uint32) {
	w.Count(len(list))
	for _, v := range list {
		w.U32(v)
	}
}
