package gcmsiv_test

import (
	"crypto/sha256"
	"fmt"

	"github.com/dig-network/digstore/internal/gcmsiv"
)

// A resource has one key. Its Sealer is made once and seals every chunk.
func Example() {
	key := sha256.Sum256([]byte("stands for the key of a resource"))
	sealer := gcmsiv.New(&key).WithNonce([12]byte{})

	for _, chunk := range []string{"first", "second", "first"} {
		sealed := sealer.Seal(nil, []byte(chunk))
		fmt.Printf("%d bytes, %x…\n", len(sealed), sealed[:4])
	}
	// Output:
	// 21 bytes, 4e4edd80…
	// 22 bytes, 209da217…
	// 21 bytes, 4e4edd80…
}

// To save memory, seal and open in place. The buffer must have room for the tag.
func ExampleSealer_Seal_inPlace() {
	sealer := gcmsiv.New(&[32]byte{1}).WithNonce([12]byte{})

	buf := append(make([]byte, 0, 100), "a chunk"...)
	sealed := sealer.Seal(buf[:0], buf)
	plaintext, err := sealer.Open(sealed[:0], sealed)
	fmt.Printf("%s %v %v\n", plaintext, err, &plaintext[0] == &buf[0])
	// Output: a chunk <nil> true
}

func ExampleSealer_Open() {
	sealer := gcmsiv.New(&[32]byte{1}).WithNonce([12]byte{})

	sealed := sealer.Seal(nil, []byte("a chunk"))
	sealed[0] ^= 1
	_, err := sealer.Open(nil, sealed)
	fmt.Println(err)
	// Output: gcmsiv: open: message authentication failed
}

// An AEAD is a cipher.AEAD, for other protocols and other tests.
func ExampleAEAD() {
	aead := gcmsiv.New(&[32]byte{1})

	nonce := []byte("twelve bytes")
	sealed := aead.Seal(nil, nonce, []byte("message"), []byte("header"))
	plaintext, err := aead.Open(nil, nonce, sealed, []byte("header"))
	fmt.Printf("%s %v\n", plaintext, err)

	_, err = aead.Open(nil, nonce, sealed, []byte("another header"))
	fmt.Println(err)
	// Output:
	// message <nil>
	// gcmsiv: open: message authentication failed
}
