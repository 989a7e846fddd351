package main

import "fmt"

// The table of powers, for AVX and AVX-512: H^8 to H^1 in 16 bytes each, then the
// sum of the two halves of each (for Karatsuba), then, from powersWide on,
// H^32 to H^1 for AVX-512.
const (
	powersMid  = 8 * 16
	powersWide = 2 * 8 * 16
)

// field is the constant of the reduction: bits 57, 62 and 63 stand for x^121,
// x^126 and x^127 of the field's polynomial above x^64.
const field = 0xc2 << 56

func x(n int) string { return numbered("X", n) }

// avx is the code for processors with AES, PCLMULQDQ and AVX: eight blocks at
// a time.
func avx() string {
	a := newAsm("amd64", "MOVQ")
	a.constant("field", 0, field)
	a.constant("rotate", 0x0c0f0e0d0c0f0e0d, 0x0c0f0e0d0c0f0e0d)
	a.constant("rcon", 0x0000000100000001, 0x0000000100000001)
	var steps []uint64
	for i := range uint64(9) {
		steps = append(steps, i, 0)
	}
	a.constant("steps", steps...)
	expandAVX(a)
	powersAVX(a)
	polyvalAVX(a)
	ctrAVX(a)
	return a.String()
}

func expandAVX(a *asm) {
	a.function("func expandAVX(key *[32]byte, round *roundKeys)\n"+
		"The S-box comes from AESENCLAST: all columns are alike, so its ShiftRows does nothing.",
		"expandAVX", "key AX", "round BX")
	a.op("VMOVDQU", "(AX)", "X1")
	a.op("VMOVDQU", "16(AX)", "X3")
	a.op("VMOVDQU", "X1", "(BX)")
	a.op("VMOVDQU", "X3", "16(BX)")
	a.op("VPXOR", "X0", "X0", "X0")
	a.op("VMOVDQU", "rotate<>(SB)", "X6")
	a.op("VMOVDQU", "rcon<>(SB)", "X5")
	// spread adds to each column of x all columns before it, and then X4.
	spread := func(x string, round int) {
		a.op("VPSLLDQ", "$4", x, "X2")
		a.op("VPXOR", "X2", x, x)
		a.op("VPSLLDQ", "$8", x, "X2")
		a.op("VPXOR", "X2", x, x)
		a.op("VPXOR", "X4", x, x)
		a.op("VMOVDQU", x, at("BX", 16*round))
	}
	for round := 2; round <= 14; round += 2 {
		a.op("VPSHUFB", "X6", "X3", "X4")
		a.op("VAESENCLAST", "X5", "X4", "X4")
		a.op("VPSLLD", "$1", "X5", "X5")
		spread("X1", round)
		if round == 14 {
			break
		}
		a.op("VPSHUFD", "$0xff", "X1", "X4")
		a.op("VAESENCLAST", "X0", "X4", "X4")
		spread("X3", round+1)
	}
	a.op("RET")
}

// reduceAVX leaves in dst the 256-bit product hi:lo, with mid in its middle,
// divided by x^128. It spoils lo, hi, mid and tmp.
func reduceAVX(a *asm, lo, hi, mid, tmp, field, dst string) {
	a.op("VPSLLDQ", "$8", mid, tmp)
	a.op("VPSRLDQ", "$8", mid, mid)
	a.op("VPXOR", tmp, lo, lo)
	a.op("VPXOR", mid, hi, hi)
	for range 2 {
		a.op("VPCLMULQDQ", "$0x10", field, lo, tmp)
		a.op("VPSHUFD", "$0x4e", lo, lo)
		a.op("VPXOR", tmp, lo, lo)
	}
	a.op("VPXOR", lo, hi, dst)
}

func powersAVX(a *asm) {
	a.function("func powersAVX(h *[16]byte, powers *powers)",
		"powersAVX", "h AX", "powers BX")
	a.op("VMOVDQU", "field<>(SB)", "X15")
	a.op("VMOVDQU", "(AX)", "X1")
	product := func(m, n int, dst string) {
		a.op("VPCLMULQDQ", "$0x00", x(m), x(n), "X10")
		a.op("VPCLMULQDQ", "$0x11", x(m), x(n), "X11")
		a.op("VPCLMULQDQ", "$0x10", x(m), x(n), "X12")
		a.op("VPCLMULQDQ", "$0x01", x(m), x(n), "X13")
		a.op("VPXOR", "X13", "X12", "X12")
		reduceAVX(a, "X10", "X11", "X12", "X13", "X15", dst)
	}
	for n := 1; n <= 8; n++ {
		if n > 1 {
			a.space("H^%d in X%d", n, n)
			product(n/2, n-n/2, x(n))
		}
		a.op("VMOVDQU", x(n), at("BX", 16*(8-n)))
		a.op("VPSHUFD", "$0x4e", x(n), "X14")
		a.op("VPXOR", x(n), "X14", "X14")
		a.op("VMOVDQU", "X14", at("BX", powersMid+16*(8-n)))
	}
	a.op("RET")
}

