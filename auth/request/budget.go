package request

// budget decides how much may be verified in batches when some of the signatures are bad. It counts
// in units of one verification.
//
// Batches gain while their claims are true and lose when many are false. The budget holds what was
// gained lately, and a batch is made only when it covers the most that this batch can lose. A true
// claim that was verified alone adds a tenth of a unit, so that batches come back after a flood of
// bad signatures. Hence all the work of any sequence of claims, over however many cores, is at most
// 1.1 times that of verifying each alone, plus what the budget starts with.
type budget struct {
	left, most float64
}

const (
	// costOfFalse is what one false claim adds to a batch: its part is looked at, and the claims
	// of that part are verified one by one.
	costOfFalse = 12
	// recovery is what a true claim that was verified alone adds.
	recovery = 0.1
)

// newBudget returns a budget that is full: one that lets so many leaders make batches of n.
func newBudget(leaders, n int) budget {
	most := float64(leaders) * worst(n)
	return budget{left: most, most: most}
}

// cost is what a batch of n takes when all of it is true: about 0.42 for each claim, and one for
// the equation (bls.BenchmarkVerify64).
func cost(n int) float64 { return 1 + float64(n)/2 }

// worst is what a batch of n loses at most: its cost, with each claim verified besides.
func worst(n int) float64 {
	if n == 1 {
		return 0
	}
	return cost(n)
}

// batch returns the length of the longest batch that the budget covers: 1 when that is under
// worthwhile.
func (b *budget) batch() int {
	const worthwhile = 4 // shorter ones gain too little to fill the budget again
	if n := int(2 * (b.left - 1)); n >= worthwhile {
		return n
	}
	return 1
}

// reserve takes out what a batch of n can lose.
func (b *budget) reserve(n int) { b.left -= worst(n) }

// settle puts back what was reserved, with what the batch has gained or lost.
func (b *budget) settle(n, bad int) {
	gain := float64(n) - cost(n) - min(float64(n), costOfFalse*float64(bad))
	if n == 1 {
		gain = recovery * float64(1-bad)
	}
	b.left = min(b.left+worst(n)+gain, b.most)
}
