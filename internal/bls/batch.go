package bls

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	// factorBits is the length of the random factors. See VerifyBatch.
	factorBits = 64
	// partSize is the number of claims in a part. If a combination fails, its parts are verified.
	partSize = 8
	// hopeless is the number of false claims in one part from which on the claims of later
	// parts are verified one by one: they probably have false claims too.
	hopeless = 2
)

// A Claim states that Signature is the signature of Key over Message.
type Claim struct {
	Key       *PublicKey
	Message   []byte
	Signature *Signature
}

// VerifyBatch returns for each claim whether it holds, in the given order.
//
// Each claim is multiplied by a random factor, and the products are verified as one equation, which
// shares the most expensive steps. If it fails, parts of 8 claims are verified, and the claims of a
// part that fails are verified one by one as by [PublicKey.Verify]. A false claim therefore does
// not change the results of others. 64 true claims take about half the time of 64 calls of Verify;
// with one false claim among them four fifths of it, and 64 false claims one and a half times as
// long (BenchmarkVerify64, with cgo; without cgo a batch saves less).
//
// The result for a true claim is always true. For a false claim it is true with a probability of at
// most 2^-64 for each combination that has the claim, of which there are at most two. A combination
// verifies the equation Π eᵢ^fᵢ = 1, where eᵢ = e(G, sigᵢ) / e(keyᵢ, H(msgᵢ)) is in a group of
// prime order r > 2^254, and is 1 just when claim i holds. Let claim j be false, and every factor
// but fⱼ be drawn: then at most one value of fⱼ modulo r satisfies the equation, and fⱼ is drawn
// from 2^64 values that all differ modulo r, after the claims were made. This needs points of the
// subgroup, which parsing guarantees.
//
// rnd must be unpredictable for the author of the claims, as crypto/rand.Reader is. The error is
// that of rnd. VerifyBatch starts no goroutines.
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

// combine draws the factors and computes the right side of the equation. Claims whose signature is
// infinity are false and left out.
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

// holds reports whether terms, whose products are parts, satisfy their equation.
func (b *batch) holds(terms []term, parts ...*product) bool {
	points, factors := make([]*g2, len(terms)), make([]uint64, len(terms))
	for i, t := range terms {
		points[i], factors[i] = b.claims[t.index].Signature.p, t.factor
	}
	return equal(scaledSum(points, factors), parts...)
}

// lookCloser sets the results of the claims of a combination that does not hold.
func (b *batch) lookCloser(ok []bool) {
	falseBefore := false // some part did not hold
	despair := false
	for i, part := range b.parts {
		terms := b.terms[i*partSize : min((i+1)*partSize, len(b.terms))]
		known := !falseBefore && i == len(b.parts)-1 // if all others hold, the last one does not
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
