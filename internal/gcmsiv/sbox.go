package gcmsiv

// sub applies the S-box of AES to every byte of the row, but for the adding of
// 0x63, which the round keys make up for (MixColumns maps 63 63 63 63 to
// itself).
//
// The circuit is the one of Boyar and Peralta ("A small depth-16 circuit for the
// AES S-box", 2012) without its inverters: a linear layer (y), the inversion in
// GF(2^8) by way of GF(2^4), a linear layer (from z on). Its gates come in an order,
// found by trial, for which the compiler needs fewest moves to and from the
// stack: 203 instructions on amd64, 232 in the order of the paper.
func (q *row) sub() {
	x6 := q[1]
	x5 := q[2]
	x4 := q[3]
	x1 := q[6]
	x7 := q[0]
	x3 := q[4]
	x2 := q[5]
	t0 := x1 ^ x2
	y1 := t0 ^ x7
	y4 := y1 ^ x3
	x0 := q[7]
	y13 := x0 ^ x6
	y14 := x3 ^ x5
	y12 := y13 ^ y14
	t1 := x4 ^ y12
	y20 := t1 ^ x1
	y15 := t1 ^ x5
	y10 := y15 ^ t0
	y9 := x0 ^ x3
	y8 := x0 ^ x5
	t2 := y12 & y15
	y5 := y1 ^ x6
	y3 := y5 ^ y8
	t5 := y4&x7 ^ t2
	y6 := y15 ^ x7
	t3 := y3&y6 ^ t2
	y11 := y20 ^ y9
	y16 := t0 ^ y11
	t7 := y13 & y16
	y19 := y10 ^ y8
	t12 := y9 & y11
	t15 := y8&y10 ^ t12
	t22 := t5 ^ t15 ^ y19
	y17 := y10 ^ y11
	t13 := y14&y17 ^ t12
	t21 := t3 ^ t13 ^ y20
	y7 := x7 ^ y11
	t8 := y5&y1 ^ t7
	y21 := y13 ^ y16
	t23 := t8 ^ t13 ^ y21
	y2 := y1 ^ x0
	t10 := y2&y7 ^ t7
	y18 := x0 ^ y16

	t26 := t21 & t23
	t24 := t10 ^ t15 ^ y18
	t30 := t23 ^ t24
	t27 := t24 ^ t26
	t31 := t22 ^ t26
	t33 := t31&t30 ^ t24
	t35 := t27 ^ t33
	t34 := t23 ^ t33
	t36 := t24 & t35
	t38 := t27 ^ t36
	t25 := t21 ^ t22
	t29 := t25&t27 ^ t22
	t39 := t29 & t38
	t40 := t25 ^ t39
	t37 := t36 ^ t34

	z1 := t37 & y6
	t44 := t33 ^ t37
	z10 := t37 & y3
	z11 := t33 & y4
	z13 := t40 & y5
	z2 := t33 & x7
	z5 := t29 & y7
	z4 := t40 & y1
	t41 := t40 ^ t37
	t42 := t29 ^ t33
	t48 := z5 ^ z13
	t43 := t29 ^ t40
	z15 := t42 & y9
	z6 := t42 & y11
	t45 := t42 ^ t41
	z12 := t43 & y13
	z3 := t43 & y16
	t50 := z2 ^ z12
	t51 := z2 ^ z5
	z7 := t45 & y17
	z9 := t44 & y12
	t49 := z9 ^ z10
	t54 := z6 ^ z7
	t47 := z10 ^ z11
	z16 := t45 & y14
	z0 := t44 & y15
	z17 := t41 & y8
	t53 := z0 ^ z3
	t59 := z3 ^ t54
	z8 := t41 & y10
	t57 := t50 ^ t53
	t46 := z15 ^ z16
	t60 := t46 ^ t57
	t52 := z7 ^ z8
	z14 := t29 & y2
	t58 := z4 ^ t46
	t61 := z14 ^ t57
	t63 := t49 ^ t58
	t55 := z16 ^ z17
	q[0] = t48 ^ t60
	t66 := z1 ^ t63
	t64 := z4 ^ t59
	t62 := t52 ^ t58
	t65 := t61 ^ t62
	q[3] = t51 ^ t66
	q[7] = t59 ^ t63
	q[2] = t47 ^ t65
	s3 := t53 ^ t66
	q[4] = s3
	q[6] = t64 ^ s3
	t67 := t64 ^ t65
	t56 := z12 ^ t48
	q[1] = t56 ^ t62
	q[5] = t55 ^ t67
}
