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
	MinSeedSize   = 32 // least length of the seed of KeyGenV3
)

// Errors of parsing. Each parsing error wraps exactly one of them.
var (
	// ErrEncoding reports a wrong length, a flag or coordinate that is not canonical, or a point
	// that is not on the curve or not in the subgroup of prime order.
	ErrEncoding = errors.New("not the canonical compressed form of a point of the group")
	// ErrInfinity reports the point at infinity in place of a public key.
	ErrInfinity = errors.New("point at infinity")
	// ErrScalar reports a scalar that is zero or not below the group order.
	ErrScalar = errors.New("scalar out of range")
	// ErrSeed reports a seed of less than MinSeedSize bytes.
	ErrSeed = errors.New("seed too short")
)

// A Scheme selects the domain tag and the prefix of a message.
type Scheme uint8

const (
	// Augmented prefixes the message with the public key. It is the scheme of this project.
	Augmented Scheme = iota
	// Basic hashes the message as it is. Aggregates over equal messages are unsafe.
	Basic
	// Possession hashes the message as it is and requires proofs of possession of the keys.
	Possession
)

// DST returns the domain tag, which is printable ASCII.
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

// augmentation returns the prefix of a message that k signs, nil for none.
func (s Scheme) augmentation(k *PublicKey) []byte {
	if s == Augmented {
		return k.enc[:]
	}
	return nil
}

// SecretKey is a scalar other than zero. Formatting does not show it: see String.
type SecretKey struct {
	k   *scalar
	pub *PublicKey
}

// KeyGenV3 derives a key from at least 32 bytes of secret by the KeyGen of IETF draft 3:
// HKDF-SHA256 with the bare salt "BLS-SIG-KEYGEN-SALT-" and an empty info, 48 bytes, modulo the
// group order. The error is ErrSeed.
func KeyGenV3(seed []byte) (*SecretKey, error) {
	if len(seed) < MinSeedSize {
		return nil, fmt.Errorf("bls: key from a seed of %d bytes, want at least %d: %w",
			len(seed), MinSeedSize, ErrSeed)
	}
	return newSecretKey(keyGenV3(seed)), nil
}

// ParseSecretKey reads a scalar of 32 bytes, big-endian. The error is ErrScalar.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	if len(b) != SecretKeySize {
		return nil, fmt.Errorf("bls: secret key of %d bytes, want %d: %w",
			len(b), SecretKeySize, ErrScalar)
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

// PublicKey returns the public key of sk.
func (sk *SecretKey) PublicKey() *PublicKey { return sk.pub }

// Sign signs msg, which may be empty.
func (sk *SecretKey) Sign(s Scheme, msg []byte) *Signature {
	return &Signature{p: sk.k.sign(msg, s.dst(), s.augmentation(sk.pub))}
}

// String returns a constant text, so that formatting does not show the secret.
func (sk *SecretKey) String() string { return "bls.SecretKey" }

// GoString returns String.
func (sk *SecretKey) GoString() string { return sk.String() }

// Format writes String for every verb.
func (sk *SecretKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "bls.SecretKey") }

// PublicKey is a point of G1: on the curve, in the subgroup, not infinity.
type PublicKey struct {
	p   *g1
	enc [PublicKeySize]byte
}

// ParsePublicKey reads a compressed point. The error wraps ErrEncoding or ErrInfinity.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	if len(b) != PublicKeySize {
		return nil, fmt.Errorf("bls: public key of %d bytes, want %d: %w",
			len(b), PublicKeySize, ErrEncoding)
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

// Signature is a point of the subgroup of G2. It may be infinity, which never verifies.
type Signature struct{ p *g2 }

// ParseSignature reads a compressed point. The error wraps ErrEncoding.
func ParseSignature(b []byte) (*Signature, error) {
	if len(b) != SignatureSize {
		return nil, fmt.Errorf("bls: signature of %d bytes, want %d: %w",
			len(b), SignatureSize, ErrEncoding)
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
