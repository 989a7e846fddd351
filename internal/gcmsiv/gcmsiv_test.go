package gcmsiv_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/dig-network/digstore/internal/gcmsiv"
)

// data returns n random bytes that depend on n and the seed only.
func data(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed, byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// TestEnginesAgree seals with each engine what the portable one seals, for all
// short lengths and random longer ones, with and without additional data.
func TestEnginesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var lengths []int
	for n := range 301 {
		lengths = append(lengths, n)
	}
	for range 20 {
		lengths = append(lengths, 301+rng.IntN(40<<10))
	}
	for _, n := range lengths {
		key, nonce := [32]byte(data(1, 32)), data(2, 12)
		key[0], nonce[0] = byte(n), byte(n>>8)
		plaintext, aad := data(3, n), data(4, rng.IntN(200)*(n%2))
		sealed := gcmsiv.Portable(&key).Seal(nil, nonce, plaintext, aad)
		good(t, n, message{key[:], nonce, plaintext, aad, sealed})
	}
}

// TestAlignment seals and opens at every place within a cache line.
func TestAlignment(t *testing.T) {
	const n = 1000
	key := [32]byte{1}
	want := gcmsiv.Portable(&key).Seal(nil, make([]byte, 12), data(1, n), nil)
	for engine, a := range gcmsiv.Every(&key) {
		s := a.WithNonce([12]byte{})
		for i := range 64 {
			in, out := make([]byte, i+n), make([]byte, (i*7)%64, 64+n+gcmsiv.Overhead)
			copy(in[i:], data(1, n))
			sealed := s.Seal(out, in[i:])[len(out):]
			if !bytes.Equal(sealed, want) {
				t.Fatalf("%s: wrong at offset %d", engine, i)
			}
			if got, err := s.Open(in[:i], sealed); err != nil || !bytes.Equal(got[i:], data(1, n)) {
				t.Fatalf("%s: does not open at offset %d: %v", engine, i, err)
			}
		}
	}
}

// TestTamper flips every bit of messages, cuts them everywhere and makes them
// longer.
func TestTamper(t *testing.T) {
	key, nonce := [32]byte{1}, make([]byte, 12)
	for _, n := range []int{0, 1, 16, 45, 300} {
		sealed := gcmsiv.New(&key).Seal(nil, nonce, data(1, n), nil)
		for i := range 8 * len(sealed) {
			b := bytes.Clone(sealed)
			b[i/8] ^= 1 << (i % 8)
			bad(t, i, message{key: key[:], nonce: nonce, sealed: b})
		}
		for i := range sealed {
			bad(t, i, message{key: key[:], nonce: nonce, sealed: sealed[:i]})
		}
		bad(t, "longer", message{key: key[:], nonce: nonce, sealed: append(sealed, 0)})
		bad(t, "other data", message{key: key[:], nonce: nonce, aad: []byte{0}, sealed: sealed})
		bad(t, "other nonce", message{key: key[:], nonce: data(9, 12), sealed: sealed})
	}
}

// TestNothingReleased looks at the output's memory after an Open that failed.
func TestNothingReleased(t *testing.T) {
	const n = 20000
	for engine, a := range gcmsiv.Every(&[32]byte{1}) {
		s := a.WithNonce([12]byte{})
		sealed := s.Seal(nil, data(1, n))
		sealed[n] ^= 1
		dst := make([]byte, n)
		if got, err := s.Open(dst[:0], sealed); got != nil || !errors.Is(err, gcmsiv.ErrOpen) {
			t.Fatalf("%s: opened a bad message: %v", engine, err)
		}
		if !bytes.Equal(dst, make([]byte, n)) {
			t.Errorf("%s: an Open that failed left bytes behind", engine)
		}
	}
}

