package gcmsiv_test

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/internal/gcmsiv"
)

// sizes are a small file, the chunk that the speed goal is stated for, and the
// longest chunk, in bytes.
var sizes = []int{1 << 10, 10 << 10, 64 << 10, 256 << 10}

var benchKey = [32]byte{1, 2, 3}

// BenchmarkSeal and BenchmarkOpen measure ours by engine, and the standard
// library's AES-256-GCM for the ratio that the package is judged by.
func BenchmarkSeal(b *testing.B) {
	for _, size := range sizes {
		plaintext := make([]byte, size)
		dst := make([]byte, 0, size+gcmsiv.Overhead)
		run := func(name string, seal func()) {
			b.Run(fmt.Sprintf("%s/%dK", name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					seal()
				}
			})
		}
		for engine, a := range gcmsiv.Every(&benchKey) {
			s := a.WithNonce([12]byte{})
			run(engine, func() { s.Seal(dst, plaintext) })
		}
		std, nonce := stdGCM(b), make([]byte, 12)
		run("std-gcm", func() { std.Seal(dst, nonce, plaintext, nil) })
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range sizes {
		dst := make([]byte, 0, size)
		run := func(name string, open func() ([]byte, error)) {
			b.Run(fmt.Sprintf("%s/%dK", name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := open(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		for engine, a := range gcmsiv.Every(&benchKey) {
			s := a.WithNonce([12]byte{})
			sealed := s.Seal(nil, make([]byte, size))
			run(engine, func() ([]byte, error) { return s.Open(dst, sealed) })
		}
		std, nonce := stdGCM(b), make([]byte, 12)
		sealed := std.Seal(nil, nonce, make([]byte, size), nil)
		run("std-gcm", func() ([]byte, error) { return std.Open(dst, nonce, sealed, nil) })
	}
}

// BenchmarkSetup measures what a resource costs before its first byte: New and
// WithNonce, without the HKDF that yields the key.
func BenchmarkSetup(b *testing.B) {
	for engine := range gcmsiv.Every(&benchKey) {
		b.Run(engine, func(b *testing.B) {
			b.ReportAllocs()
			key := benchKey
			for b.Loop() {
				key[0]++
				gcmsiv.NewOn(engine, &key).WithNonce([12]byte{})
			}
		})
	}
	b.Run("std-gcm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stdGCM(b)
		}
	})
}

func stdGCM(b *testing.B) cipher.AEAD {
	block, err := aes.NewCipher(benchKey[:])
	if err != nil {
		b.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	return a
}
