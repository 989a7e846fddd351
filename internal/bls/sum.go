package bls

// windowBits is the number of bits of the factors in one window of scaledSum.
const windowBits = 4

// scaledSum returns the sum of factors[i]·points[i] by the bucket method: for each window, the
// points are added up by the value of their factor in the window, and the running sums of the
// buckets from the highest one down are added. It takes about 20 additions for each of 64 points,
// and 100 for a single point.
func scaledSum(points []*g2, factors []uint64) *g2 {
	sum := newTotal()
	for shift := factorBits - windowBits; shift >= 0; shift -= windowBits {
		if shift != factorBits-windowBits {
			for range windowBits {
				sum.addTotal(sum)
			}
		}
		var buckets [1 << windowBits]*total
		for i, f := range factors {
			digit := f >> shift % (1 << windowBits)
			if digit == 0 {
				continue
			}
			if buckets[digit] == nil {
				buckets[digit] = newTotal()
			}
			buckets[digit].add(points[i])
		}
		var run *total // the sum of the buckets so far, added once for each bucket
		for digit := len(buckets) - 1; digit > 0; digit-- {
			switch b := buckets[digit]; {
			case run == nil:
				run = b
			case b != nil:
				run.addTotal(b)
			}
			if run != nil {
				sum.addTotal(run)
			}
		}
	}
	return sum.point()
}
