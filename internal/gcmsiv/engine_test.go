package gcmsiv

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCounterMode compares each engine with the standard library's AES, block
// by block, with counters that wrap around on the way.
func TestCounterMode(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for _, e := range engines() {
		t.Run(e.String(), func(t *testing.T) {
			for n := range 700 {
				var key [32]byte
				var start [16]byte
				random.Read(key[:])
				random.Read(start[:])
				if n%2 == 0 {
					binary.LittleEndian.PutUint32(start[:], -uint32(n%50)) // within 50 blocks of the wrap
				}
				src := make([]byte, n)
				random.Read(src)

				var k aesKey
				k.init(e, &key)
				got, counter := make([]byte, n), start
				k.xorKeyStream(got, src, &counter)

				want, next := keyStream(t, key, start, n)
				for i := range want {
					want[i] ^= src[i]
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%d bytes from counter %x:\n got %x\nwant %x", n, start, got, want)
				}
				if counter != next {
					t.Fatalf("%d bytes from counter %x: the counter is then %x, want %x", n, start, counter, next)
				}
			}
		})
	}
}

// keyStream is n bytes of key stream by RFC 8452, and the counter after them.
func keyStream(t *testing.T, key [32]byte, counter [16]byte, n int) ([]byte, [16]byte) {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	var stream []byte
	for len(stream) < n {
		var out [16]byte
		block.Encrypt(out[:], counter[:])
		stream = append(stream, out[:]...)
		binary.LittleEndian.PutUint32(counter[:], binary.LittleEndian.Uint32(counter[:])+1)
	}
	return stream[:n], counter
}

// TestPOLYVAL compares each engine with the definition: random inputs, and the
// densest ones, which carry most.
func TestPOLYVAL(t *testing.T) {
	random := rand.NewChaCha8([32]byte{2})
	ones := bytes.Repeat([]byte{0xff}, 16*130)
	for _, e := range engines() {
		t.Run(e.String(), func(t *testing.T) {
			for blocks := range 130 {
				var key, start [16]byte
				random.Read(key[:])
				random.Read(start[:])
				data := make([]byte, 16*blocks)
				random.Read(data)
				switch blocks % 4 {
				case 0:
					key = [16]byte(ones)
				case 1:
					key, data = [16]byte(ones), ones[:16*blocks]
				}
				var k hashKey
				k.init(e, &key)
				got := start
				k.update(&got, data)
				if want := polyval(key, start, data); got != want {
					t.Fatalf("%d blocks under %x: got %x, want %x", blocks, key, got, want)
				}
			}
		})
	}
}

// TestPOLYVALExample is the worked example of RFC 8452, appendix A.
func TestPOLYVALExample(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := [16]byte(unhex("25629347589242761d31f826ba4b757b"))
	data := unhex("4f4f95668c83dfb6401762bb2d01a262" + "d1a24ddd2721d006bbe45f20d3c9f362")
	want := [16]byte(unhex("f7a3b47b846119fae5b7866cf5e5b77e"))
	if got := polyval(key, [16]byte{}, data); got != want {
		t.Errorf("reference: got %x, want %x", got, want)
	}
	for _, e := range engines() {
		var k hashKey
		var got [16]byte
		k.init(e, &key)
		k.update(&got, data)
		if got != want {
			t.Errorf("%s: got %x, want %x", e, got, want)
		}
	}
}

// polyval is POLYVAL as RFC 8452 defines it, a bit at a time.
func polyval(key, sum [16]byte, data []byte) [16]byte {
	h := element(key)
	for block := range slices.Chunk(data, 16) {
		s := new(big.Int).Xor(element(sum), element([16]byte(block)))
		product := new(big.Int)
		for i := range 128 {
			if h.Bit(i) == 1 {
				product.Xor(product, new(big.Int).Lsh(s, uint(i)))
			}
		}
		// Divide by x^128: add the modulus where the lowest bit is set, and halve.
		modulus := new(big.Int)
		for _, i := range []int{0, 121, 126, 127, 128} {
			modulus.SetBit(modulus, i, 1)
		}
		for range 128 {
			if product.Bit(0) == 1 {
				product.Xor(product, modulus)
			}
			product.Rsh(product, 1)
		}
		product.FillBytes(sum[:])
		slices.Reverse(sum[:])
	}
	return sum
}

// element is the polynomial whose coefficients are the bits of a block, the
// lowest bit of the first byte being the constant.
func element(block [16]byte) *big.Int {
	slices.Reverse(block[:])
	return new(big.Int).SetBytes(block[:])
}
