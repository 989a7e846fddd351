package recipefile_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/merkle"
)

// FuzzDecode: a file of any bytes is decoded or refused. A decoded body is the same after encoding
// and decoding it again, with a base and without.
func FuzzDecode(f *testing.F) {
	base := &recipefile.Base{Root: merkle.Hash{1}, Depth: 2, Body: bytes.Repeat([]byte("base "), 200)}
	body := append([]byte("new "), base.Body[7:]...)
	for _, from := range []*recipefile.Base{nil, base} {
		file, err := recipefile.Encode(body, from)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
		f.Add(file[:len(file)-2])
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		body, err := recipefile.Decode(file, base.Body)
		if err != nil {
			return
		}
		for _, from := range []*recipefile.Base{nil, base} {
			again, err := recipefile.Encode(body, from)
			if err != nil {
				t.Fatal(err)
			}
			got, err := recipefile.Decode(again, base.Body)
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%q is decoded as %q, %v", body, got, err)
			}
			again[len(again)-1] ^= 1
			if got, err := recipefile.Decode(again, base.Body); err == nil && !bytes.Equal(got, body) {
				t.Fatal("another body has the same checksum")
			}
		}
		_, _ = recipefile.ParseBody(body)
	})
}

// TestSmallBodies: a body of any length is read back, also one that is shorter than the smallest
// window of zstd.
func TestSmallBodies(t *testing.T) {
	for _, n := range []int{0, 1, 10, 500, 1023, 1024, 1025} {
		body := bytes.Repeat([]byte{7}, n)
		root := merkle.Hash{1}
		bases := []*recipefile.Base{nil, {Root: root, Body: body}, {Root: root}}
		for _, base := range bases {
			file, err := recipefile.Encode(body, base)
			if err != nil {
				t.Fatal(err)
			}
			var from []byte
			if base != nil {
				from = base.Body
			}
			got, err := recipefile.Decode(file, from)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, base %v: %d bytes, %v", n, base != nil, len(got), err)
			}
		}
	}
}

// TestBases: a base has fewer bits in its number, and a chain has at most 6 bases.
func TestBases(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		want []uint64
	}{
		{0, nil}, {64, nil}, {128, nil}, {1, []uint64{0}}, {7, []uint64{6, 4, 0}},
		{63, []uint64{62, 60, 56, 48, 32, 0}}, {65, []uint64{64}}, {199, []uint64{198, 196, 192}},
	} {
		t.Run(fmt.Sprint(c.n), func(t *testing.T) {
			got := slices.Collect(recipefile.Bases(c.n))
			if !slices.Equal(got, c.want) || len(got) > recipefile.MaxDepth {
				t.Errorf("bases %v, want %v", got, c.want)
			}
		})
	}
}
