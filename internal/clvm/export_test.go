package clvm

import "slices"

// opNames are the operators by the names that the vectors have for them, q and a added.
var opNames = map[string]byte{
	"q": opQuote, "a": opApply, "i": opIf, "c": opCons, "f": opFirst, "r": opRest, "l": opListp, "x": opRaise,
	"=": opEq, ">s": opGrBytes, "sha256": opSha256, "substr": opSubstr, "strlen": opStrlen, "concat": opConcat,
	"+": opAdd, "-": opSubtract, "*": opMultiply, "/": opDiv, "divmod": opDivmod, ">": opGr, "ash": opAsh,
	"lsh": opLsh, "logand": opLogand, "logior": opLogior, "logxor": opLogxor, "lognot": opLognot, "not": opNot,
	"any": opAny, "all": opAll, "coinid": opCoinid, "%": opMod,
}

// Op returns the code of an operator by its name, 0 when it has none.
func Op(name string) byte { return opNames[name] }

// Ops returns every code that an operator has.
func Ops() []byte {
	var codes []byte
	for _, code := range opNames {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

// Arity returns the number of arguments of an operator, -1 where that varies.
func Arity(op byte) int { return arity(op) }
