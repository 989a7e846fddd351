package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// NodeID is the short name of a node: "dig1" and the first 16 hex digits of its public key. It is
// for display and configuration. It names 8 of the key's 32 bytes, so two keys can share one, and
// nothing is decided by it (node spec 1.1).
type NodeID string

const (
	nodeIDPrefix = "dig1"
	nodeIDSize   = len(nodeIDPrefix) + 16
)

// ParseNodeID reads exactly "dig1" and 16 lower-case hex digits.
func ParseNodeID(s string) (NodeID, error) {
	ok := len(s) == nodeIDSize && s[:len(nodeIDPrefix)] == nodeIDPrefix
	for i := len(nodeIDPrefix); ok && i < len(s); i++ {
		ok = '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
	}
	if !ok {
		return "", fmt.Errorf("parse node id of %d characters: want %s and 16 lower-case hex digits", len(s), nodeIDPrefix)
	}
	return NodeID(s), nil
}

// NodePublicKey is a node's Ed25519 public key: 32 bytes, as text 64 hex digits. All of it is the
// node's identity.
type NodePublicKey [ed25519.PublicKeySize]byte

// ParseNodePublicKey reads exactly 64 hex digits of either case.
func ParseNodePublicKey(s string) (k NodePublicKey, err error) {
	return k, parseHex("node public key", k[:], []byte(s))
}

// ID returns the node's short name.
func (k NodePublicKey) ID() NodeID { return NodeID(nodeIDPrefix + k.String()[:16]) }

// DHTKey returns the SHA-256 of the key: the node's place among others (node spec 1.1).
func (k NodePublicKey) DHTKey() [32]byte { return sha256.Sum256(k[:]) }

// String returns 64 lower-case hex digits.
func (k NodePublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns what String returns.
func (k NodePublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what ParseNodePublicKey reads.
func (k *NodePublicKey) UnmarshalText(text []byte) error {
	return parseHex("node public key", k[:], text)
}

// Verify returns nil when sig is k's Ed25519 signature over msg (RFC 8032, no pre-hash, no
// context), and else an error that wraps ErrSignature.
//
// It is crypto/ed25519.Verify: S must be below the group order, R is compared as bytes (so a
// non-canonical R never passes), the equation is the one without cofactor, while a non-canonical
// or low-order public key is taken as it is. Whoever holds a key of low order can sign anything, which is
// that key's own loss; it says nothing about other keys.
func (k NodePublicKey) Verify(msg []byte, sig NodeSignature) error {
	if !ed25519.Verify(k[:], msg, sig[:]) {
		return fmt.Errorf("node %s: %w", k.ID(), ErrSignature)
	}
	return nil
}

// NodeSignature is an Ed25519 signature: 64 bytes, as text 128 hex digits.
type NodeSignature [ed25519.SignatureSize]byte

// ParseNodeSignature reads exactly 128 hex digits of either case.
func ParseNodeSignature(s string) (sig NodeSignature, err error) {
	return sig, parseHex("node signature", sig[:], []byte(s))
}

// String returns 128 lower-case hex digits.
func (s NodeSignature) String() string { return hex.EncodeToString(s[:]) }

// MarshalText returns what String returns.
func (s NodeSignature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads what ParseNodeSignature reads.
func (s *NodeSignature) UnmarshalText(text []byte) error {
	return parseHex("node signature", s[:], text)
}

// NodeKey is a node's Ed25519 secret key. It is safe for concurrent use and prints as the node's
// id only.
type NodeKey struct {
	private ed25519.PrivateKey // seed || public key
}

// NewNodeKey makes the key of a seed (RFC 8032). Every seed is good.
func NewNodeKey(seed [SeedSize]byte) *NodeKey {
	return &NodeKey{private: ed25519.NewKeyFromSeed(seed[:])}
}

// GenerateNodeKey makes a key from 32 bytes of rnd; nil means crypto/rand. The error is rnd's.
func GenerateNodeKey(rnd io.Reader) (*NodeKey, error) {
	seed, err := newSeed(rnd)
	if err != nil {
		return nil, err
	}
	return NewNodeKey(seed), nil
}

// Seed returns the secret, for export and for key files.
func (k *NodeKey) Seed() [SeedSize]byte { return [SeedSize]byte(k.private.Seed()) }

// PublicKey returns the key that verifies.
func (k *NodeKey) PublicKey() NodePublicKey {
	return NodePublicKey(k.private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// ID returns the node's short name.
func (k *NodeKey) ID() NodeID { return k.PublicKey().ID() }

// Sign signs msg as it is. Equal messages have equal signatures.
func (k *NodeKey) Sign(msg []byte) NodeSignature { return NodeSignature(ed25519.Sign(k.private, msg)) }

// String returns the node's id.
func (k *NodeKey) String() string { return string(k.ID()) }

// GoString returns what String returns.
func (k *NodeKey) GoString() string { return k.String() }

// Format writes String whatever the verb, so that %x and %+v show no secret.
func (k *NodeKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalJSON returns the node's id as a JSON string. There is no way back from it.
func (k *NodeKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }
