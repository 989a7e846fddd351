package bls

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// scaledSum is held to doubling and adding, bit by bit.
func TestScaledSum(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	sk, err := KeyGenV3(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 3, 8, 17, 40} {
		points, factors := make([]*g2, n), make([]uint64, n)
		want := newTotal()
		for i := range points {
			points[i] = sk.Sign(Augmented, []byte{byte(i / 2)}).p // each point twice
			factors[i] = []uint64{dice.Uint64(), 0, 1, math.MaxUint64, 1 << 63,
				dice.Uint64() & 0xf0f0}[dice.IntN(6)]
			one := newTotal()
			for bit := 63; bit >= 0; bit-- {
				one.addTotal(one)
				if factors[i]>>bit&1 == 1 {
					one.add(points[i])
				}
			}
			want.addTotal(one)
		}
		if got := scaledSum(points, factors); got.encode() != want.point().encode() {
			t.Errorf("%d points with %x: got %x, want %x", n, factors, got.encode(), want.point().encode())
		}
	}
}
