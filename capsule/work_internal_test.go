package capsule

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/merkle"
)

func testInput(i int) WorkInput {
	h := func(s string) merkle.Hash { return sha256.Sum256(fmt.Append(nil, s, i)) }
	return WorkInput{TableDataHash: h("table"), PreviousHash: h("previous"), PlotSeed: h("seed"),
		CapsuleHash: h("capsule")}
}

// kernels are all that this processor can run.
func kernels(in WorkInput, bits int) map[string]workKernel {
	return map[string]workKernel{"portable": newPortableKernel(in, bits),
		"chosen": newWorkKernel(in, bits)}
}

// Every kernel finds exactly the nonces that crypto/sha256 finds, whatever the place where it
// begins.
func TestWorkKernels(t *testing.T) {
	for i := range 3 {
		in := testInput(i)
		for _, bits := range []int{0, 1, 3, 5, 8, 12} {
			const count = 1 << 13
			for _, from := range []uint64{0, 1, 1<<32 - 4001, 1<<63 + 7} {
				var want []uint64
				for n := from; n < from+count; n++ {
					if ZeroBits(in.Hash(n)) >= bits {
						want = append(want, n)
					}
				}
				for name, k := range kernels(in, bits) {
					var got []uint64
					for at := from; at < from+count; {
						n, ok := k.search(at, from+count-at)
						if !ok {
							break
						}
						got = append(got, n)
						at = n + 1
					}
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s, %d bits from %d: %d nonces, want %d", name, bits, from,
							len(got), len(want))
					}
				}
			}
		}
	}
}

func BenchmarkWork(b *testing.B) {
	for name, k := range kernels(testInput(0), 60) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(128)
			for i := 0; i < b.N; i += workCheck {
				k.search(uint64(i), workCheck)
			}
		})
	}
	b.Run("bare", func(b *testing.B) { // 128 bytes at the speed of a long message
		buf := make([]byte, 1<<20)
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			sha256.Sum256(buf)
		}
	})
}

// A capsule ends at 4 GiB - 1, without hashing all of it here.
func TestHasherLimit(t *testing.T) {
	h := NewHasher()
	h.size = MaxSize - 1
	if n, err := h.Write([]byte{1, 2}); n != 0 || !errors.Is(err, ErrCapsuleTooLarge) ||
		h.size != MaxSize-1 {
		t.Errorf("%d bytes written, %v", n, err)
	}
	if n, err := h.Write([]byte{1}); n != 1 || err != nil {
		t.Errorf("%d bytes written, %v", n, err)
	}
}
