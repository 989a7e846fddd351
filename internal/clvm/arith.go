package clvm

import (
	"fmt"
	"math/big"
)

// maxShift is the limit of the bits by which ash and lsh shift, in both directions.
const maxShift = 65535

// integerOperator applies an operator on atoms as integers. Operators with a fixed number of
// arguments have them.
func (m *machine) integerOperator(op byte, args []*Node) (*Node, error) {
	switch op {
	case opAsh, opLsh:
		return m.shift(op, args)
	case opDiv, opDivmod, opMod:
		return m.divide(op, args)
	case opLognot:
		v, err := m.integer(op, args[0])
		if err != nil {
			return nil, err
		}
		return m.number(v.Not(v))
	case opGr:
		a, err := m.integer(op, args[0])
		if err != nil {
			return nil, err
		}
		b, err := m.integer(op, args[1])
		if err != nil {
			return nil, err
		}
		return m.atoms.bool(a.Cmp(b) > 0), nil
	}
	return m.fold(op, args)
}

// fold applies an operator that takes any number of integers.
func (m *machine) fold(op byte, args []*Node) (*Node, error) {
	total := new(big.Int)
	switch op {
	case opMultiply:
		total.SetInt64(1)
	case opLogand:
		total.SetInt64(-1)
	}
	for i, arg := range args {
		v, err := m.integer(op, arg)
		if err != nil {
			return nil, err
		}
		// Each argument reads the intermediate result once more.
		if err := m.spend(int64(total.BitLen() / 512)); err != nil {
			return nil, err
		}
		switch {
		case op == opSubtract && i == 0:
			total.Set(v)
		case op == opSubtract:
			total.Sub(total, v)
		case op == opAdd:
			total.Add(total, v)
		case op == opMultiply:
			if err := m.product(total, v); err != nil {
				return nil, err
			}
			total.Mul(total, v)
		case op == opLogand:
			total.And(total, v)
		case op == opLogior:
			total.Or(total, v)
		case op == opLogxor:
			total.Xor(total, v)
		}
	}
	return m.number(total)
}

// divide implements the divisions, which round towards minus infinity.
func (m *machine) divide(op byte, args []*Node) (*Node, error) {
	a, err := m.integer(op, args[0])
	if err != nil {
		return nil, err
	}
	b, err := m.integer(op, args[1])
	if err != nil {
		return nil, err
	}
	if b.Sign() == 0 {
		return nil, fail(op, "%v divided by 0", args[0])
	}
	if err := m.spend(words(a) * words(b) / 64); err != nil {
		return nil, err
	}
	q, r := new(big.Int).QuoRem(a, b, new(big.Int))
	if r.Sign() != 0 && r.Sign() != b.Sign() {
		q.Sub(q, big.NewInt(1))
		r.Add(r, b)
	}
	switch op {
	case opDiv:
		return m.number(q)
	case opMod:
		return m.number(r)
	}
	left, err := m.number(q)
	if err != nil {
		return nil, err
	}
	right, err := m.number(r)
	if err != nil {
		return nil, err
	}
	return m.pair(left, right)
}

// shift shifts to the left, or by a negative number of bits to the right. The argument of lsh is
// unsigned.
func (m *machine) shift(op byte, args []*Node) (*Node, error) {
	v, err := m.integer(op, args[0])
	if err != nil {
		return nil, err
	}
	if s := args[0].atom; op == opLsh && s != "" {
		v.SetBytes([]byte(s))
	}
	by, ok := small(args[1])
	switch {
	case !ok || by > maxShift || by < -maxShift:
		return nil, fail(op, "no shift by %v", args[1])
	case by < 0:
		v.Rsh(v, uint(-by))
	default:
		v.Lsh(v, uint(by))
	}
	return m.number(v)
}

// integer returns an argument that must be an integer of allowed length.
func (m *machine) integer(op byte, n *Node) (*big.Int, error) {
	if n.left != nil {
		return nil, fail(op, "%v is no integer", n)
	}
	if len(n.atom) > m.limits.Integer {
		return nil, fmt.Errorf("operator %d: integer of %d bytes, want at most %d: %w",
			op, len(n.atom), m.limits.Integer, ErrTooLarge)
	}
	if err := m.spend(int64(len(n.atom) / 64)); err != nil {
		return nil, err
	}
	return toBig(n.atom), nil
}

// number returns the atom of an integer of allowed length.
func (m *machine) number(v *big.Int) (*Node, error) {
	if n := v.BitLen() / 8; n >= m.limits.Integer {
		return nil, fmt.Errorf("result of %d bytes, want at most %d: %w",
			n+1, m.limits.Integer, ErrTooLarge)
	}
	return m.atom(fromBig(v))
}

// product counts the steps of a multiplication before it is done.
func (m *machine) product(a, b *big.Int) error {
	if n := (a.BitLen() + b.BitLen()) / 8; n > m.limits.Integer {
		return fmt.Errorf("product of %d bytes, want at most %d: %w", n, m.limits.Integer, ErrTooLarge)
	}
	return m.spend(words(a) * words(b) / 64)
}

// words is the number of 64-bit words of an integer.
func words(v *big.Int) int64 { return int64(v.BitLen()/64 + 1) }
