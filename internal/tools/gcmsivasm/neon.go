package main

import (
	"fmt"
	"strings"
)

// v is register n as sixteen bytes; four, low and high are other views of it.
func v(n int) string    { return fmt.Sprintf("V%d.B16", n) }
func four(n int) string { return fmt.Sprintf("V%d.S4", n) }
func low(n int) string  { return fmt.Sprintf("V%d.D1", n) }
func high(n int) string { return fmt.Sprintf("V%d.D2", n) }
func all(n int) string  { return fmt.Sprintf("V%d.Q1", n) }

// list is the n registers from first on, for VLD1 and VST1.
func list(first, n int) string {
	var s []string
	for i := range n {
		s = append(s, v(first+i))
	}
	return "[" + strings.Join(s, ", ") + "]"
}

// neon is the code for arm64 processors with AES and PMULL: eight blocks at a
// time. The table of powers is the one of AVX.
func neon() string {
	a := newAsm("arm64", "MOVD")
	a.constant("field", field, 0)
	a.constant("rotate", 0x0c0f0e0d0c0f0e0d, 0x0c0f0e0d0c0f0e0d)
	a.constant("rcon", 0x0000000100000001, 0x0000000100000001)
	a.constant("step", 1, 0)
	expandNEON(a)
	powersNEON(a)
	polyvalNEON(a)
	ctrNEON(a)
	return a.String()
}

// loadConstant loads a constant by way of R9.
func loadConstant(a *asm, name string, n int) {
	a.op("MOVD", "$"+name+"<>(SB)", "R9")
	a.op("VLD1", "(R9)", list(n, 1))
}

func eor(a *asm, m, n, dst int) { a.op("VEOR", v(m), v(n), v(dst)) }

func expandNEON(a *asm) {
	a.function("func expandNEON(key *[32]byte, round *roundKeys)\n"+
		"The S-box comes from AESE: all columns are alike, so its ShiftRows does nothing.",
		"expandNEON", "key R0", "round R1")
	a.op("VLD1", "(R0)", "[V1.B16, V2.B16]")
	a.op("VST1.P", "[V1.B16, V2.B16]", "32(R1)")
	eor(a, 0, 0, 0)
	loadConstant(a, "rotate", 6)
	loadConstant(a, "rcon", 5)
	// spread adds to each column of x all columns before it, and then V4.
	spread := func(x int) {
		a.op("VEXT", "$12", v(x), v(0), v(3))
		eor(a, 3, x, x)
		a.op("VEXT", "$8", v(x), v(0), v(3))
		eor(a, 3, x, x)
		eor(a, 4, x, x)
		a.op("VST1.P", list(x, 1), "16(R1)")
	}
	for round := 2; round <= 14; round += 2 {
		a.op("VTBL", v(6), "[V2.B16]", v(4))
		a.op("AESE", v(0), v(4))
		eor(a, 5, 4, 4)
		a.op("VSHL", "$1", four(5), four(5))
		spread(1)
		if round == 14 {
			break
		}
		a.op("VDUP", "V1.S[3]", four(4))
		a.op("AESE", v(0), v(4))
		spread(2)
	}
	a.op("RET")
}

// reduceNEON leaves in dst the 256-bit product hi:lo, with mid in its middle,
// divided by x^128. It spoils lo, hi, mid and tmp.
func reduceNEON(a *asm, lo, hi, mid, tmp, zero, field, dst int) {
	a.op("VEXT", "$8", v(mid), v(zero), v(tmp))
	a.op("VEXT", "$8", v(zero), v(mid), v(mid))
	eor(a, tmp, lo, lo)
	eor(a, mid, hi, hi)
	for range 2 {
		a.op("VPMULL", low(field), low(lo), all(tmp))
		a.op("VEXT", "$8", v(lo), v(lo), v(lo))
		eor(a, tmp, lo, lo)
	}
	eor(a, lo, hi, dst)
}

// multiplyNEON multiplies block n by a power and the sum of that power's
// halves into lo, hi and mid, which is Karatsuba's middle. It spoils tmp.
func multiplyNEON(a *asm, n, power, halves, lo, hi, mid, tmp int) {
	a.op("VEXT", "$8", v(n), v(n), v(tmp))
	eor(a, n, tmp, tmp)
	a.op("VPMULL", low(power), low(n), all(lo))
	a.op("VPMULL2", high(power), high(n), all(hi))
	a.op("VPMULL", low(halves), low(tmp), all(mid))
}

// karatsubaNEON makes of Karatsuba's middle the real one.
func karatsubaNEON(a *asm, lo, hi, mid int) {
	eor(a, lo, mid, mid)
	eor(a, hi, mid, mid)
}

func powersNEON(a *asm) {
	a.function("func powersNEON(h *[16]byte, powers *powers)",
		"powersNEON", "h R0", "powers R1")
	loadConstant(a, "field", 15)
	eor(a, 0, 0, 0)
	a.op("VLD1", "(R0)", list(1, 1))
	for n := 1; n <= 8; n++ {
		if n > 1 {
			a.space("H^%d in V%d", n, n)
			multiplyNEON(a, n-n/2, n/2, 16+n/2, 10, 11, 12, 13)
			karatsubaNEON(a, 10, 11, 12)
			reduceNEON(a, 10, 11, 12, 13, 0, 15, n)
		}
		a.op("VEXT", "$8", v(n), v(n), v(16+n))
		eor(a, n, 16+n, 16+n)
	}
	a.line("")
	for n := 8; n >= 1; n-- {
		a.op("VST1.P", list(n, 1), "16(R1)")
	}
	for n := 8; n >= 1; n-- {
		a.op("VST1.P", list(16+n, 1), "16(R1)")
	}
	a.op("RET")
}

