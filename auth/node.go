package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// NodeID is the short name of a node: "dig1" and the first 16 hex digits of its public key. It
// is for display and configuration. It has only 8 of the 32 bytes of the key, so it proves
// nothing.
type NodeID string

const (
	nodeIDPrefix = "dig1"
	nodeIDSize   = len(nodeIDPrefix) + 16
)

// ParseNodeID parses exactly "dig1" and 16 lower-case hex digits.
func ParseNodeID(s string) (NodeID, error) {
	ok := len(s) == nodeIDSize && s[:len(nodeIDPrefix)] == nodeIDPrefix
	for i := len(nodeIDPrefix); ok && i < len(s); i++ {
		ok = '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
	}
	if !ok {
		return "", fmt.Errorf("parse node id: want %s and 16 lower-case hex digits, found %d characters",
			nodeIDPrefix, len(s))
	}
	return NodeID(s), nil
}

// NodePublicKey is the Ed25519 public key of a node, and its identity: 32 bytes. Its text form
// is 64 hex digits.
type NodePublicKey [ed25519.PublicKeySize]byte

// ParseNodePublicKey parses exactly 64 hex digits of either case.
func ParseNodePublicKey(s string) (k NodePublicKey, err error) {
	return k, parseHex("node public key", k[:], []byte(s))
}

// ID returns the node's short name.
func (k NodePublicKey) ID() NodeID { return NodeID(nodeIDPrefix + k.String()[:16]) }

// DHTKey returns the SHA-256 of the key: the node's position in the distributed hash table.
func (k NodePublicKey) DHTKey() [32]byte { return sha256.Sum256(k[:]) }

// String returns 64 lower-case hex digits.
func (k NodePublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns what String returns.
func (k NodePublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText parses the text as ParseNodePublicKey does.
func (k *NodePublicKey) UnmarshalText(text []byte) error {
	return parseHex("node public key", k[:], text)
}

// Check returns an error that wraps ErrPublicKey if k encodes one of the eight points of small
// order, under which any message can be signed, or is not a canonical encoding. The all-zero key is
// one of them. Callers check keys when they import them. A k that is not on the curve passes Check
// but verifies no signature.
func (k NodePublicKey) Check() error {
	y := k
	y[31] &= 0x7f // without the sign of x
	if slices.Contains(smallOrder[:], y) {
		return fmt.Errorf("node public key %v: %w: point of small order", k, ErrPublicKey)
	}
	// In a canonical encoding y, little-endian, is below the field prime 2^255 - 19.
	if y[0] >= 0xed && y[31] == 0x7f && bytes.Count(y[1:31], []byte{0xff}) == 30 {
		return fmt.Errorf("node public key %v: %w: encoding is not canonical", k, ErrPublicKey)
	}
	return nil
}

// smallOrder has the y coordinates of the eight points of small order: 1 (order 1), -1 (order 2),
// 0 (order 4) and the two of order 8. The last three each belong to two points.
var smallOrder = [5]NodePublicKey{
	{0: 0x01},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{},
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
}

// Verify returns nil if sig is k's Ed25519 signature of msg (RFC 8032, no pre-hash, no
// context). The error wraps ErrPublicKey if Check refuses k, and otherwise ErrSignature.
//
// After Check it calls crypto/ed25519.Verify: S must be below the group order, R is compared as
// bytes, so a non-canonical R fails, and the equation has no cofactor.
func (k NodePublicKey) Verify(msg []byte, sig NodeSignature) error {
	if err := k.Check(); err != nil {
		return err
	}
	if !ed25519.Verify(k[:], msg, sig[:]) {
		return fmt.Errorf("node %s: %w", k.ID(), ErrSignature)
	}
	return nil
}

// IsZero reports whether k is all zeros, which is no valid key and means "any node" in a challenge.
func (k NodePublicKey) IsZero() bool { return k == NodePublicKey{} }

// NodeSignature is an Ed25519 signature: 64 bytes. Its text form is 128 hex digits.
type NodeSignature [ed25519.SignatureSize]byte

// ParseNodeSignature parses exactly 128 hex digits of either case.
func ParseNodeSignature(s string) (sig NodeSignature, err error) {
	return sig, parseHex("node signature", sig[:], []byte(s))
}

// String returns 128 lower-case hex digits.
func (s NodeSignature) String() string { return hex.EncodeToString(s[:]) }

// MarshalText returns what String returns.
func (s NodeSignature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText parses the text as ParseNodeSignature does.
func (s *NodeSignature) UnmarshalText(text []byte) error {
	return parseHex("node signature", s[:], text)
}

// NodeSigner signs for one node key. Implementations are safe for concurrent use.
type NodeSigner interface {
	// PublicKey returns the public key, always the same one. It does not block.
	PublicKey() NodePublicKey
	// Sign signs msg of any length (RFC 8032, no pre-hash, no context). It may block on a device
	// or a remote signer.
	Sign(ctx context.Context, msg []byte) (NodeSignature, error)
}

var _ NodeSigner = (*NodeKey)(nil)

// NodeKey is the Ed25519 secret key of a node. It is a NodeSigner, is safe for concurrent use, and
// prints as the node's id.
type NodeKey struct {
	private ed25519.PrivateKey // seed || public key
}

// NewNodeKey derives a key from a seed (RFC 8032). Every seed is valid.
func NewNodeKey(seed [SeedSize]byte) *NodeKey {
	return &NodeKey{private: ed25519.NewKeyFromSeed(seed[:])}
}

// GenerateNodeKey makes a key from 32 bytes of rnd; nil means crypto/rand. It returns rnd's error.
func GenerateNodeKey(rnd io.Reader) (*NodeKey, error) {
	seed, err := newSeed(rnd)
	if err != nil {
		return nil, err
	}
	return NewNodeKey(seed), nil
}

// Seed returns the secret seed, for export and for key files.
func (k *NodeKey) Seed() [SeedSize]byte { return [SeedSize]byte(k.private.Seed()) }

// PublicKey returns the public key.
func (k *NodeKey) PublicKey() NodePublicKey {
	return NodePublicKey(k.private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// ID returns the node's short name.
func (k *NodeKey) ID() NodeID { return k.PublicKey().ID() }

// Sign signs msg. Equal messages have equal signatures. It does not block; it fails only if ctx is
// done.
func (k *NodeKey) Sign(ctx context.Context, msg []byte) (NodeSignature, error) {
	if err := ctx.Err(); err != nil {
		return NodeSignature{}, fmt.Errorf("sign with %v: %w", k, err)
	}
	return NodeSignature(ed25519.Sign(k.private, msg)), nil
}

// String returns the node's id.
func (k *NodeKey) String() string { return string(k.ID()) }

// GoString returns what String returns.
func (k *NodeKey) GoString() string { return k.String() }

// Format writes String for every verb, so that %x and %+v do not print the secret.
func (k *NodeKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalJSON returns the node's id as a JSON string. It cannot be unmarshalled.
func (k *NodeKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }
