package clvm

import (
	"crypto/sha256"
	"fmt"
)

// The operators by their codes (auth/chain/LINEAGE.md 4.3). Those of the chain that are missing
// here are ErrUnsupportedOp: points of BLS and other curves, modpow, keccak and softfork.
const (
	opQuote    = 1
	opApply    = 2
	opIf       = 3
	opCons     = 4
	opFirst    = 5
	opRest     = 6
	opListp    = 7
	opRaise    = 8
	opEq       = 9
	opGrBytes  = 10
	opSha256   = 11
	opSubstr   = 12
	opStrlen   = 13
	opConcat   = 14
	opAdd      = 16
	opSubtract = 17
	opMultiply = 18
	opDiv      = 19
	opDivmod   = 20
	opGr       = 21
	opAsh      = 22
	opLsh      = 23
	opLogand   = 24
	opLogior   = 25
	opLogxor   = 26
	opLognot   = 27
	opNot      = 32
	opAny      = 33
	opAll      = 34
	opCoinid   = 48
	opMod      = 61
)

// fail returns the error of an operator with wrong arguments.
func fail(op byte, format string, a ...any) error {
	return fmt.Errorf("operator %d: "+format+": %w", append(append([]any{op}, a...), ErrFailed)...)
}

// operator applies an operator that evaluates nothing.
func (m *machine) operator(op byte, args []*Node) (*Node, error) {
	if n := arity(op); n >= 0 && len(args) != n {
		return nil, fail(op, "%d arguments where %d belong", len(args), n)
	}
	switch op {
	case opIf:
		if args[0].IsNil() {
			return args[2], nil
		}
		return args[1], nil
	case opCons:
		return m.pair(args[0], args[1])
	case opFirst, opRest:
		left, right, ok := args[0].Pair()
		if !ok {
			return nil, fail(op, "%v is no pair", args[0])
		}
		if op == opFirst {
			return left, nil
		}
		return right, nil
	case opListp:
		return m.atoms.bool(args[0].IsPair()), nil
	case opRaise:
		if len(args) == 0 {
			return nil, fail(op, "raised")
		}
		return nil, fail(op, "raised %v", args[0])
	case opNot:
		return m.atoms.bool(args[0].IsNil()), nil
	case opAny, opAll:
		for _, arg := range args {
			if arg.IsNil() == (op == opAll) {
				return m.atoms.bool(op == opAny), nil
			}
		}
		return m.atoms.bool(op == opAll), nil
	case opEq, opGrBytes, opSha256, opSubstr, opStrlen, opConcat, opCoinid:
		return m.bytesOperator(op, args)
	case opAdd, opSubtract, opMultiply, opDiv, opDivmod, opMod, opGr,
		opAsh, opLsh, opLogand, opLogior, opLogxor, opLognot:
		return m.integerOperator(op, args)
	}
	return nil, fmt.Errorf("operator %d: %w", op, ErrUnsupportedOp)
}

// arity returns the number of arguments of an operator, -1 if it varies.
func arity(op byte) int {
	switch op {
	case opFirst, opRest, opListp, opStrlen, opLognot, opNot:
		return 1
	case opCons, opEq, opGrBytes, opDiv, opDivmod, opMod, opGr, opAsh, opLsh:
		return 2
	case opIf, opCoinid:
		return 3
	}
	return -1
}

// bytesOperator applies an operator on atoms as strings of bytes.
func (m *machine) bytesOperator(op byte, args []*Node) (*Node, error) {
	if op == opSubstr {
		return m.substr(args)
	}
	total, err := m.read(op, args)
	if err != nil {
		return nil, err
	}
	switch op {
	case opEq:
		return m.atoms.bool(args[0].atom == args[1].atom), nil
	case opGrBytes:
		return m.atoms.bool(args[0].atom > args[1].atom), nil
	case opStrlen:
		return m.atom(AppendUint(nil, uint64(total)))
	case opCoinid:
		if err := checkCoin(args); err != nil {
			return nil, err
		}
		fallthrough
	case opSha256:
		sum := hashAll(args)
		return m.atom(sum[:])
	}
	// opConcat
	if err := m.grow(total); err != nil {
		return nil, err
	}
	b := make([]byte, 0, total)
	for _, arg := range args {
		b = append(b, arg.atom...)
	}
	return m.atoms.node(string(b)), nil
}

// read counts the steps of reading all arguments, which must be atoms, and returns their total
// length.
func (m *machine) read(op byte, args []*Node) (total int, err error) {
	for _, arg := range args {
		if arg.left != nil {
			return 0, fail(op, "%v is no atom", arg)
		}
		if err := m.spend(int64(len(arg.atom) / 64)); err != nil {
			return 0, err
		}
		if total += len(arg.atom); int64(total) > m.limits.Bytes && op == opConcat || total < 0 {
			return 0, fmt.Errorf("operator %d: over %d bytes: %w", op, m.limits.Bytes, ErrTooLarge)
		}
	}
	return total, nil
}

// hashAll returns the SHA-256 of all arguments together.
func hashAll(args []*Node) [32]byte {
	var buf [160]byte
	b := buf[:0]
	for _, arg := range args {
		if len(b)+len(arg.atom) > len(buf) {
			return hashLong(args)
		}
		b = append(b, arg.atom...)
	}
	return sha256.Sum256(b)
}

func hashLong(args []*Node) [32]byte {
	h := sha256.New()
	var buf [1024]byte
	for _, arg := range args {
		for s := arg.atom; s != ""; {
			n := copy(buf[:], s)
			h.Write(buf[:n])
			s = s[n:]
		}
	}
	return [32]byte(h.Sum(nil))
}

// checkCoin checks the arguments of coinid: two hashes and an amount in its shortest form.
func checkCoin(args []*Node) error {
	if len(args[0].atom) != 32 || len(args[1].atom) != 32 {
		return fail(opCoinid, "hashes of %d and %d bytes", len(args[0].atom), len(args[1].atom))
	}
	if _, ok := args[2].Uint64(); !ok || significant(args[2].atom) != args[2].atom {
		return fail(opCoinid, "%v is no amount", args[2])
	}
	return nil
}

// substr is (substr atom start end), where end may be left out.
func (m *machine) substr(args []*Node) (*Node, error) {
	if len(args) != 2 && len(args) != 3 {
		return nil, fail(opSubstr, "%d arguments where 2 or 3 belong", len(args))
	}
	s, ok := args[0].Atom()
	if !ok {
		return nil, fail(opSubstr, "%v is no atom", args[0])
	}
	start, ok := small(args[1])
	end, ok2 := int64(len(s)), true
	if len(args) == 3 {
		end, ok2 = small(args[2])
	}
	if !ok || !ok2 || start < 0 || start > end || end > int64(len(s)) {
		return nil, fail(opSubstr, "no bytes %v of %d", args[1:], len(s))
	}
	if err := m.grow(0); err != nil { // the bytes are shared
		return nil, err
	}
	return m.atoms.node(s[start:end]), nil
}

// small returns an integer given in at most 4 bytes.
func small(n *Node) (v int64, ok bool) {
	v, ok = n.Int64()
	return v, ok && len(n.atom) <= 4
}
