package bls

import "errors"

// ErrNothing is returned by Aggregate for no signatures.
var ErrNothing = errors.New("bls: aggregate of no signatures")

// Aggregate returns the sum of signatures. The error is ErrNothing.
func Aggregate(sigs []*Signature) (*Signature, error) {
	if len(sigs) == 0 {
		return nil, ErrNothing
	}
	points := make([]*g2, len(sigs))
	for i, sig := range sigs {
		points[i] = sig.p
	}
	return &Signature{p: sumG2(points)}, nil
}

// AggregateVerify reports whether sig is the aggregate of one signature by each key over the
// message of the same index. It is false for no keys, for counts that differ, and, in the Basic
// scheme, for a message that occurs twice (a rogue key could have made such an aggregate).
func AggregateVerify(s Scheme, keys []*PublicKey, msgs [][]byte, sig *Signature) bool {
	if len(keys) == 0 || len(keys) != len(msgs) || sig.p.isInfinity() {
		return false
	}
	if s == Basic && !distinct(msgs) {
		return false
	}
	eq := newProduct(s.dst())
	for i, k := range keys {
		eq.add(k.p, 1, msgs[i], s.augmentation(k))
	}
	eq.done()
	return equal(sig.p, eq)
}

// FastAggregateVerify reports whether sig is the aggregate of one signature by each key over the
// same message. It is false under Augmented, where the hashed messages differ, for no keys, and for
// keys whose sum is infinity.
func FastAggregateVerify(s Scheme, keys []*PublicKey, msg []byte, sig *Signature) bool {
	if s == Augmented || len(keys) == 0 || sig.p.isInfinity() {
		return false
	}
	points := make([]*g1, len(keys))
	for i, k := range keys {
		points[i] = k.p
	}
	sum := sumG1(points)
	if sum.isInfinity() {
		return false
	}
	eq := newProduct(s.dst())
	eq.add(sum, 1, msg, nil)
	eq.done()
	return equal(sig.p, eq)
}

func distinct(msgs [][]byte) bool {
	seen := make(map[string]bool, len(msgs))
	for _, m := range msgs {
		if seen[string(m)] {
			return false
		}
		seen[string(m)] = true
	}
	return true
}
