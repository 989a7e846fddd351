//go:build !purego

#include "textflag.h"

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

// Two messages are hashed side by side. Registers of the first: state ABEF in X1 and CDGH in X2, the last 16
// words of the message schedule in X3 to X6. Of the second: X7, X8, and X9 to X12. X0 holds words plus round
// constants, which the instructions take from there, and X13 is scratch.

// ROUNDS does four rounds with the words in m: abef and cdgh are what they were, four rounds later.
#define ROUNDS(abef, cdgh, m, k) \
	MOVO  m, X0 \
	PADDD k(DX), X0 \
	SHA256RNDS2 X0, abef, cdgh \
	PSHUFD $0x0e, X0, X0 \
	SHA256RNDS2 X0, cdgh, abef

// SCHEDULE finishes the four words after those in m, which are in next; prev has the words before m.
#define SCHEDULE(prev, m, next) \
	MOVO  m, X13 \
	PALIGNR $4, prev, X13 \
	PADDD X13, next \
	SHA256MSG2 m, next

// BOTH does four rounds for both messages. BOTHW also prepares the schedule: see the order in which they stand.
#define BOTH(a, b, k) \
	ROUNDS(X1, X2, a, k) \
	ROUNDS(X7, X8, b, k)

#define BEGIN(prevA, a, prevB, b, k) \
	ROUNDS(X1, X2, a, k) \
	SHA256MSG1 a, prevA \
	ROUNDS(X7, X8, b, k) \
	SHA256MSG1 b, prevB

#define MIDDLE(prevA, a, nextA, prevB, b, nextB, k) \
	ROUNDS(X1, X2, a, k) \
	SCHEDULE(prevA, a, nextA) \
	SHA256MSG1 a, prevA \
	ROUNDS(X7, X8, b, k) \
	SCHEDULE(prevB, b, nextB) \
	SHA256MSG1 b, prevB

#define END(prevA, a, nextA, prevB, b, nextB, k) \
	ROUNDS(X1, X2, a, k) \
	SCHEDULE(prevA, a, nextA) \
	ROUNDS(X7, X8, b, k) \
	SCHEDULE(prevB, b, nextB)

// LAST does four rounds of the last block, whose schedule is the same for both messages and ready in memory.
#define LAST(at) \
	MOVOU at(SI), X0 \
	SHA256RNDS2 X0, X1, X2 \
	SHA256RNDS2 X0, X7, X8 \
	PSHUFD $0x0e, X0, X0 \
	SHA256RNDS2 X0, X2, X1 \
	SHA256RNDS2 X0, X8, X7

// func searchPairs(args *shaArgs, nonce, pairs uint64) uint64
TEXT ·searchPairs(SB), NOSPLIT, $0-32
	MOVQ args+0(FP), SI
	MOVQ nonce+8(FP), BX
	MOVQ pairs+16(FP), DI
	LEAQ constants<>(SB), DX
	MOVL 352(SI), R10 // mask
	XORQ CX, CX

loop:
	CMPQ CX, DI
	JEQ  done

	// The state after the first block, and the second block with the nonce in its first two words.
	MOVOU 0(SI), X1
	MOVOU 16(SI), X2
	MOVO  X1, X7
	MOVO  X2, X8
	MOVOU 32(SI), X3
	MOVOU 48(SI), X4
	MOVOU 64(SI), X5
	MOVOU 80(SI), X6
	MOVO  X3, X9
	MOVO  X4, X10
	MOVO  X5, X11
	MOVO  X6, X12
	MOVQ  BX, AX
	ROLQ  $32, AX
	PINSRQ $0, AX, X3
	LEAQ  1(BX), AX
	ROLQ  $32, AX
	PINSRQ $0, AX, X9
	ADDQ  $2, BX

	BOTH(X3, X9, 0)
	BEGIN(X3, X4, X9, X10, 16)
	BEGIN(X4, X5, X10, X11, 32)
	MIDDLE(X5, X6, X3, X11, X12, X9, 48)
	MIDDLE(X6, X3, X4, X12, X9, X10, 64)
	MIDDLE(X3, X4, X5, X9, X10, X11, 80)
	MIDDLE(X4, X5, X6, X10, X11, X12, 96)
	MIDDLE(X5, X6, X3, X11, X12, X9, 112)
	MIDDLE(X6, X3, X4, X12, X9, X10, 128)
	MIDDLE(X3, X4, X5, X9, X10, X11, 144)
	MIDDLE(X4, X5, X6, X10, X11, X12, 160)
	MIDDLE(X5, X6, X3, X11, X12, X9, 176)
	MIDDLE(X6, X3, X4, X12, X9, X10, 192)
	END(X3, X4, X5, X9, X10, X11, 208)
	END(X4, X5, X6, X10, X11, X12, 224)
	BOTH(X6, X12, 240)

	MOVOU 0(SI), X0
	MOVOU 16(SI), X13
	PADDD X0, X1
	PADDD X13, X2
	PADDD X0, X7
	PADDD X13, X8
	PEXTRD $3, X1, R8 // the first words of the states before the last block
	PEXTRD $3, X7, R9

	LAST(96)
	LAST(112)
	LAST(128)
	LAST(144)
	LAST(160)
	LAST(176)
	LAST(192)
	LAST(208)
	LAST(224)
	LAST(240)
	LAST(256)
	LAST(272)
	LAST(288)
	LAST(304)
	LAST(320)
	LAST(336)

	PEXTRD $3, X1, AX
	ADDL   R8, AX
	TESTL  R10, AX
	JEQ    done
	PEXTRD $3, X7, AX
	ADDL   R9, AX
	TESTL  R10, AX
	JEQ    done
	INCQ   CX
	JMP    loop