func polyvalNEON(a *asm) {
	a.function("func polyvalNEON(powers *powers, sum *[16]byte, data *byte, blocks int)\n"+
		"Each group of eight blocks, and the rest, is reduced once.",
		"polyvalNEON", "powers R0", "sum R1", "data R2", "blocks R3")
	a.op("VLD1", "(R1)", list(0, 1))
	loadConstant(a, "field", 15)
	eor(a, 14, 14, 14)
	add := func() {
		eor(a, 3, 10, 10)
		eor(a, 4, 11, 11)
		eor(a, 5, 12, 12)
	}
	a.op("SUBS", "$8", "R3", "R3")
	a.op("BLT", "rest")
	a.space("H^8 to H^1 in V16 to V23, the sums of their halves in V24 to V31")
	a.op("MOVD", "R0", "R4")
	for n := 16; n < 32; n += 4 {
		a.op("VLD1.P", "64(R4)", list(n, 4))
	}
	a.line("")
	a.label("eight")
	// Block 0 comes last: it waits for the sum of the group before.
	a.op("VLD1.P", "16(R2)", list(9, 1))
	for i := 1; i < 8; i++ {
		a.op("VLD1.P", "16(R2)", list(1, 1))
		if i == 1 {
			multiplyNEON(a, 1, 16+i, 24+i, 10, 11, 12, 2)
			continue
		}
		multiplyNEON(a, 1, 16+i, 24+i, 3, 4, 5, 2)
		add()
	}
	eor(a, 0, 9, 1)
	multiplyNEON(a, 1, 16, 24, 3, 4, 5, 2)
	add()
	karatsubaNEON(a, 10, 11, 12)
	reduceNEON(a, 10, 11, 12, 13, 14, 15, 0)
	a.op("SUBS", "$8", "R3", "R3")
	a.op("BGE", "eight")
	a.line("")
	a.label("rest")
	a.op("ADDS", "$8", "R3", "R3")
	a.op("BEQ", "done")
	a.space("The power of the first of n blocks is H^n.")
	a.op("MOVD", "$8", "R4")
	a.op("SUB", "R3", "R4", "R4")
	a.op("ADD", "R4<<4", "R0", "R4")
	a.op("ADD", fmt.Sprintf("$%d", powersMid), "R4", "R5")
	for n := 10; n <= 12; n++ {
		eor(a, n, n, n)
	}
	a.line("")
	a.label("one")
	a.op("VLD1.P", "16(R2)", list(1, 1))
	a.op("VLD1.P", "16(R4)", list(16, 1))
	a.op("VLD1.P", "16(R5)", list(24, 1))
	eor(a, 0, 1, 1)
	eor(a, 0, 0, 0)
	multiplyNEON(a, 1, 16, 24, 3, 4, 5, 2)
	add()
	a.op("SUBS", "$1", "R3", "R3")
	a.op("BNE", "one")
	karatsubaNEON(a, 10, 11, 12)
	reduceNEON(a, 10, 11, 12, 13, 14, 15, 0)
	a.line("")
	a.label("done")
	a.op("VST1", list(0, 1), "(R1)")
	a.op("RET")
}

func ctrNEON(a *asm) {
	// The round keys stay in V16 to V30, the counter in V31.
	load := func() {
		for n := 16; n < 28; n += 4 {
			a.op("VLD1.P", "64(R0)", list(n, 4))
		}
		a.op("VLD1", "(R0)", list(28, 3))
		a.op("VLD1", "(R1)", list(31, 1))
		loadConstant(a, "step", 8)
	}
	a.function("func ctrNEON(round *roundKeys, counter *[16]byte, dst, src *byte, groups int)\n"+
		"A group is eight blocks.",
		"ctrNEON", "round R0", "counter R1", "dst R2", "src R3", "groups R4")
	load()
	a.line("")
	a.label("eight")
	aesNEON(a, 8)
	for i := 0; i < 8; i += 4 {
		a.op("VLD1.P", "64(R3)", list(10, 4))
		for k := range 4 {
			eor(a, 10+k, i+k, i+k)
		}
		a.op("VST1.P", list(i, 4), "64(R2)")
	}
	a.op("SUBS", "$1", "R4", "R4")
	a.op("BNE", "eight")
	a.op("VST1", list(31, 1), "(R1)")
	a.op("RET")

	a.function("func ctrOneNEON(round *roundKeys, counter *[16]byte, dst, src *byte)",
		"ctrOneNEON", "round R0", "counter R1", "dst R2", "src R3")
	load()
	aesNEON(a, 1)
	a.op("VLD1", "(R3)", list(10, 1))
	eor(a, 10, 0, 0)
	a.op("VST1", list(0, 1), "(R2)")
	a.op("VST1", list(31, 1), "(R1)")
	a.op("RET")
}

// aesNEON puts n blocks of key stream in V0 to V(n-1) and moves the counter on.
func aesNEON(a *asm, n int) {
	for i := range n {
		a.op("VMOV", v(31), v(i))
		a.op("VADD", four(8), four(31), four(31))
	}
	for round := range 14 {
		for i := range n {
			a.op("AESE", v(16+round), v(i))
			if round < 13 {
				a.op("AESMC", v(i), v(i))
			}
		}
	}
	for i := range n {
		eor(a, 30, i, i)
	}
}
