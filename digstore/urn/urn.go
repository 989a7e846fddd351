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
	// Chain is the chain in rootless URNs, from which keys are derived, whatever
	// chain the parsed URN has.
	Chain = "chia"

	// DefaultResource is the resource that a URN with an absent or empty resource
	// addresses.
	DefaultResource = "index.html"

	prefix = "urn:dig:"
)

// ErrSyntax is wrapped by every error of Parse.
var ErrSyntax = errors.New("not a urn:dig: address")

// A URN is the address of a store, of a generation, or of a resource.
//
// The zero Root stands for the current generation. Whole is true for a URN without a
// resource part ("urn:dig:chia:<store>"), false for one whose resource is empty
// ("urn:dig:chia:<store>/"); Resource is used only when Whole is false. An empty Chain
// stands for "chia".
//
// URNs may be compared with == and copied.
type URN struct {
	Chain    string
	Store    auth.StoreID
	Root     merkle.Hash
	Resource string
	Whole    bool

	rootGiven bool // the root was given and is zero
}

// Parse reads a URN (FORMAT.md 2). Hex digits may be of either case. The
// resource is everything after the first slash; it is not decoded, normalized or
// trimmed. Errors match ErrSyntax.
func Parse(s string) (URN, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return URN{}, fmt.Errorf("parse %q: %w: want the prefix %q", clip(s), ErrSyntax, prefix)
	}
	var u URN
	head, resource, ok := strings.Cut(rest, "/")
	u.Resource, u.Whole = resource, !ok
	parts := strings.Split(head, ":")
	if len(parts) > 3 {
		return URN{}, fmt.Errorf("parse %q: %w: want chain, store and at most a root, found %d parts",
			clip(s), ErrSyntax, len(parts))
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

// clip shortens a text for an error.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// String returns the canonical form (FORMAT.md 3). Parse(u.String()) returns u, with
// "chia" for an empty Chain.
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

// Rootless returns u without its root: the same resource in the current generation.
func (u URN) Rootless() URN {
	u.Root, u.rootGiven = merkle.Hash{}, false
	return u
}

// At returns u in the generation of that root.
func (u URN) At(root merkle.Hash) URN {
	u.Root, u.rootGiven = root, false
	return u
}

// Name returns the resource that u addresses: Resource, or DefaultResource if that is
// absent or empty (FORMAT.md 4).
func (u URN) Name() string {
	if u.Whole || u.Resource == "" {
		return DefaultResource
	}
	return u.Resource
}

// IdentityHash returns the SHA-256 of the canonical form, root included. It names the
// URN. No server is asked for it.
func (u URN) IdentityHash() merkle.Hash { return merkle.Sum([]byte(u.String())) }

// RetrievalKey returns the retrieval key of the resource that u addresses, which key
// tables hold and servers are asked for. It does not depend on the root and the
// chain, so it is the same in all generations.
func (u URN) RetrievalKey() merkle.Hash { return RetrievalKey(u.Store, u.Name()) }

// Key derives the content key of the resource that u addresses. Salt is the secret salt
// of the store, nil for a public store. Root and chain are not used.
func (u URN) Key(salt *Salt) *Key { return NewKey(u.Store, u.Name(), salt) }

// RetrievalKey returns the retrieval key of a resource. An empty name is not replaced
// by DefaultResource.
func RetrievalKey(s auth.StoreID, resource string) merkle.Hash {
	return merkle.Sum(rootless(s, resource))
}

// rootless returns the rootless URN of a resource (FORMAT.md 5).
func rootless(s auth.StoreID, resource string) []byte {
	b := make([]byte, 0, len(prefix)+len(Chain)+2+64+len(resource))
	b = append(b, prefix+Chain+":"...)
	b = hex.AppendEncode(b, s[:])
	b = append(b, '/')
	return append(b, resource...)
}
