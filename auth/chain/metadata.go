package chain

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Metadata is the metadata of a store coin: the root, and items that its writer chose. Absent
// items are nil. See auth/chain/LINEAGE.md 3.4.
type Metadata struct {
	Root        merkle.Hash
	Label       *string
	Description *string
	Bytes       *uint64
	SizeProof   *string
	Program     *merkle.Hash // hash of a program, in newer stores
	SizeBucket  *uint64      // 0 to 10: the size is at most 2^SizeBucket MiB, in newer stores
	// Dropped are the keys of items that were ignored because of a wrong form, "?" for an item that is
	// not a pair. At most 16 are kept.
	Dropped []string
}

const (
	maxDropped    = 16
	maxSizeBucket = 10
)

// Hash returns the tree hash of the encoded metadata: the root, then the present items in the
// order of the fields.
func (m Metadata) Hash() merkle.Hash { return m.node().TreeHash() }

// Encode returns the encoded metadata: the serialized list that Hash hashes. It is what this
// library writes; the coin of another writer can have another encoding, see [MetadataOf].
func (m Metadata) Encode() []byte {
	b, err := clvm.Append(nil, m.node(), &clvm.Limits{Input: math.MaxInt})
	if err != nil {
		panic("chain: encode metadata: " + err.Error()) // an atom of 16 GiB
	}
	return b
}

func (m Metadata) node() *clvm.Node {
	list := []*clvm.Node{clvm.Atom(m.Root[:])}
	item := func(key string, value *clvm.Node) {
		list = append(list, clvm.Pair(clvm.Text(key), value))
	}
	if m.Label != nil {
		item("l", clvm.Text(*m.Label))
	}
	if m.Description != nil {
		item("d", clvm.Text(*m.Description))
	}
	if m.Bytes != nil {
		item("b", clvm.Uint(*m.Bytes))
	}
	if m.SizeProof != nil {
		item("sp", clvm.Text(*m.SizeProof))
	}
	if m.Program != nil {
		item("p", clvm.Atom(m.Program[:]))
	}
	if m.SizeBucket != nil {
		item("sz", clvm.Uint(*m.SizeBucket))
	}
	return clvm.List(list...)
}

// readMetadata parses the metadata of a store coin. Only the root must be valid, so that a
// writer's mistake in another item does not make the store unreadable.
func readMetadata(n *clvm.Node) (Metadata, error) {
	first, rest, ok := n.Pair()
	if !ok {
		return Metadata{}, fmt.Errorf("metadata %v: want a list", n)
	}
	root, ok := first.Bytes32()
	if !ok {
		return Metadata{}, fmt.Errorf("root %v of the metadata: want 32 bytes", first)
	}
	m := Metadata{Root: root}
	for item := range rest.Items() {
		k, value, ok := item.Pair()
		key, atom := "?", false
		if ok {
			key, atom = k.Atom()
		}
		if !ok || !atom || !m.read(key, value) {
			m.drop(key)
		}
	}
	return m, nil
}

// read sets one item and reports whether its form is right. A later item with the same key
// replaces it.
func (m *Metadata) read(key string, value *clvm.Node) bool {
	text := func(dst **string) bool {
		s, ok := value.Atom()
		if ok = ok && utf8.ValidString(s); ok {
			s = strings.Clone(s) // the atom would keep the whole puzzle in memory
			*dst = &s
		}
		return ok
	}
	number := func(dst **uint64, most uint64) bool {
		v, ok := value.Uint64()
		if ok = ok && v <= most; ok {
			*dst = &v
		}
		return ok
	}
	switch key {
	case "l":
		return text(&m.Label)
	case "d":
		return text(&m.Description)
	case "b":
		return number(&m.Bytes, 1<<64-1)
	case "sp":
		return text(&m.SizeProof)
	case "sz":
		return number(&m.SizeBucket, maxSizeBucket)
	case "p":
		h, ok := value.Bytes32()
		if ok {
			p := merkle.Hash(h)
			m.Program = &p
		}
		return ok
	}
	return true // an unknown key
}

func (m *Metadata) drop(key string) {
	if len(key) > 8 || !utf8.ValidString(key) {
		key = "?"
	}
	if len(m.Dropped) < maxDropped {
		m.Dropped = append(m.Dropped, key)
	}
}
