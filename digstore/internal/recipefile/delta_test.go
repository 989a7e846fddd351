package recipefile

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// edit changes a column like a commit: it replaces, inserts and removes some bytes.
func edit(rnd *rand.Rand, b []byte) []byte {
	out := bytes.Clone(b)
	for range rnd.IntN(20) {
		at, n := rnd.IntN(len(out)+1), rnd.IntN(64)
		piece := make([]byte, n)
		for i := range piece {
			piece[i] = byte(rnd.Uint32())
		}
		switch rnd.IntN(3) {
		case 0:
			copy(out[at:], piece)
		case 1:
			out = append(out[:at:at], append(piece, out[at:]...)...)
		default:
			out = append(out[:at:at], out[min(at+n, len(out)):]...)
		}
	}
	return out
}

func TestDelta(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for size := range 200 {
		base := make([]byte, size*size)
		for i := range base {
			base[i] = byte(rnd.Uint32())
		}
		target := edit(rnd, base)
		delta := appendDelta(nil, base, target)
		got, err := applyDelta(base, delta, len(target))
		if err != nil || !bytes.Equal(got, target) {
			t.Fatalf("size %d: %d bytes, %v; want %d", size, len(got), err, len(target))
		}
		// 20 edits of at most 64 bytes, a block lost at each end of each, and the operations.
		if most := 20*(64+2*deltaBlock+12) + 16; len(delta) > most {
			t.Errorf("size %d: a delta of %d bytes, want at most %d", size, len(delta), most)
		}
		if len(target) > 0 {
			if _, err := applyDelta(base, delta, len(target)-1); err == nil {
				t.Error("a delta made another length than was asked for")
			}
		}
		if _, err := applyDelta(base, delta[:len(delta)-1], len(target)); err == nil {
			t.Error("a cut delta was applied")
		}
	}
}

func FuzzApplyDelta(f *testing.F) {
	base := bytes.Repeat([]byte("0123456789abcdef"), 20)
	f.Add(appendDelta(nil, base, append([]byte("new"), base[5:]...)), 318)
	f.Add([]byte{0, 255, 255, 255, 255, 15, 0}, 10)
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 10)
	f.Fuzz(func(t *testing.T, delta []byte, size int) {
		size = max(0, size%(1<<20))
		got, err := applyDelta(base, delta, size)
		if err == nil && len(got) != size {
			t.Fatalf("%d bytes, want %d", len(got), size)
		}
		target := delta // any target can be encoded
		back, err := applyDelta(base, appendDelta(nil, base, target), len(target))
		if err != nil || !bytes.Equal(back, target) {
			t.Fatalf("%q is made as %q, %v", target, back, err)
		}
	})
}

func BenchmarkDelta(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	base := make([]byte, 1<<20)
	for i := range base {
		base[i] = byte(rnd.Uint32())
	}
	target := edit(rnd, base)
	b.SetBytes(int64(len(target)))
	for b.Loop() {
		appendDelta(nil, base, target)
	}
}
