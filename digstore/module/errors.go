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
	ErrVerify = errors.New("the module does not hold what it claims")

	// ErrRecipe is matched by every error of ParseRecipe.
	ErrRecipe = errors.New("not a well-formed recipe")

	// ErrDamaged says that what a store keeps is not what it has written: a file on the disk is damaged.
	ErrDamaged = errors.New("damaged file")

	// ErrTooLarge says that content does not fit: into the cap, into a uniform
	// length, or into what a module can hold at all.
	ErrTooLarge = errors.New("too large for a module")
)

// A Fault is what is wrong with the form of a module.
type Fault uint8

// The faults.
const (
	NotWasm        Fault = iota + 1 // no WebAssembly binary, or one that is cut or runs past its end
	NoDataSection                   // no data segment at 0x200000 that begins "DIGS"
	BadBlob                         // magic, version or row table of the blob
	MissingSection                  // a section that has to be there is not
	BadLength                       // a section of fixed length has another
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

// String says what is wrong.
func (f Fault) String() string {
	if int(f) < len(faults) && faults[f] != "" {
		return faults[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// A FormatError says what is wrong with the form of a module, and where. It
// matches ErrFormat.
type FormatError struct {
	Fault   Fault
	Section Section // 0: none in particular
	Offset  int64   // in the module, from 0; -1: no place in particular
	Err     error   // what is behind it, or nil
}

// Error says what is wrong, in which section and where.
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

// Unwrap returns what is behind the error.
func (e *FormatError) Unwrap() error { return e.Err }

// A Check is one of the things that Verify holds a module to.
type Check uint8

// The checks, in the order in which Verify makes them.
const (
	CheckRoot  Check = iota + 1 // the leaves fold to the root
	CheckCount                  // there are as many leaves as distinct keys
	CheckIndex                  // a resource names only chunks that the pool has
	CheckLeaf                   // a resource's chunks hash to its leaf
)

var checks = [...]string{
	CheckRoot:  "leaves and root",
	CheckCount: "leaves and keys",
	CheckIndex: "chunk indices and pool",
	CheckLeaf:  "content and leaf",
}

// String names what is compared.
func (c Check) String() string {
	if int(c) < len(checks) && checks[c] != "" {
		return checks[c]
	}
	return fmt.Sprintf("check %d", uint8(c))
}

// A VerifyError says which check a module failed. It matches ErrVerify.
type VerifyError struct {
	Check     Check
	Key       merkle.Hash // retrieval key of the resource at fault; zero: none
	Want, Got string
}

// Error says which check failed, what it wanted and what it got.
func (e *VerifyError) Error() string {
	s := "verify module: " + e.Check.String() + " disagree"
	if !e.Key.IsZero() {
		s += " for resource " + e.Key.String()
	}
	return s + fmt.Sprintf(": want %s, got %s", e.Want, e.Got)
}

// Is reports whether target is ErrVerify.
func (e *VerifyError) Is(target error) bool { return target == ErrVerify }
