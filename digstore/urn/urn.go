package urn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

const (
	// Chain is the label that every content address carries, whatever label
	// the URN that was given has.
	Chain = "chia"

	// DefaultResource is the resource that a URN without a resource, or with
	// an empty one, addresses.
	DefaultResource = "index.html"

	prefix = "urn:dig:"
)

// ErrSyntax is wrapped by every error of Parse.
var ErrSyntax = errors.New("not a urn:dig: address")

// A URN names a store, a generation of it, or a resource in it.
//
// The zero Root means the current generation. Whole tells a URN without a
// resource part ("urn:dig:chia:<store>") from one whose resource is empty
// ("urn:dig:chia:<store>/"); Resource counts only when Whole is false. An empty
// Chain stands for "chia".
//
// URNs are plain values: they may be compared with == and copied.
type URN struct {
	Chain    string
	Store    auth.StoreID
	Root     merkle.Hash
	Resource string
	Whole    bool

	rootGiven bool // a root of 64 zeros was written out
}

// Parse reads a URN (FORMAT.md 2). Hex digits may be of either case; the
// resource is everything after the first slash, as it stands: nothing is
// decoded, normalised or trimmed. Errors match ErrSyntax.
func Parse(s string) (URN, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return URN{}, fmt.Errorf("parse %q: %w: it does not begin with %q", clip(s), ErrSyntax, prefix)
	}
	var u URN
	head, resource, ok := strings.Cut(rest, "/")
	u.Resource, u.Whole = resource, !ok
	parts := strings.Split(head, ":")
	if len(parts) > 3 {
		return URN{}, fmt.Errorf("parse %q: %w: %d parts before the resource, want chain, store and at most a root", clip(s), ErrSyntax, len(parts))
	}
	if u.Chain = parts[0]; u.Chain == "" {
		return URN{}, fmt.Errorf("parse %q: %w: the chain is empty", clip(s), ErrSyntax)
	}
	if len(parts) < 2 {
		return URN{}, fmt.Errorf("parse %q: %w: no store id", clip(s), ErrSyntax)
	}
	store, err := auth.ParseStoreID(parts[1])
	if err != nil {
		return URN{}, fmt.Errorf("parse %q: %w: store id: %v", clip(s), ErrSyntax, err)
	}
	u.Store = store
	if len(parts) == 3 {
		if u.Root, err = merkle.ParseHash(parts[2]); err != nil {
			return URN{}, fmt.Errorf("parse %q: %w: root: %v", clip(s), ErrSyntax, err)
		}
		u.rootGiven = u.Root.IsZero()
	}
	return u, nil
}

// clip keeps an error short when the text is not.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// String returns the canonical form (FORMAT.md 3). Parse(u.String()) gives
// u again, with an empty Chain spelled out.
func (u URN) String() string {
	chain := u.Chain
	if chain == "" {
		chain = Chain
	}
	b := make([]byte, 0, len(prefix)+len(chain)+3+2*64+len(u.Resource))
	b = append(b, prefix...)
	b = append(b, chain...)
	b = append(b, ':')
	b = hex.AppendEncode(b, u.Store[:])
	if !u.Root.IsZero() || u.rootGiven {
		b = append(b, ':')
		b = hex.AppendEncode(b, u.Root[:])
	}
	if !u.Whole {
		b = append(b, '/')
		b = append(b, u.Resource...)
	}
	return string(b)
}

// MarshalText returns String.
func (u URN) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText is Parse.
func (u *URN) UnmarshalText(text []byte) (err error) {
	*u, err = Parse(string(text))
	return err
}

// Rootless returns u without its root: the same resource in whatever
// generation is current.
func (u URN) Rootless() URN {
	u.Root, u.rootGiven = merkle.Hash{}, false
	return u
}

// At returns u in the generation of that root.
func (u URN) At(root merkle.Hash) URN {
	u.Root, u.rootGiven = root, false
	return u
}

// Name returns the resource that u addresses: Resource, or DefaultResource
// where that is absent or empty (FORMAT.md 4).
func (u URN) Name() string {
	if u.Whole || u.Resource == "" {
		return DefaultResource
	}
	return u.Resource
}

// IdentityHash returns the SHA-256 of the canonical form as it is, root
// included. It names the URN; no server is asked for it.
func (u URN) IdentityHash() merkle.Hash { return merkle.Sum([]byte(u.String())) }

// RetrievalKey returns the content address of the resource that u addresses:
// what a key table stores and what servers are asked for. Neither the root nor
// the chain has a part in it, so it stays the same from generation to
// generation.
func (u URN) RetrievalKey() merkle.Hash { return RetrievalKey(u.Store, u.Name()) }

// Key derives the key that the resource's chunks are sealed with. Salt is the
// store's secret salt, nil for a public store. As for RetrievalKey, root and
// chain do not count.
func (u URN) Key(salt *Salt) *Key { return NewKey(u.Store, u.Name(), salt) }

// RetrievalKey returns the content address of a resource named exactly so; the
// empty name is not replaced by DefaultResource.
func RetrievalKey(s auth.StoreID, resource string) merkle.Hash {
	return merkle.Sum(rootless(s, resource))
}

// rootless returns the canonical rootless URN of a resource, the one text from
// which retrieval key and content key come.
func rootless(s auth.StoreID, resource string) []byte {
	b := make([]byte, 0, len(prefix)+len(Chain)+2+64+len(resource))
	b = append(b, prefix+Chain+":"...)
	b = hex.AppendEncode(b, s[:])
	b = append(b, '/')
	return append(b, resource...)
}
