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

	// MaxTombstoneSize is the length of the longest tombstone record in bytes: one generation's.
	// A whole store's is 42.
	MaxTombstoneSize   = 74
	storeTombstoneSize = 42
)

// Errors of tombstones.
var (
	// ErrTombstone is wrapped where bytes are no tombstone record.
	ErrTombstone = errors.New("malformed tombstone record")
	// ErrRevoked is wrapped where a valid tombstone names the root, or the whole store, that was asked for.
	ErrRevoked = errors.New("revoked by its publisher")
)

// Reason says why something was revoked. Values that are not named here mean Unspecified to a
// reader and are kept as they are.
type Reason uint8

// The reasons of remote/PROTOCOL.md 7.1.
const (
	Unspecified Reason = 0
	Compromise  Reason = 1 // the key, or what was published, is no longer trustworthy
	Superseded  Reason = 2 // another generation takes its place
	Takedown    Reason = 3 // the publisher wants it gone
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

// ParseReason reads what String writes.
func ParseReason(s string) (Reason, error) {
	for r := Unspecified; r <= Takedown; r++ {
		if s == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("reason %q, want unspecified, compromise, superseded or takedown", s)
}

// Tombstone revokes a generation or, when Root is zero, the whole store. It never expires and
// cannot be withdrawn (remote/PROTOCOL.md 7).
type Tombstone struct {
	Store    StoreID
	Root     merkle.Hash // zero: the whole store
	NotAfter uint64      // unix seconds of the revocation itself; not an expiry
	Reason   Reason
	Sig      Signature
}

// SignTombstone returns t signed by the store's key. The error is the signer's.
func SignTombstone(ctx context.Context, t Tombstone, by Signer) (Tombstone, error) {
	msg := t.message()
	sig, err := by.Sign(ctx, msg[:])
	if err != nil {
		return Tombstone{}, fmt.Errorf("sign tombstone of store %v: %w", t.Store, err)
	}
	t.Sig = sig
	return t, nil
}

// Check verifies t.Sig under pub, the publisher's key. Errors wrap ErrPublicKey or ErrSignature.
func (t Tombstone) Check(pub PublicKey) error {
	msg := t.message()
	if err := verifyBy(pub, msg[:], t.Sig); err != nil {
		return fmt.Errorf("tombstone of store %v: %w", t.Store, err)
	}
	return nil
}

// Revokes reports whether t takes back the given generation of its store.
func (t Tombstone) Revokes(root merkle.Hash) bool { return t.WholeStore() || t.Root == root }

// WholeStore reports whether t revokes every generation, past and to come.
func (t Tombstone) WholeStore() bool { return t.Root.IsZero() }

// AppendBinary appends the record, which is the signed part, without the signature:
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

// ParseTombstone reads a record and joins it with its signature, which it does not check: see
// Check. A wrong length, an unknown scope, bytes left over and a generation whose root is zero
// (which would read as the whole store) are errors that wrap ErrTombstone.
func ParseTombstone(record []byte, sig Signature) (Tombstone, error) {
	t := Tombstone{Sig: sig}
	if len(record) <= len(t.Store) {
		return Tombstone{}, fmt.Errorf("%w: %d bytes", ErrTombstone, len(record))
	}
	copy(t.Store[:], record)
	scope, rest, want := record[len(t.Store)], record[len(t.Store)+1:], storeTombstoneSize
	if scope == scopeRoot {
		want = MaxTombstoneSize
	}
	switch {
	case scope != scopeRoot && scope != scopeStore:
		return Tombstone{}, fmt.Errorf("%w: scope %d, want %d or %d", ErrTombstone, scope, scopeRoot, scopeStore)
	case len(record) != want:
		return Tombstone{}, fmt.Errorf("%w: %d bytes of scope %d, want %d", ErrTombstone, len(record), scope, want)
	}
	if scope == scopeRoot {
		rest = rest[copy(t.Root[:], rest):]
		if t.Root.IsZero() {
			return Tombstone{}, fmt.Errorf("%w: one generation is revoked, and its root is zero", ErrTombstone)
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
