package gcmsiv_test

import (
	"bytes"
	"testing"

	"github.com/dig-network/digstore/internal/gcmsiv"
)

// FuzzSeal seals any message with every engine and wants the same bytes, which
// open again.
func FuzzSeal(f *testing.F) {
	f.Add([]byte("key"), []byte("nonce"), []byte("plaintext"), []byte("data"))
	f.Add([]byte{}, []byte{}, make([]byte, 1025), []byte{})
	f.Fuzz(func(t *testing.T, key, nonce, plaintext, aad []byte) {
		var k [32]byte
		var n [12]byte
		copy(k[:], key)
		copy(n[:], nonce)
		sealed := gcmsiv.Portable(&k).Seal(nil, n[:], plaintext, aad)
		good(t, "fuzz", message{k[:], n[:], plaintext, aad, sealed})
	})
}

// FuzzOpen opens bytes that were not sealed. None may open, but for those that
// seal to themselves.
func FuzzOpen(f *testing.F) {
	key := [32]byte{1}
	s := gcmsiv.New(&key).WithNonce([12]byte{})
	f.Add([]byte{})
	f.Add(make([]byte, 16))
	f.Add(s.Seal(nil, []byte("genuine")))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		want, wantErr := s.Open(nil, sealed)
		if wantErr == nil && !bytes.Equal(s.Seal(nil, want), sealed) {
			t.Fatal("opened what was not sealed")
		}
		for engine, a := range gcmsiv.Every(&key) {
			got, err := a.WithNonce([12]byte{}).Open(nil, sealed)
			if err != wantErr || !bytes.Equal(got, want) {
				t.Fatalf("%s: got %x, %v; want %x, %v", engine, got, err, want, wantErr)
			}
		}
	})
}
