package bls

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	// factorBits is the length of a batch's random factors. See VerifyBatch.
	factorBits = 64
	// partSize is how many claims share what is kept of a combination to look closer when it fails.
	partSize = 8
	// hopeless is how many claims of one part have to be false for the parts after it to be verified
	// claim by claim at once: it is more likely then that they have false ones too.
	hopeless = 2
)

// Claim says that Signature is Key's signature over Message.
type Claim struct {
	Key       *PublicKey
	Message   []byte
	Signature *Signature
}

// VerifyBatch answers for each claim whether it holds, in the order given.
//
// Claims are checked together: each is multiplied by a random factor and the products are verified
// as one equation, which shares the most expensive steps. Where it fails, parts of 8 claims are
// looked at, and the claims of a part that fails are verified as [PublicKey.Verify] does. So a false
// claim never spoils its neighbours' answers. 64 true claims take about half the time of 64 calls of
// Verify; with one false claim among them they take four fifths of those, and 64 false ones take one
// and a half times as long (BenchmarkVerify64, with cgo; without, a batch gains less: see there).
//
// A true claim is always answered with true. A false one is answered with true with a chance of at
// most 2^-64 for each combination it is in, of which there are two at most. For a combination
// verifies the equation Π eᵢ^fᵢ = 1, where eᵢ = e(G, sigᵢ) / e(keyᵢ, H(msgᵢ)) is in a group of prime
// order r > 2^254, and is 1 just when claim i holds. Let claim j be false, and every factor but fⱼ be
// drawn: then at most one value of fⱼ modulo r satisfies the equation, and fⱼ is drawn from 2^64
// values that all differ modulo r, after the claims were made. All of this needs points of the
// subgroup, which parsing made sure of.
//
// rnd must be unpredictable to whoever makes the claims: crypto/rand.Reader. The error is rnd's.
// It works on the calling goroutine.
func VerifyBatch(s Scheme, claims []Claim, rnd io.Reader) ([]bool, error) {
	ok := make([]bool, len(claims))
	b, err := combine(s, claims, rnd)
	if err != nil {
		return nil, err
	}
	switch {
	case len(b.terms) <= 1:
		b.settle(b.terms, ok)
	case b.holds(b.terms, b.parts...):
		for _, t := range b.terms {
			ok[t.index] = true
		}
	default:
		b.lookCloser(ok)
	}
	return ok, nil
}

// batch is a combination of claims.
type batch struct {
	scheme Scheme
	claims []Claim
	terms  []term
	parts  []*product // of partSize terms each
}

// term is a claim, by its index, and its factor.
type term struct {
	index  int
	factor uint64
}

// combine draws the factors and computes the right side of the equation. Claims with a signature at
// infinity, which are false, are left out.
func combine(s Scheme, claims []Claim, rnd io.Reader) (*batch, error) {
	b := &batch{scheme: s, claims: claims, terms: make([]term, 0, len(claims))}
	for i, c := range claims {
		if !c.Signature.p.isInfinity() {
			b.terms = append(b.terms, term{index: i})
		}
	}
	if len(b.terms) <= 1 {
		return b, nil
	}
	const size = factorBits / 8
	factors := make([]byte, size*len(b.terms))
	if _, err := io.ReadFull(rnd, factors); err != nil {
		return nil, fmt.Errorf("bls: random factors for a batch of %d: %w", len(claims), err)
	}
	var part *product
	for i := range b.terms {
		if i%partSize == 0 {
			part = newProduct(s.dst())
			b.parts = append(b.parts, part)
		}
		t := &b.terms[i]
		t.factor = binary.LittleEndian.Uint64(factors[i*size:])
		c := claims[t.index]
		part.add(c.Key.p, t.factor, c.Message, s.augmentation(c.Key))
	}
	for _, p := range b.parts {
		p.done()
	}
	return b, nil
}

// holds reports whether terms, of which parts are the products, satisfy their equation.
func (b *batch) holds(terms []term, parts ...*product) bool {
	points, factors := make([]*g2, len(terms)), make([]uint64, len(terms))
	for i, t := range terms {
		points[i], factors[i] = b.claims[t.index].Signature.p, t.factor
	}
	return equal(scaledSum(points, factors), parts...)
}

// lookCloser answers for the claims of a combination that does not hold.
func (b *batch) lookCloser(ok []bool) {
	falseBefore := false // some part did not hold
	despair := false
	for i, part := range b.parts {
		terms := b.terms[i*partSize : min((i+1)*partSize, len(b.terms))]
		known := !falseBefore && i == len(b.parts)-1 // where all before held, the last cannot
		if !known && !despair && b.holds(terms, part) {
			for _, t := range terms {
				ok[t.index] = true
			}
			continue
		}
		falseBefore = true
		despair = b.settle(terms, ok) >= hopeless
	}
}

// settle verifies terms one by one and returns how many claims are false.
func (b *batch) settle(terms []term, ok []bool) (bad int) {
	for _, t := range terms {
		c := b.claims[t.index]
		if ok[t.index] = c.Key.Verify(b.scheme, c.Message, c.Signature); !ok[t.index] {
			bad++
		}
	}
	return bad
}
