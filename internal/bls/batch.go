package bls

import (
	"fmt"
	"io"
)

// coefficientSize is the length of a batch's random factors: a forged signature passes a
// combination with a chance of about 2^-128.
const coefficientSize = 16

// Claim says that Signature is Key's signature over Message.
type Claim struct {
	Key       *PublicKey
	Message   []byte
	Signature *Signature
}

// VerifyBatch answers for each claim whether it holds, in the order given.
//
// Claims are checked together: each is multiplied by a random factor of 128 bits and the products
// are verified as one equation, which shares its most expensive step. A combination that fails is
// halved until single claims remain, and a single claim is verified as [PublicKey.Verify] does, so
// a false claim never spoils its neighbours' answers and is itself always told apart. 64 true claims
// take a little over half the time of 64 calls of Verify, and one false claim among them about 1.6
// times as long as those (BenchmarkVerify64, with cgo; without, a batch gains about a tenth only).
//
// rnd must be unpredictable to whoever makes the claims: crypto/rand.Reader. The error is rnd's.
// It works on the calling goroutine.
func VerifyBatch(s Scheme, claims []Claim, rnd io.Reader) ([]bool, error) {
	ok := make([]bool, len(claims))
	err := settle(s, claims, ok, false, rnd)
	return ok, err
}

// settle fills ok for claims. knownBad says that their combination is known to fail.
func settle(s Scheme, claims []Claim, ok []bool, knownBad bool, rnd io.Reader) error {
	switch len(claims) {
	case 0:
		return nil
	case 1:
		ok[0] = claims[0].Key.Verify(s, claims[0].Message, claims[0].Signature)
		return nil
	}
	if !knownBad {
		holds, err := combined(s, claims, rnd)
		if err != nil {
			return err
		}
		if holds {
			for i := range ok {
				ok[i] = true
			}
			return nil
		}
	}
	half := len(claims) / 2
	if err := settle(s, claims[:half], ok[:half], false, rnd); err != nil {
		return err
	}
	// Where all of the left half holds, the fault is in the right half: no need to combine it again.
	return settle(s, claims[half:], ok[half:], all(ok[:half]), rnd)
}

// combined verifies claims as one random combination.
func combined(s Scheme, claims []Claim, rnd io.Reader) (bool, error) {
	factors := make([]byte, coefficientSize*len(claims))
	if _, err := io.ReadFull(rnd, factors); err != nil {
		return false, fmt.Errorf("bls: random factors for a batch of %d: %w", len(claims), err)
	}
	eq := newProduct(s.dst())
	for i, c := range claims {
		if c.Signature.p.isInfinity() {
			return false, nil
		}
		f := (*[coefficientSize]byte)(factors[i*coefficientSize:])
		f[0] |= 1 // never zero, which would leave the claim out
		eq.add(c.Key.p, c.Signature.p, f, c.Message, s.augmentation(c.Key))
	}
	return eq.holds(), nil
}

func all(ok []bool) bool {
	for _, v := range ok {
		if !v {
			return false
		}
	}
	return true
}