func polyvalAVX(a *asm) {
	a.function("func polyvalAVX(powers *powers, sum *[16]byte, data *byte, blocks int)\n"+
		"Each group of eight blocks, and the rest, is reduced once.",
		"polyvalAVX", "powers DI", "sum DX", "data SI", "blocks CX")
	a.op("VMOVDQU", "(DX)", "X0")
	a.op("VMOVDQU", "field<>(SB)", "X15")
	// multiply adds the product of the block in X1 and the power at p to X10
	// (low), X11 (high) and X12 (Karatsuba's middle); first sets them.
	multiply := func(p string, offset int, first bool) {
		lo, hi, mid := "X3", "X4", "X5"
		if first {
			lo, hi, mid = "X10", "X11", "X12"
		}
		a.op("VPSHUFD", "$0x4e", "X1", "X2")
		a.op("VPXOR", "X1", "X2", "X2")
		a.op("VPCLMULQDQ", "$0x00", at(p, offset), "X1", lo)
		a.op("VPCLMULQDQ", "$0x11", at(p, offset), "X1", hi)
		a.op("VPCLMULQDQ", "$0x00", at(p, powersMid+offset), "X2", mid)
		if !first {
			a.op("VPXOR", lo, "X10", "X10")
			a.op("VPXOR", hi, "X11", "X11")
			a.op("VPXOR", mid, "X12", "X12")
		}
	}
	reduce := func() {
		a.op("VPXOR", "X10", "X12", "X12")
		a.op("VPXOR", "X11", "X12", "X12")
		reduceAVX(a, "X10", "X11", "X12", "X13", "X15", "X0")
	}
	a.op("SUBQ", "$8", "CX")
	a.op("JLT", "rest")
	a.line("")
	a.label("eight")
	// Block 0 comes last: it waits for the sum of the group before.
	for k := range 8 {
		i := (k + 1) % 8
		a.op("VMOVDQU", at("SI", 16*i), "X1")
		if i == 0 {
			a.op("VPXOR", "X0", "X1", "X1")
		}
		multiply("DI", 16*i, k == 0)
	}
	reduce()
	a.op("ADDQ", "$128", "SI")
	a.op("SUBQ", "$8", "CX")
	a.op("JGE", "eight")
	a.line("")
	a.label("rest")
	a.op("ADDQ", "$8", "CX")
	a.op("JEQ", "done")
	a.space("The power of the first of n blocks is H^n.")
	a.op("MOVQ", "$8", "AX")
	a.op("SUBQ", "CX", "AX")
	a.op("SHLQ", "$4", "AX")
	a.op("ADDQ", "AX", "DI")
	for _, acc := range []string{"X10", "X11", "X12"} {
		a.op("VPXOR", acc, acc, acc)
	}
	a.line("")
	a.label("one")
	a.op("VPXOR", "(SI)", "X0", "X1")
	a.op("VPXOR", "X0", "X0", "X0")
	multiply("DI", 0, false)
	a.op("ADDQ", "$16", "SI")
	a.op("ADDQ", "$16", "DI")
	a.op("DECQ", "CX")
	a.op("JNE", "one")
	reduce()
	a.line("")
	a.label("done")
	a.op("VMOVDQU", "X0", "(DX)")
	a.op("RET")
}

func ctrAVX(a *asm) {
	a.function("func ctrAVX(round *roundKeys, counter *[16]byte, dst, src *byte, groups int)\n"+
		"A group is eight blocks.",
		"ctrAVX", "round AX", "counter BX", "dst DI", "src SI", "groups CX")
	a.op("VMOVDQU", "(BX)", "X15")
	a.line("")
	a.label("eight")
	aesAVX(a, 8)
	a.op("VPADDD", "steps<>+128(SB)", "X15", "X15")
	a.op("ADDQ", "$128", "SI")
	a.op("ADDQ", "$128", "DI")
	a.op("DECQ", "CX")
	a.op("JNE", "eight")
	a.op("VMOVDQU", "X15", "(BX)")
	a.op("RET")

	a.function("func ctrOneAVX(round *roundKeys, counter *[16]byte, dst, src *byte)",
		"ctrOneAVX", "round AX", "counter BX", "dst DI", "src SI")
	a.op("VMOVDQU", "(BX)", "X15")
	aesAVX(a, 1)
	a.op("VPADDD", "steps<>+16(SB)", "X15", "X15")
	a.op("VMOVDQU", "X15", "(BX)")
	a.op("RET")
}

// aesAVX adds n blocks of key stream from the counter in X15 on to the blocks at
// SI and writes them to DI. It spoils X0 to X8.
func aesAVX(a *asm, n int) {
	a.op("VMOVDQU", "(AX)", "X8")
	for i := range n {
		a.op("VPADDD", fmt.Sprintf("steps<>+%d(SB)", 16*i), "X15", x(i))
	}
	for i := range n {
		a.op("VPXOR", "X8", x(i), x(i))
	}
	for round := 1; round <= 14; round++ {
		name := "VAESENC"
		if round == 14 {
			name = "VAESENCLAST"
		}
		a.op("VMOVDQU", at("AX", 16*round), "X8")
		for i := range n {
			a.op(name, "X8", x(i), x(i))
		}
	}
	for i := range n {
		a.op("VPXOR", at("SI", 16*i), x(i), x(i))
		a.op("VMOVDQU", x(i), at("DI", 16*i))
	}
}
