package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Hex is bytes that a vector file spells as a string of hexadecimal digits.
type Hex []byte

// UnmarshalText decodes hexadecimal digits of either case.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("hex of %d digits: %w", len(text), err)
	}
	*h = b
	return nil
}

// String returns the bytes as lower-case hexadecimal digits.
func (h Hex) String() string { return hex.EncodeToString(h) }

// An Input is data that a vector file describes instead of spelling it out.
type Input []byte

// maxInput is the longest data that an Input may describe.
const maxInput = 1 << 30

// UnmarshalJSON makes the bytes from their description. Kind "xorshift64" is
// Length bytes of Marsaglia's generator (shifts 13, 7, 17), bits 24 to 31 of
// each state after Seed; "repeat" is one byte Length times; "concat" is Parts
// one after the other.
func (in *Input) UnmarshalJSON(text []byte) error {
	var d struct {
		Kind   string
		Seed   Hex
		Byte   byte
		Length int
		Parts  []Input
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return fmt.Errorf("generated input: %w", err)
	}
	if d.Length < 0 || d.Length > maxInput {
		return fmt.Errorf("generated input of %d bytes, allowed are 0 to %d", d.Length, maxInput)
	}
	switch d.Kind {
	case "xorshift64":
		if len(d.Seed) != 8 {
			return fmt.Errorf("generated input: seed of %d bytes, wanted 8", len(d.Seed))
		}
		*in = xorshift(d.Seed, d.Length)
	case "repeat":
		*in = bytes.Repeat([]byte{d.Byte}, d.Length)
	case "concat":
		*in = Input{}
		for _, p := range d.Parts {
			*in = append(*in, p...)
		}
	default:
		return fmt.Errorf("generated input of unknown kind %q", d.Kind)
	}
	return nil
}

func xorshift(seed []byte, n int) []byte {
	var s uint64
	for _, b := range seed {
		s = s<<8 | uint64(b)
	}
	out := make([]byte, n)
	for i := range out {
		s ^= s << 13
		s ^= s >> 7
		s ^= s << 17
		out[i] = byte(s >> 24)
	}
	return out
}
