package gcmsivoracle

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dig-network/digstore/internal/gcmsiv"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcmsiv"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// oracle returns tink's AEAD of a key. Its messages begin with their nonce.
func oracle(t testing.TB, key [32]byte) tink.AEAD {
	t.Helper()
	params, err := aesgcmsiv.NewParameters(len(key), aesgcmsiv.VariantNoPrefix)
	if err != nil {
		t.Fatal(err)
	}
	k, err := aesgcmsiv.NewKey(secretdata.NewBytesFromData(key[:], insecuresecretdataaccess.Token{}),
		0, params)
	if err != nil {
		t.Fatal(err)
	}
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	h, err := m.Handle()
	if err != nil {
		t.Fatal(err)
	}
	a, err := aead.New(h)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAgree opens with each what the other sealed, for every short length and
// for random longer ones.
func TestAgree(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	rng := rand.New(random)
	var lengths []int
	for n := range 600 {
		lengths = append(lengths, n)
	}
	for range 30 {
		lengths = append(lengths, rng.IntN(300<<10))
	}
	for _, n := range lengths {
		var key [32]byte
		var nonce [12]byte
		random.Read(key[:])
		random.Read(nonce[:])
		plaintext, aad := make([]byte, n), make([]byte, rng.IntN(100))
		random.Read(plaintext)
		random.Read(aad)
		ours, theirs := gcmsiv.New(&key), oracle(t, key)

		sealed := ours.Seal(nil, nonce[:], plaintext, aad)
		if got, err := theirs.Decrypt(append(nonce[:], sealed...), aad); err != nil ||
			!bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes: tink does not open ours: %v", n, err)
		}
		foreign, err := theirs.Encrypt(plaintext, aad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ours.Open(nil, foreign[:12], foreign[12:], aad); err != nil ||
			!bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes: ours does not open tink's: %v", n, err)
		}
	}
}

// BenchmarkSeal sets ours against tink's under the same build tags; -tags purego
// is the comparison of the two without assembly.
func BenchmarkSeal(b *testing.B) {
	key := [32]byte{1}
	for _, size := range []int{1 << 10, 10 << 10, 64 << 10} {
		plaintext := make([]byte, size)
		b.Run(fmt.Sprintf("ours/%dK", size>>10), func(b *testing.B) {
			s := gcmsiv.New(&key).WithNonce([12]byte{})
			dst := make([]byte, 0, size+gcmsiv.Overhead)
			b.SetBytes(int64(size))
			for b.Loop() {
				s.Seal(dst, plaintext)
			}
		})
		b.Run(fmt.Sprintf("ours-new-key/%dK", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				gcmsiv.New(&key).Seal(nil, make([]byte, 12), plaintext, nil)
			}
		})
		b.Run(fmt.Sprintf("tink/%dK", size>>10), func(b *testing.B) {
			a := oracle(b, key)
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := a.Encrypt(plaintext, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