done:
	MOVQ CX, ret+24(FP)
	RET

DATA constants<>+0(SB)/4, $0x428a2f98
DATA constants<>+4(SB)/4, $0x71374491
DATA constants<>+8(SB)/4, $0xb5c0fbcf
DATA constants<>+12(SB)/4, $0xe9b5dba5
DATA constants<>+16(SB)/4, $0x3956c25b
DATA constants<>+20(SB)/4, $0x59f111f1
DATA constants<>+24(SB)/4, $0x923f82a4
DATA constants<>+28(SB)/4, $0xab1c5ed5
DATA constants<>+32(SB)/4, $0xd807aa98
DATA constants<>+36(SB)/4, $0x12835b01
DATA constants<>+40(SB)/4, $0x243185be
DATA constants<>+44(SB)/4, $0x550c7dc3
DATA constants<>+48(SB)/4, $0x72be5d74
DATA constants<>+52(SB)/4, $0x80deb1fe
DATA constants<>+56(SB)/4, $0x9bdc06a7
DATA constants<>+60(SB)/4, $0xc19bf174
DATA constants<>+64(SB)/4, $0xe49b69c1
DATA constants<>+68(SB)/4, $0xefbe4786
DATA constants<>+72(SB)/4, $0x0fc19dc6
DATA constants<>+76(SB)/4, $0x240ca1cc
DATA constants<>+80(SB)/4, $0x2de92c6f
DATA constants<>+84(SB)/4, $0x4a7484aa
DATA constants<>+88(SB)/4, $0x5cb0a9dc
DATA constants<>+92(SB)/4, $0x76f988da
DATA constants<>+96(SB)/4, $0x983e5152
DATA constants<>+100(SB)/4, $0xa831c66d
DATA constants<>+104(SB)/4, $0xb00327c8
DATA constants<>+108(SB)/4, $0xbf597fc7
DATA constants<>+112(SB)/4, $0xc6e00bf3
DATA constants<>+116(SB)/4, $0xd5a79147
DATA constants<>+120(SB)/4, $0x06ca6351
DATA constants<>+124(SB)/4, $0x14292967
DATA constants<>+128(SB)/4, $0x27b70a85
DATA constants<>+132(SB)/4, $0x2e1b2138
DATA constants<>+136(SB)/4, $0x4d2c6dfc
DATA constants<>+140(SB)/4, $0x53380d13
DATA constants<>+144(SB)/4, $0x650a7354
DATA constants<>+148(SB)/4, $0x766a0abb
DATA constants<>+152(SB)/4, $0x81c2c92e
DATA constants<>+156(SB)/4, $0x92722c85
DATA constants<>+160(SB)/4, $0xa2bfe8a1
DATA constants<>+164(SB)/4, $0xa81a664b
DATA constants<>+168(SB)/4, $0xc24b8b70
DATA constants<>+172(SB)/4, $0xc76c51a3
DATA constants<>+176(SB)/4, $0xd192e819
DATA constants<>+180(SB)/4, $0xd6990624
DATA constants<>+184(SB)/4, $0xf40e3585
DATA constants<>+188(SB)/4, $0x106aa070
DATA constants<>+192(SB)/4, $0x19a4c116
DATA constants<>+196(SB)/4, $0x1e376c08
DATA constants<>+200(SB)/4, $0x2748774c
DATA constants<>+204(SB)/4, $0x34b0bcb5
DATA constants<>+208(SB)/4, $0x391c0cb3
DATA constants<>+212(SB)/4, $0x4ed8aa4a
DATA constants<>+216(SB)/4, $0x5b9cca4f
DATA constants<>+220(SB)/4, $0x682e6ff3
DATA constants<>+224(SB)/4, $0x748f82ee
DATA constants<>+228(SB)/4, $0x78a5636f
DATA constants<>+232(SB)/4, $0x84c87814
DATA constants<>+236(SB)/4, $0x8cc70208
DATA constants<>+240(SB)/4, $0x90befffa
DATA constants<>+244(SB)/4, $0xa4506ceb
DATA constants<>+248(SB)/4, $0xbef9a3f7
DATA constants<>+252(SB)/4, $0xc67178f2
GLOBL constants<>(SB), RODATA|NOPTR, $256
