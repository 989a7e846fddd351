package request

// budget limits the cost of batches when some of the signatures are bad. Its unit is the cost
// of one verification.
//
// A batch of true claims costs less than verifying each alone; one with many false claims costs
// more. The budget is what was saved recently. A batch is made only if the budget covers the
// most that it can lose. A true claim that was verified alone adds a tenth of a unit, so that
// batches are made again after a flood of bad signatures. The cost of any sequence of claims,
// on any number of cores, is therefore at most 1.1 times that of verifying each alone, plus the
// initial budget.
type budget struct {
	left, most float64
}

const (
	// costOfFalse is what one false claim adds to the cost of a batch: the part of the batch that
	// has it is verified claim by claim.
	costOfFalse = 12
	// recovery is what a true claim that was verified alone adds.
	recovery = 0.1
)

// newBudget returns a full budget, with which that many leaders can make batches of n.
func newBudget(leaders, n int) budget {
	most := float64(leaders) * worst(n)
	return budget{left: most, most: most}
}

// cost is the cost of a batch of n true claims: about 0.42 for each claim, and 1 for the equation
// (bls.BenchmarkVerify64).
func cost(n int) float64 { return 1 + float64(n)/2 }

// worst is the most that a batch of n can lose: its cost, if each claim must be verified alone too.
func worst(n int) float64 {
	if n == 1 {
		return 0
	}
	return cost(n)
}

// batch returns the length of the longest batch that the budget covers, or 1 if that is below
// minBatch.
func (b *budget) batch() int {
	const minBatch = 4 // shorter batches save too little to fill the budget again
	if n := int(2 * (b.left - 1)); n >= minBatch {
		return n
	}
	return 1
}

// reserve subtracts the most that a batch of n can lose.
func (b *budget) reserve(n int) { b.left -= worst(n) }

// settle adds what was reserved for a batch, and what the batch saved or lost.
func (b *budget) settle(n, bad int) {
	gain := float64(n) - cost(n) - min(float64(n), costOfFalse*float64(bad))
	if n == 1 {
		gain = recovery * float64(1-bad)
	}
	b.left = min(b.left+worst(n)+gain, b.most)
}
