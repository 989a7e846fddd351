package wasm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/dig-network/digstore/internal/wasm"
)

// The smallest module with a memory of one page.
var template = []byte("\x00asm\x01\x00\x00\x00" + "\x05\x03\x01\x00\x01")

// A payload is put into a template and found again.
func Example() {
	const address = 2 << 20
	payload := []byte("DIGS and more")
	prefix, suffix, err := wasm.Place(template, address, int64(len(payload)))
	if err != nil {
		log.Fatal(err)
	}
	module := bytes.Join([][]byte{prefix, payload, suffix}, nil)

	at, n, err := wasm.Find(bytes.NewReader(module), int64(len(module)), address,
		func(p io.ReaderAt, n int64) bool {
			return n >= 4
		})
	fmt.Printf("%s %v\n", module[at:at+n], err)
	_, _, err = wasm.Find(bytes.NewReader(template), int64(len(template)), address, nil)
	fmt.Println(errors.Is(err, wasm.ErrNoSegment))
	// Output:
	// DIGS and more <nil>
	// true
}

// A stream is read once. Payloads come from the reader itself.
func ExampleScanner() {
	const address = 2 << 20
	prefix, _, err := wasm.Place(template, address, 5)
	if err != nil {
		log.Fatal(err)
	}
	r := bytes.NewReader(append(prefix, "hello"...))
	s := wasm.NewScanner(r, address)
	for {
		n, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r, payload); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", payload)
	}
	// Output: hello
}

// A template that lacks what a host calls is refused by name.
func ExampleCheck() {
	err := wasm.Check(template, nil, []wasm.Export{{Name: "get_proof", Kind: wasm.Func}})
	fmt.Println(err)
	// Output: WebAssembly module cannot serve as a template: missing export of function get_proof
}
