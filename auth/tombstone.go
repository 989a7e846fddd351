package auth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

const (
	tombstoneTag = "digstore:tomb:v1"
	scopeRoot    = 0
	scopeStore   = 1

	// MaxTombstoneSize is the length in bytes of the longest tombstone record, that of one
	// generation. The record of a whole store has 42 bytes.
	MaxTombstoneSize   = 74
	storeTombstoneSize = 42
)

// Errors of tombstones.
var (
	// ErrTombstone is wrapped by errors about a malformed tombstone record.
	ErrTombstone = errors.New("malformed tombstone record")
	// ErrRevoked is wrapped by errors about a root that a valid tombstone revokes, alone or with
	// the whole store.
	ErrRevoked = errors.New("revoked by its publisher")
)

// Reason says why a generation or a store was revoked. Other values than the constants are kept and
// mean Unspecified.
type Reason uint8

// The reasons of remote/PROTOCOL.md 7.1.
const (
	Unspecified Reason = 0
	Compromise  Reason = 1 // the key, or what was published, is no longer trustworthy
	Superseded  Reason = 2 // another generation replaces it
	Takedown    Reason = 3 // the publisher withdraws the content
)

// String returns unspecified, compromise, superseded or takedown.
func (r Reason) String() string {
	switch r {
	case Compromise:
		return "compromise"
	case Superseded:
		return "superseded"
	case Takedown:
		return "takedown"
	default:
		return "unspecified"
	}
}

// ParseReason parses the result of String.
func ParseReason(s string) (Reason, error) {
	for r := Unspecified; r <= Takedown; r++ {
		if s == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("parse reason %q: want unspecified, compromise, superseded or takedown", s)
}

// Tombstone revokes a generation or, if Root is zero, the whole store. It does not expire and
// cannot be withdrawn (remote/PROTOCOL.md 7).
type Tombstone struct {
	Store    StoreID
	Root     merkle.Hash // zero: the whole store
	NotAfter uint64      // time of the revocation in unix seconds; not an expiry time
	Reason   Reason
	Sig      Signature
}

// SignTombstone returns t signed with the store's key. It returns the signer's error.
func SignTombstone(ctx context.Context, t Tombstone, by Signer) (Tombstone, error) {
	msg := t.message()
	sig, err := by.Sign(ctx, msg[:])
	if err != nil {
		return Tombstone{}, fmt.Errorf("sign tombstone of store %v: %w", t.Store, err)
	}
	t.Sig = sig
	return t, nil
}

// Check verifies t.Sig with pub, the publisher's key. Errors wrap ErrPublicKey or ErrSignature.
func (t Tombstone) Check(pub PublicKey) error {
	msg := t.message()
	if err := verifyBy(pub, msg[:], t.Sig); err != nil {
		return fmt.Errorf("tombstone of store %v: %w", t.Store, err)
	}
	return nil
}

// Revokes reports whether t revokes the generation of its store with that root.
func (t Tombstone) Revokes(root merkle.Hash) bool { return t.WholeStore() || t.Root == root }

// WholeStore reports whether t revokes every past and future generation.
func (t Tombstone) WholeStore() bool { return t.Root.IsZero() }

// AppendBinary appends the record, the signed part without the signature:
//
//	store id (32) || 0 || root (32) || u64 not after || reason (1)      74 bytes, one generation
//	store id (32) || 1 || u64 not after || reason (1)                   42 bytes, the whole store
//
// The integer is big-endian. It never fails.
func (t Tombstone) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, t.Store[:]...)
	if t.WholeStore() {
		b = append(b, scopeStore)
	} else {
		b = append(b, scopeRoot)
		b = append(b, t.Root[:]...)
	}
	b = binary.BigEndian.AppendUint64(b, t.NotAfter)
	return append(b, byte(t.Reason)), nil
}

// MarshalBinary returns the record: see AppendBinary.
func (t Tombstone) MarshalBinary() ([]byte, error) {
	return t.AppendBinary(make([]byte, 0, MaxTombstoneSize))
}

// ParseTombstone parses a record and joins it with its signature, which it does not check: see
// Check. A wrong length, an unknown scope, and a generation whose root is zero are errors that wrap
// ErrTombstone.
func ParseTombstone(record []byte, sig Signature) (Tombstone, error) {
	t := Tombstone{Sig: sig}
	if len(record) <= len(t.Store) {
		return Tombstone{}, fmt.Errorf("%w: want %d or %d bytes, found %d",
			ErrTombstone, storeTombstoneSize, MaxTombstoneSize, len(record))
	}
	copy(t.Store[:], record)
	scope, rest, want := record[len(t.Store)], record[len(t.Store)+1:], storeTombstoneSize
	if scope == scopeRoot {
		want = MaxTombstoneSize
	}
	switch {
	case scope != scopeRoot && scope != scopeStore:
		return Tombstone{}, fmt.Errorf("%w: want scope %d or %d, found %d",
			ErrTombstone, scopeRoot, scopeStore, scope)
	case len(record) != want:
		return Tombstone{}, fmt.Errorf("%w: scope %d: want %d bytes, found %d",
			ErrTombstone, scope, want, len(record))
	}
	if scope == scopeRoot {
		rest = rest[copy(t.Root[:], rest):]
		if t.Root.IsZero() {
			return Tombstone{}, fmt.Errorf("%w: scope 0 with a zero root", ErrTombstone)
		}
	}
	t.NotAfter = binary.BigEndian.Uint64(rest)
	t.Reason = Reason(rest[8])
	return t, nil
}

func (t Tombstone) message() [32]byte {
	b := append(make([]byte, 0, len(tombstoneTag)+MaxTombstoneSize), tombstoneTag...)
	b, _ = t.AppendBinary(b) // never fails
	return sha256.Sum256(b)
}
