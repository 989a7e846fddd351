package bls

import (
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	SecretKeySize = 32 // a scalar, big-endian
	PublicKeySize = 48 // a compressed point of G1
	SignatureSize = 96 // a compressed point of G2
	MinSeedSize   = 32 // what KeyGenV3 needs at least
)

// Reasons why bytes are no key and no signature. Parsing errors wrap exactly one of them.
var (
	// ErrEncoding: wrong length, a flag or coordinate that is not canonical, no point of the
	// curve, or one outside the subgroup of prime order. (circl does not tell these apart.)
	ErrEncoding = errors.New("not the canonical compressed form of a point of the group")
	// ErrInfinity: a well-formed encoding of the point at infinity, which is no key.
	ErrInfinity = errors.New("point at infinity")
	// ErrScalar: zero, or not below the group order.
	ErrScalar = errors.New("scalar out of range")
	// ErrSeed: fewer than MinSeedSize bytes.
	ErrSeed = errors.New("seed too short")
)

// Scheme says which domain tag a message is hashed under and what goes before it.
type Scheme uint8

const (
	// Augmented puts the public key before the message. It is the scheme of this project.
	Augmented Scheme = iota
	// Basic hashes the message as it is. Aggregates over equal messages are unsafe.
	Basic
	// Possession hashes the message as it is and relies on proofs of possession made elsewhere.
	Possession
)

// DST returns the scheme's domain tag, all of it printable ASCII.
func (s Scheme) DST() string {
	switch s {
	case Basic:
		return "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
	case Possession:
		return "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
	default:
		return "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_"
	}
}

func (s Scheme) dst() []byte { return []byte(s.DST()) }

// augmentation returns what goes before a message signed by k, nil for nothing.
func (s Scheme) augmentation(k *PublicKey) []byte {
	if s == Augmented {
		return k.enc[:]
	}
	return nil
}

// SecretKey is a scalar that is not zero. It prints nothing of itself: see String.
type SecretKey struct {
	k   *scalar
	pub *PublicKey
}

// KeyGenV3 derives a key from at least 32 bytes of secret by the KeyGen of IETF draft 3:
// HKDF-SHA256 with the bare salt "BLS-SIG-KEYGEN-SALT-" and an empty info, 48 bytes, modulo the
// group order. The error is ErrSeed.
func KeyGenV3(seed []byte) (*SecretKey, error) {
	if len(seed) < MinSeedSize {
		return nil, fmt.Errorf("bls: key from %d bytes of seed, want at least %d: %w", len(seed), MinSeedSize, ErrSeed)
	}
	return newSecretKey(keyGenV3(seed)), nil
}

// ParseSecretKey reads a scalar of 32 bytes, big-endian. The error is ErrScalar.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	if len(b) != SecretKeySize {
		return nil, fmt.Errorf("bls: secret key of %d bytes, want %d: %w", len(b), SecretKeySize, ErrScalar)
	}
	k, ok := parseScalar(b)
	if !ok {
		return nil, fmt.Errorf("bls: secret key: %w", ErrScalar)
	}
	return newSecretKey(k), nil
}

func newSecretKey(k *scalar) *SecretKey {
	p := k.base()
	return &SecretKey{k: k, pub: &PublicKey{p: p, enc: p.encode()}}
}

// Bytes returns the scalar, big-endian. It is the secret.
func (sk *SecretKey) Bytes() [SecretKeySize]byte { return sk.k.encode() }

// PublicKey returns the key that verifies what sk signs.
func (sk *SecretKey) PublicKey() *PublicKey { return sk.pub }

// Sign signs msg, which may be empty.
func (sk *SecretKey) Sign(s Scheme, msg []byte) *Signature {
	return &Signature{p: sk.k.sign(msg, s.dst(), s.augmentation(sk.pub))}
}

// String says that there is a key and nothing else of it.
func (sk *SecretKey) String() string { return "bls.SecretKey" }

// GoString is String, so that %#v prints no secret either.
func (sk *SecretKey) GoString() string { return sk.String() }

// Format writes String for every verb, since %x and %d would go past it.
func (sk *SecretKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "bls.SecretKey") }

// PublicKey is a point of G1: on the curve, in the subgroup, not infinity.
type PublicKey struct {
	p   *g1
	enc [PublicKeySize]byte
}

// ParsePublicKey reads a compressed point. The error wraps ErrEncoding or ErrInfinity.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	if len(b) != PublicKeySize {
		return nil, fmt.Errorf("bls: public key of %d bytes, want %d: %w", len(b), PublicKeySize, ErrEncoding)
	}
	p, err := decodeG1(b)
	if err != nil {
		return nil, fmt.Errorf("bls: public key: %w", err)
	}
	return &PublicKey{p: p, enc: [PublicKeySize]byte(b)}, nil
}

// Bytes returns the compressed point.
func (k *PublicKey) Bytes() [PublicKeySize]byte { return k.enc }

// Verify reports whether sig is k's signature over msg.
func (k *PublicKey) Verify(s Scheme, msg []byte, sig *Signature) bool {
	if sig.p.isInfinity() {
		return false
	}
	eq := newProduct(s.dst())
	eq.add(k.p, 1, msg, s.augmentation(k))
	eq.done()
	return equal(sig.p, eq)
}

// Signature is a point of G2 in the subgroup. Infinity is one, and never verifies.
type Signature struct{ p *g2 }

// ParseSignature reads a compressed point. The error wraps ErrEncoding.
func ParseSignature(b []byte) (*Signature, error) {
	if len(b) != SignatureSize {
		return nil, fmt.Errorf("bls: signature of %d bytes, want %d: %w", len(b), SignatureSize, ErrEncoding)
	}
	p, err := decodeG2(b)
	if err != nil {
		return nil, fmt.Errorf("bls: signature: %w", err)
	}
	return &Signature{p: p}, nil
}

// Bytes returns the compressed point.
func (sig *Signature) Bytes() [SignatureSize]byte { return sig.p.encode() }

// HashToG2 hashes msg to the curve under dst (RFC 9380, BLS12381G2_XMD:SHA-256_SSWU_RO_) and
// returns the compressed point. A tag over 255 bytes is itself hashed first (RFC 9380 5.3.3).
func HashToG2(msg, dst []byte) [SignatureSize]byte { return hashToG2(msg, dst, nil).encode() }
