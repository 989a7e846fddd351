package main

func z(n int) string { return numbered("Z", n) }

// avx512 is the code for processors with AVX-512, VAES and VPCLMULQDQ: four
// blocks in a register.
func avx512() string {
	a := newAsm("amd64", "MOVQ")
	a.constant("fieldWide", 0, field, 0, field, 0, field, 0, field)
	a.constant("firstFour", 0, 0, 1, 0, 2, 0, 3, 0)
	a.constant("allFour", 4, 0, 4, 0, 4, 0, 4, 0)
	a.constant("allSixteen", 16, 0, 16, 0, 16, 0, 16, 0)
	powersAVX512(a)
	polyvalAVX512(a)
	ctrAVX512(a)
	return a.String()
}

// reduceAVX512 does in four lanes what reduceAVX does in one.
func reduceAVX512(a *asm, lo, hi, mid, tmp, field, dst string) {
	a.op("VPSLLDQ", "$8", mid, tmp)
	a.op("VPSRLDQ", "$8", mid, mid)
	a.op("VPXORQ", tmp, lo, lo)
	a.op("VPXORQ", mid, hi, hi)
	a.op("VPCLMULQDQ", "$0x10", field, lo, tmp)
	a.op("VPSHUFD", "$0x4e", lo, lo)
	a.op("VPXORQ", tmp, lo, lo)
	a.op("VPCLMULQDQ", "$0x10", field, lo, tmp)
	a.op("VPSHUFD", "$0x4e", lo, lo)
	a.op("VPTERNLOGQ", "$0x96", tmp, lo, hi) // the sum of the three
	if dst != hi {
		a.op("VMOVDQA64", hi, dst)
	}
}

func powersAVX512(a *asm) {
	a.function("func powersAVX512(powers *powers)\n"+
		"It fills the part of the table for AVX-512 from what powersAVX has left in the rest.",
		"powersAVX512", "powers BX")
	a.op("VMOVDQU64", "fieldWide<>(SB)", "Z15")
	a.op("VMOVDQU64", "64(BX)", "Z1")
	a.op("VMOVDQU64", "(BX)", "Z2")
	product := func(m, n, dst string) {
		a.op("VPCLMULQDQ", "$0x00", m, n, "Z10")
		a.op("VPCLMULQDQ", "$0x11", m, n, "Z11")
		a.op("VPCLMULQDQ", "$0x10", m, n, "Z12")
		a.op("VPCLMULQDQ", "$0x01", m, n, "Z13")
		a.op("VPXORQ", "Z13", "Z12", "Z12")
		reduceAVX512(a, "Z10", "Z11", "Z12", "Z13", "Z15", dst)
	}
	a.space("Z1 to Z8 are H^4 to H^1, H^8 to H^5, …, H^32 to H^29.")
	a.op("VSHUFI64X2", "$0", "Z2", "Z2", "Z9") // H^8
	product("Z9", "Z1", "Z3")
	product("Z9", "Z2", "Z4")
	a.op("VSHUFI64X2", "$0", "Z4", "Z4", "Z9") // H^16
	for n := 1; n <= 4; n++ {
		product("Z9", z(n), z(n+4))
	}
	for n := 1; n <= 8; n++ {
		a.op("VMOVDQU64", z(n), at("BX", powersWide+64*(8-n)))
	}
	a.op("VZEROUPPER")
	a.op("RET")
}

