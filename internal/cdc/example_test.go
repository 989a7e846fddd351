package cdc_test

import (
	"bytes"
	"fmt"
	"io"

	"github.com/dig-network/digstore/internal/cdc"
)

// What comes after an insertion keeps its chunks.
func ExampleCuts() {
	data := noise(42, 500_000)
	longer := append([]byte("a new beginning, "), data...)
	known := map[string]bool{}
	at := 0
	for _, end := range cdc.Cuts(data, cdc.Params{}, nil) {
		known[string(data[at:end])] = true
		at = end
	}
	kept, all := 0, 0
	at = 0
	for _, end := range cdc.Cuts(longer, cdc.Params{}, nil) {
		if known[string(longer[at:end])] {
			kept++
		}
		all++
		at = end
	}
	fmt.Println(kept, "of", all, "chunks are known already")
	// Output: 7 of 8 chunks are known already
}

// A stream is cut at the same places, in bounded memory.
func ExampleReader() {
	data := noise(42, 300_000)
	r := cdc.NewReader(bytes.NewReader(data), cdc.Params{})
	n := 0
	for {
		chunk, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		n += len(chunk)
	}
	fmt.Println(n)
	// Output: 300000
}