func TestInPlace(t *testing.T) {
	for engine, a := range gcmsiv.Every(&[32]byte{1}) {
		s := a.WithNonce([12]byte{})
		for _, n := range []int{0, 1, 15, 16, 17, 128, 1000, 10000, 70000} {
			want := s.Seal(nil, data(1, n))
			buf := append(make([]byte, 0, n+gcmsiv.Overhead), data(1, n)...)
			sealed := s.Seal(buf[:0], buf)
			if !bytes.Equal(sealed, want) {
				t.Fatalf("%s: %d bytes sealed in place differ", engine, n)
			}
			got, err := s.Open(sealed[:0], sealed)
			if err != nil || !bytes.Equal(got, data(1, n)) {
				t.Fatalf("%s: %d bytes opened in place differ: %v", engine, n, err)
			}
			if n > 0 && (&got[0] != &buf[0] || &sealed[0] != &buf[0]) {
				t.Errorf("%s: %d bytes: not in place", engine, n)
			}
		}
	}
}

// TestAppend checks that dst is kept, whether or not it has room.
func TestAppend(t *testing.T) {
	s := gcmsiv.New(&[32]byte{1}).WithNonce([12]byte{})
	for _, room := range []int{0, 100} {
		dst := append(make([]byte, 0, 3+room), "dst"...)
		sealed := s.Seal(dst, []byte("plaintext"))
		if want := append([]byte("dst"), s.Seal(nil, []byte("plaintext"))...); !bytes.Equal(sealed,
			want) {
			t.Errorf("room %d: sealed to %x, want %x", room, sealed, want)
		}
		if got, err := s.Open(dst, sealed[3:]); err != nil || string(got) != "dstplaintext" {
			t.Errorf("room %d: opened to %q, %v", room, got, err)
		}
	}
}

func TestOverlapIsRefused(t *testing.T) {
	s := gcmsiv.New(&[32]byte{1}).WithNonce([12]byte{})
	buf := make([]byte, 300)
	sealed := s.Seal(nil, buf[:100])
	for name, f := range map[string]func(){
		"seal one byte on":     func() { s.Seal(buf[1:1], buf[:100]) },
		"seal one byte back":   func() { s.Seal(buf[:0], buf[1:101]) },
		"seal with tag inside": func() { s.Seal(buf[:0], buf[90:180]) },
		"open one byte on":     func() { s.Open(buf[1:1], buf[:116]) },
		"open one byte back":   func() { s.Open(buf[:0], buf[1:117]) },
		"nonce of 11 bytes":    func() { gcmsiv.New(&[32]byte{1}).Seal(nil, make([]byte, 11), nil, nil) },
		"open, nonce of 16":    func() { gcmsiv.New(&[32]byte{1}).Open(nil, make([]byte, 16), sealed, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	s.Seal(buf[:0], buf[116:216]) // side by side
}

// TestConcurrent uses one AEAD and one Sealer from several goroutines; the race
// detector does the rest.
func TestConcurrent(t *testing.T) {
	for engine, a := range gcmsiv.Every(&[32]byte{1}) {
		s := a.WithNonce([12]byte{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 50 {
					plaintext := data(byte(i), 30*n)
					got, err := a.Open(nil, make([]byte, 12), s.Seal(nil, plaintext), nil)
					if err != nil || !bytes.Equal(got, plaintext) {
						t.Errorf("%s: wrong at %d bytes: %v", engine, 30*n, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestNoAllocation holds the claim that a Sealer with room in dst allocates nothing.
func TestNoAllocation(t *testing.T) {
	plaintext, dst := data(1, 10007), make([]byte, 0, 11000)
	for engine, a := range gcmsiv.Every(&[32]byte{1}) {
		s := a.WithNonce([12]byte{})
		sealed := s.Seal(nil, plaintext)
		if n := testing.AllocsPerRun(10, func() { s.Seal(dst, plaintext) }); n != 0 {
			t.Errorf("%s: Seal allocates %v times", engine, n)
		}
		if n := testing.AllocsPerRun(10, func() { s.Open(dst, sealed) }); n != 0 {
			t.Errorf("%s: Open allocates %v times", engine, n)
		}
	}
}
