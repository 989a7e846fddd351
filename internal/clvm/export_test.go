package clvm

// OpName is the name that the vectors have for an operator.
func OpName(op byte) string {
	return map[byte]string{
		opIf: "i", opCons: "c", opFirst: "f", opRest: "r", opListp: "l", opRaise: "x", opEq: "=", opGrBytes: ">s",
		opSha256: "sha256", opSubstr: "substr", opStrlen: "strlen", opConcat: "concat", opAdd: "+", opSubtract: "-",
		opMultiply: "*", opDiv: "/", opDivmod: "divmod", opGr: ">", opAsh: "ash", opLsh: "lsh", opLogand: "logand",
		opLogior: "logior", opLogxor: "logxor", opLognot: "lognot", opNot: "not", opAny: "any", opAll: "all",
		opCoinid: "coinid", opMod: "%",
	}[op]
}
