package module

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

var (
	// ErrFormat is matched by every *FormatError.
	ErrFormat = errors.New("not a well-formed module")

	// ErrVerify is matched by every *VerifyError.
	ErrVerify = errors.New("module verification failed")

	// ErrRecipe is matched by every error of ParseRecipe.
	ErrRecipe = errors.New("not a well-formed recipe")

	// ErrDamaged reports a file on the disk that is not as it was written.
	ErrDamaged = errors.New("damaged file")
	// ErrRemoved reports a store that was removed while it was read. Opening it again is
	// fs.ErrNotExist.
	ErrRemoved = errors.New("store was removed")

	// ErrTooLarge reports content that exceeds the configured limit, the uniform
	// length, or the largest module.
	ErrTooLarge = errors.New("too large for a module")
)

// A Fault is a class of format errors.
type Fault uint8

// The faults.
const (
	NotWasm        Fault = iota + 1 // no WebAssembly binary, or a truncated one
	NoDataSection                   // no data segment at 0x200000 that begins "DIGS"
	BadBlob                         // magic, version or row table of the blob
	MissingSection                  // a required section is missing
	BadLength                       // a section of fixed length has another length
	BadBody                         // the body of a section does not decode
)

var faults = [...]string{
	NotWasm:        "not a WebAssembly module",
	NoDataSection:  "no DIGS data section",
	BadBlob:        "bad data section",
	MissingSection: "section is missing",
	BadLength:      "section has the wrong length",
	BadBody:        "section does not decode",
}

// String returns the text of the fault.
func (f Fault) String() string {
	if int(f) < len(faults) && faults[f] != "" {
		return faults[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// A FormatError reports a module that is not well-formed. It matches ErrFormat.
type FormatError struct {
	Fault   Fault
	Section Section // 0: unknown
	Offset  int64   // in the module, from 0; -1: unknown
	Err     error   // the cause, or nil
}

// Error returns the fault, the section, the offset and the cause.
func (e *FormatError) Error() string {
	s := "read module: " + e.Fault.String()
	if e.Section != 0 {
		s += fmt.Sprintf(" (%v)", e.Section)
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is reports whether target is ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// A Mismatch names two parts of a module that Verify compares and that disagree.
type Mismatch uint8

// The mismatches, in the order in which Verify looks for them.
const (
	RootMismatch  Mismatch = iota + 1 // the root of the leaves is not the root
	CountMismatch                     // there are not as many leaves as distinct keys
	IndexMismatch                     // a resource names a chunk that the pool does not have
	LeafMismatch                      // the hash of a resource's chunks is not its leaf
)

var mismatches = [...]string{
	RootMismatch:  "leaves and root",
	CountMismatch: "leaves and keys",
	IndexMismatch: "chunk indices and pool",
	LeafMismatch:  "content and leaf",
}

// String returns the two parts, such as "leaves and root".
func (m Mismatch) String() string {
	if int(m) < len(mismatches) && mismatches[m] != "" {
		return mismatches[m]
	}
	return fmt.Sprintf("mismatch %d", uint8(m))
}

// A VerifyError reports that a module failed Verify. It matches ErrVerify.
type VerifyError struct {
	Mismatch  Mismatch
	Key       merkle.Hash // retrieval key of the resource; zero: none
	Want, Got string
}

// Error returns the two parts, the resource, and the expected and actual values.
func (e *VerifyError) Error() string {
	s := "verify module: " + e.Mismatch.String() + " disagree"
	if !e.Key.IsZero() {
		s += " for resource " + e.Key.String()
	}
	return s + fmt.Sprintf(": want %s, got %s", e.Want, e.Got)
}

// Is reports whether target is ErrVerify.
func (e *VerifyError) Is(target error) bool { return target == ErrVerify }
