package capsule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/bits"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

const (
	bundleTag     = "dig:proof-bundle:v1"
	bundleMagic   = 0x44494742 // "DIGB"
	bundleVersion = 1

	// MaxBundle bounds the length in bytes of a bundle: what a reader of one should read at
	// most. With its limits on samples and paths no bundle comes near it.
	MaxBundle = 4 << 20

	maskOwnership = 1
	maskInclusion = 2
	maskWork      = 4
	maskAccess    = 8
)

// Bundle is a node's signed answer to a challenge. It has the proofs that the type of the
// challenge asks for; the others are nil.
type Bundle struct {
	ChallengeDigest merkle.Hash
	PlotID          merkle.Hash
	CapsuleHash     merkle.Hash
	GeneratedAt     uint64 // Unix seconds by the node's clock
	Ownership       *OwnershipProof
	Inclusion       *InclusionProof
	Work            *WorkProof
	Access          *AccessProof
	Signature       auth.NodeSignature // by the plot's key, over all of the above
}

func (b *Bundle) mask() (mask uint16) {
	if b.Ownership != nil {
		mask |= maskOwnership
	}
	if b.Inclusion != nil {
		mask |= maskInclusion
	}
	if b.Work != nil {
		mask |= maskWork
	}
	if b.Access != nil {
		mask |= maskAccess
	}
	return mask
}

// proofCodec is what the four proofs have in common.
type proofCodec interface {
	encode(*codec.Writer)
	decode(*codec.Reader)
}

// proofs returns the proofs of b that are there, in the order of their bits.
func (b *Bundle) proofs() []proofCodec {
	var list []proofCodec
	if b.Ownership != nil {
		list = append(list, b.Ownership)
	}
	if b.Inclusion != nil {
		list = append(list, b.Inclusion)
	}
	if b.Work != nil {
		list = append(list, b.Work)
	}
	if b.Access != nil {
		list = append(list, b.Access)
	}
	return list
}

// MarshalBinary returns the encoding:
//
//	u32 "DIGB" || u16 version 1 || u16 mask || challenge digest (32) || plot id (32) || capsule
//	hash (32) ||
//	u64 generated at || for each proof (u32 length || bytes) || signature (64)
//
// The bits of the mask are, in the order in which proofs follow: 1 ownership, 2 inclusion, 4
// work, 8 access.
func (b *Bundle) MarshalBinary() ([]byte, error) {
	body, err := b.body()
	if err != nil {
		return nil, fmt.Errorf("encode proof bundle: %w", err)
	}
	return append(body, b.Signature[:]...), nil
}

// body returns what is signed.
func (b *Bundle) body() ([]byte, error) {
	w := codec.NewWriter(make([]byte, 0, 1024))
	w.U32(bundleMagic)
	w.U16(bundleVersion)
	w.U16(b.mask())
	w.Fixed(b.ChallengeDigest[:])
	w.Fixed(b.PlotID[:])
	w.Fixed(b.CapsuleHash[:])
	w.U64(b.GeneratedAt)
	for _, p := range b.proofs() {
		pw := codec.NewWriter(nil)
		p.encode(pw)
		raw, err := pw.Done()
		if err != nil {
			return nil, err
		}
		w.Bytes(raw)
	}
	return w.Done()
}

// sign sets b.Signature.
func (b *Bundle) sign(ctx context.Context, by auth.NodeSigner) error {
	m, err := b.message()
	if err != nil {
		return err
	}
	b.Signature, err = by.Sign(ctx, m[:])
	return err
}

// message returns what the node signs: SHA-256("dig:proof-bundle:v1" || everything before the
// signature).
func (b *Bundle) message() (m merkle.Hash, err error) {
	body, err := b.body()
	if err != nil {
		return m, err
	}
	s := sha256.New()
	s.Write([]byte(bundleTag))
	s.Write(body)
	s.Sum(m[:0])
	return m, nil
}

// ParseBundle decodes a bundle that fills raw. It checks the form alone: see Verify. What it
// accepts, MarshalBinary turns into the same bytes. It allocates no more than a small multiple
// of raw. Errors wrap ErrBundle.
func ParseBundle(raw []byte) (*Bundle, error) {
	b, err := parseBundle(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return b, nil
}

func parseBundle(raw []byte) (*Bundle, error) {
	r := codec.NewReader(raw)
	if magic := r.U32(); r.Err() == nil && magic != bundleMagic {
		return nil, fmt.Errorf("magic %#08x, expected %#08x", magic, bundleMagic)
	}
	if v := r.U16(); r.Err() == nil && v != bundleVersion {
		return nil, fmt.Errorf("version %d, expected %d", v, bundleVersion)
	}
	mask := r.U16()
	if bits.Len16(mask) > 4 {
		return nil, fmt.Errorf("mask %#x has unknown bits", mask)
	}
	b := new(Bundle)
	r.Fixed(b.ChallengeDigest[:])
	r.Fixed(b.PlotID[:])
	r.Fixed(b.CapsuleHash[:])
	b.GeneratedAt = r.U64()
	if mask&maskOwnership != 0 {
		b.Ownership = new(OwnershipProof)
	}
	if mask&maskInclusion != 0 {
		b.Inclusion = new(InclusionProof)
	}
	if mask&maskWork != 0 {
		b.Work = new(WorkProof)
	}
	if mask&maskAccess != 0 {
		b.Access = new(AccessProof)
	}
	for _, p := range b.proofs() {
		pr := codec.NewReader(r.Bytes())
		p.decode(pr)
		if err := pr.Done(); err != nil {
			return nil, fmt.Errorf("%s proof: %w", proofName(p), err)
		}
	}
	r.Fixed(b.Signature[:])
	if err := r.Done(); err != nil {
		return nil, err
	}
	return b, nil
}

// UnmarshalBinary is ParseBundle. It leaves b alone when it fails.
func (b *Bundle) UnmarshalBinary(raw []byte) error {
	got, err := ParseBundle(raw)
	if err != nil {
		return err
	}
	*b = *got
	return nil
}

func proofName(p proofCodec) string {
	switch p.(type) {
	case *OwnershipProof:
		return "ownership"
	case *InclusionProof:
		return "inclusion"
	case *WorkProof:
		return "work"
	}
	return "access"
}
