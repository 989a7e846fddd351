package wasm

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart.
var (
	// ErrModule is wrapped by errors about a module that cannot be parsed. For a
	// truncated module they wrap io.ErrUnexpectedEOF too. Errors of a reader are
	// returned as they are.
	ErrModule = errors.New("not a parseable WebAssembly module")

	// ErrNoSegment reports a module without a matching data segment.
	ErrNoSegment = errors.New("no such data segment")

	// ErrTemplate is wrapped by errors about a template: an import, export or memory
	// is missing or of another kind, or the payload does not fit into the memory.
	ErrTemplate = errors.New("WebAssembly module cannot serve as a template")
)

// malformed returns an error about the byte at offset at.
func malformed(at int64, format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d: %w", ErrModule, at, fmt.Errorf(format, args...))
}
