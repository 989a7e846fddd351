package wasm

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart.
var (
	// ErrModule is wrapped by the errors about bytes that are no WebAssembly
	// module this package can parse. Where the input ended too early they wrap
	// io.ErrUnexpectedEOF as well. Errors of a reader are passed on instead.
	ErrModule = errors.New("not a parseable WebAssembly module")

	// ErrNoSegment: the module has no data segment at that address that matches.
	ErrNoSegment = errors.New("no such data segment")

	// ErrTemplate is wrapped by the errors about a module that cannot carry a
	// payload: an import, export or memory is missing or of another kind, or
	// the payload does not fit in its memory.
	ErrTemplate = errors.New("WebAssembly module cannot serve as a template")
)

// malformed returns an error about the byte at offset at.
func malformed(at int64, format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d: %w", ErrModule, at, fmt.Errorf(format, args...))
}