func polyvalAVX512(a *asm) {
	a.function("func polyvalAVX512(powers *powers, sum *[16]byte, data *byte, quads int)\n"+
		"A quad is four blocks. The four lanes are four sums that each take every fourth\n"+
		"block; their powers differ, and the lanes are added, only in the last group\n"+
		"of up to eight quads.",
		"polyvalAVX512", "powers DI", "sum DX", "data SI", "quads CX")
	a.op("VMOVDQU", "(DX)", "X0") // and zeros in the other lanes
	a.op("VMOVDQU64", "fieldWide<>(SB)", "Z15")
	a.op("SUBQ", "$8", "CX")
	a.op("JLE", "last")
	for i := range 8 {
		a.op("VBROADCASTI32X4", at("DI", powersWide+64*i), z(16+i))
	}
	a.line("")
	a.label("eight")
	// Quad 0 comes last: it waits for the sums of the group before.
	for k := range 8 {
		i := (k + 1) % 8
		a.op("VMOVDQU64", at("SI", 64*i), "Z1")
		if i == 0 {
			a.op("VPXORQ", "Z0", "Z1", "Z1")
		}
		if k == 0 {
			a.op("VPCLMULQDQ", "$0x00", z(16+i), "Z1", "Z10")
			a.op("VPCLMULQDQ", "$0x11", z(16+i), "Z1", "Z11")
			a.op("VPCLMULQDQ", "$0x10", z(16+i), "Z1", "Z12")
			a.op("VPCLMULQDQ", "$0x01", z(16+i), "Z1", "Z13")
			a.op("VPXORQ", "Z13", "Z12", "Z12")
			continue
		}
		a.op("VPCLMULQDQ", "$0x00", z(16+i), "Z1", "Z2")
		a.op("VPCLMULQDQ", "$0x11", z(16+i), "Z1", "Z3")
		a.op("VPCLMULQDQ", "$0x10", z(16+i), "Z1", "Z4")
		a.op("VPCLMULQDQ", "$0x01", z(16+i), "Z1", "Z5")
		a.op("VPXORQ", "Z2", "Z10", "Z10")
		a.op("VPXORQ", "Z3", "Z11", "Z11")
		a.op("VPTERNLOGQ", "$0x96", "Z4", "Z5", "Z12")
	}
	reduceAVX512(a, "Z10", "Z11", "Z12", "Z13", "Z15", "Z0")
	a.op("ADDQ", "$512", "SI")
	a.op("SUBQ", "$8", "CX")
	a.op("JGT", "eight")
	a.line("")
	a.label("last")
	a.space("1 to 8 quads are left; the power of their first block is H^(4 * quads).")
	a.op("MOVQ", "CX", "AX")
	a.op("NEGQ", "AX")
	a.op("SHLQ", "$6", "AX")
	a.op("ADDQ", "AX", "DI")
	a.op("ADDQ", "$8", "CX")
	for _, acc := range []string{"Z10", "Z11", "Z12"} {
		a.op("VPXORQ", acc, acc, acc)
	}
	a.line("")
	a.label("one")
	a.op("VPXORQ", "(SI)", "Z0", "Z1")
	a.op("VPXORQ", "Z0", "Z0", "Z0")
	a.op("VMOVDQU64", at("DI", powersWide), "Z6")
	a.op("VPCLMULQDQ", "$0x00", "Z6", "Z1", "Z2")
	a.op("VPCLMULQDQ", "$0x11", "Z6", "Z1", "Z3")
	a.op("VPCLMULQDQ", "$0x10", "Z6", "Z1", "Z4")
	a.op("VPCLMULQDQ", "$0x01", "Z6", "Z1", "Z5")
	a.op("VPXORQ", "Z2", "Z10", "Z10")
	a.op("VPXORQ", "Z3", "Z11", "Z11")
	a.op("VPTERNLOGQ", "$0x96", "Z4", "Z5", "Z12")
	a.op("ADDQ", "$64", "SI")
	a.op("ADDQ", "$64", "DI")
	a.op("DECQ", "CX")
	a.op("JNE", "one")
	a.line("")
	for n := 10; n <= 12; n++ {
		a.op("VEXTRACTI64X4", "$1", z(n), "Y1")
		a.op("VPXOR", "Y1", numbered("Y", n), numbered("Y", n))
		a.op("VEXTRACTI128", "$1", numbered("Y", n), "X1")
		a.op("VPXOR", "X1", x(n), x(n))
	}
	reduceAVX(a, "X10", "X11", "X12", "X13", "X15", "X0")
	a.op("VMOVDQU", "X0", "(DX)")
	a.op("VZEROUPPER")
	a.op("RET")
}

func ctrAVX512(a *asm) {
	a.function("func ctrAVX512(round *roundKeys, counter *[16]byte, dst, src *byte, groups int)\n"+
		"A group is sixteen blocks. The round keys stay in Z16 to Z30.",
		"ctrAVX512", "round AX", "counter BX", "dst DI", "src SI", "groups CX")
	for round := range 15 {
		a.op("VBROADCASTI32X4", at("AX", 16*round), z(16+round))
	}
	a.op("VMOVDQU64", "allFour<>(SB)", "Z8")
	a.op("VMOVDQU64", "allSixteen<>(SB)", "Z31")
	a.op("VBROADCASTI32X4", "(BX)", "Z4")
	a.op("VPADDD", "firstFour<>(SB)", "Z4", "Z4")
	for i := 5; i < 8; i++ {
		a.op("VPADDD", "Z8", z(i-1), z(i))
	}
	a.line("")
	a.label("sixteen")
	for i := range 4 {
		a.op("VPXORQ", "Z16", z(4+i), z(i))
	}
	for round := 1; round <= 14; round++ {
		name := "VAESENC"
		if round == 14 {
			name = "VAESENCLAST"
		}
		for i := range 4 {
			a.op(name, z(16+round), z(i), z(i))
		}
		if round <= 4 {
			a.op("VPADDD", "Z31", z(3+round), z(3+round))
		}
	}
	for i := range 4 {
		a.op("VPXORQ", at("SI", 64*i), z(i), z(i))
		a.op("VMOVDQU64", z(i), at("DI", 64*i))
	}
	a.op("ADDQ", "$256", "SI")
	a.op("ADDQ", "$256", "DI")
	a.op("DECQ", "CX")
	a.op("JNE", "sixteen")
	a.op("VMOVDQU", "X4", "(BX)")
	a.op("VZEROUPPER")
	a.op("RET")
}
