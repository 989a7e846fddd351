package module

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// ErrNotHead reports that the parent of a new generation is not the head of the
// store. Stores return it, and servers map it to a status.
var ErrNotHead = errors.New("the parent is not the newest generation")

// An ID names one generation: a store and a root.
type ID struct {
	Store auth.StoreID
	Root  merkle.Hash
}

// ParseID reads "store:root", 64 hex digits of either case each (FORMAT.md 1.3).
// Other characters are an error.
func ParseID(s string) (ID, error) {
	store, root, ok := strings.Cut(s, ":")
	if !ok {
		return ID{}, fmt.Errorf("parse generation id %.140q: want store:root, found no colon", s)
	}
	var id ID
	var err error
	if id.Store, err = auth.ParseStoreID(store); err != nil {
		return ID{}, fmt.Errorf("parse generation id %.140q: store: %w", s, err)
	}
	if id.Root, err = merkle.ParseHash(root); err != nil {
		return ID{}, fmt.Errorf("parse generation id %.140q: root: %w", s, err)
	}
	return id, nil
}

// String returns "store:root" in lower-case hex.
func (id ID) String() string {
	return hex.EncodeToString(id.Store[:]) + ":" + hex.EncodeToString(id.Root[:])
}

// FileName returns the usual name of the file of a module: store and root in hex,
// joined by a hyphen, and ".dig".
func (id ID) FileName() string {
	return hex.EncodeToString(id.Store[:]) + "-" + hex.EncodeToString(id.Root[:]) + ".dig"
}

// MarshalText returns String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// AppendBinary appends the 64 bytes store || root. It never fails.
func (id ID) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, id.Store[:]...)
	return append(b, id.Root[:]...), nil
}

// MarshalBinary returns the 64 bytes that AppendBinary appends.
func (id ID) MarshalBinary() ([]byte, error) { return id.AppendBinary(nil) }

// UnmarshalBinary reads exactly 64 bytes.
func (id *ID) UnmarshalBinary(b []byte) error {
	if len(b) != len(id.Store)+len(id.Root) {
		return fmt.Errorf("decode generation id: %d bytes, want %d", len(b), len(id.Store)+len(id.Root))
	}
	copy(id.Store[:], b)
	copy(id.Root[:], b[len(id.Store):])
	return nil
}

// A Generation is one line of a store's history.
type Generation struct {
	Number uint64      // place in the history, from 0
	Root   merkle.Hash // merkle root of its resources
	Time   time.Time   // of the commit, in whole seconds
}
