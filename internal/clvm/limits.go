package clvm

import (
	"cmp"
	"errors"
)

// Errors of Parse, Append and Run. Their errors wrap one of these, or are those of the context.
var (
	// ErrMalformed reports a malformed serialized program.
	ErrMalformed = errors.New("malformed program")
	// ErrTooLarge reports a program that exceeds one of its Limits.
	ErrTooLarge = errors.New("program over its limits")
	// ErrUnsupportedOp reports an operator that this interpreter does not have. The chain may
	// have it.
	ErrUnsupportedOp = errors.New("unsupported operator")
	// ErrFailed reports a program that has no value: it raised, or an operator got arguments of
	// another kind.
	ErrFailed = errors.New("program failed")
)

// Limits bound the cost of untrusted programs. A field of 0 or less has its default, and a nil
// *Limits has all defaults (auth/chain/LINEAGE.md 2.4).
type Limits struct {
	// Input is the limit of the bytes that Parse reads and Append writes. Default: 16 MiB.
	Input int
	// Nodes is the limit of the nodes that Parse returns. Default: 2,000,000.
	Nodes int
	// Steps is the limit of the steps of Run. Default: 20,000,000. The evaluation of a node is one
	// step. An operator takes one more for every 64 bytes of its arguments, and for every 64
	// products of 8-byte words in a multiplication or division.
	Steps int64
	// Depth is the limit of nested operators in Run. Default: 10,000.
	Depth int
	// Bytes is the limit of the memory for new nodes in Run: 48 bytes each, and the bytes of new
	// atoms. Default: 64 MiB.
	Bytes int64
	// Integer is the limit of the bytes of an operand or result of arithmetic. Default: 1 MiB.
	Integer int
}

const nodeSize = 48

// DefaultLimits returns the limits of a nil *Limits.
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
