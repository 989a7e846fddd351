package clvm

import (
	"cmp"
	"errors"
)

// Errors of Parse, Append and Run. What they return wraps one of these, or the error of the context.
var (
	// ErrMalformed is a serialised program that does not follow the format.
	ErrMalformed = errors.New("malformed program")
	// ErrTooLarge is a program that needs more than its Limits allow, in whatever respect.
	ErrTooLarge = errors.New("program over its limits")
	// ErrUnsupportedOp is a program that uses an operator which this interpreter does not have. The
	// chain may still accept it.
	ErrUnsupportedOp = errors.New("unsupported operator")
	// ErrFailed is a program that ends without a value: it raised, or an operator got arguments
	// that it does not take.
	ErrFailed = errors.New("program failed")
)

// Limits bound what a program from a stranger may cost. A field of 0 or less has its default, and a
// nil *Limits has every default (auth/chain/LINEAGE.md 2.4).
type Limits struct {
	// Input is the most bytes that Parse reads and that Append writes; default 16 MiB.
	Input int
	// Nodes is the most nodes that Parse makes; default 2,000,000.
	Nodes int
	// Steps is the most steps of Run; default 20,000,000. To evaluate a node is one step. The time
	// of an operator over long arguments counts as well: a step for every 64 bytes that it reads,
	// and one for every 64 products of 8-byte words in a multiplication or a division.
	Steps int64
	// Depth is the most operators of Run that wait for an argument at a time; default 10,000.
	Depth int
	// Bytes is the most memory that Run takes for new nodes, at 48 bytes each and the bytes of
	// new atoms; default 64 MiB.
	Bytes int64
	// Integer is the most bytes of an operand or a result of arithmetic; default 1 MiB.
	Integer int
}

const nodeSize = 48

// DefaultLimits returns the limits that a nil *Limits stands for.
func DefaultLimits() Limits { return (*Limits)(nil).orDefaults() }

// orDefaults returns the limits with every default filled in.
func (l *Limits) orDefaults() Limits {
	if l == nil {
		l = &Limits{}
	}
	return Limits{
		Input:   cmp.Or(max(l.Input, 0), 16<<20),
		Nodes:   cmp.Or(max(l.Nodes, 0), 2_000_000),
		Steps:   cmp.Or(max(l.Steps, 0), 20_000_000),
		Depth:   cmp.Or(max(l.Depth, 0), 10_000),
		Bytes:   cmp.Or(max(l.Bytes, 0), 64<<20),
		Integer: cmp.Or(max(l.Integer, 0), 1<<20),
	}
}
