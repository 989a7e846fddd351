package main

import (
	"context"
	"io"
)

// maxSmallFile is the limit in bytes of certificates, tokens and settings, which are
// read into memory.
const maxSmallFile = 1 << 20

// interruptedReader reads a stream that may block, such as a terminal or a pipe, until
// ctx ends.
type interruptedReader struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptedReader) Read(b []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	own := make([]byte, len(b)) // the read may end after this call
	done := make(chan result, 1)
	go func() {
		n, err := i.r.Read(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(b, own[:r.n]), r.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}
