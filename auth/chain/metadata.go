package chain

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Metadata is what a store coin carries: the root, and what its writer says about it. Absent items are nil.
// See auth/chain/LINEAGE.md 3.4.
type Metadata struct {
	Root        merkle.Hash
	Label       *string
	Description *string
	Bytes       *uint64
	SizeProof   *string
	Program     *merkle.Hash // hash of a program, in newer stores
	SizeBucket  *uint64      // 0 to 10: the size is at most 2^SizeBucket MiB, in newer stores
	// Dropped are keys whose items were not of their form and were passed over, and "?" for an item
	// that was no pair. At most 16 are kept.
	Dropped []string
}

const (
	maxDropped    = 16
	maxSizeBucket = 10
)

// Hash returns the tree hash of the metadata as it is written: the root, then the items that are there, in the
// order of the fields.
func (m Metadata) Hash() merkle.Hash { return m.node().TreeHash() }

func (m Metadata) node() *clvm.Node {
	list := []*clvm.Node{clvm.Atom(m.Root[:])}
	item := func(key string, value *clvm.Node) { list = append(list, clvm.Pair(clvm.Text(key), value)) }
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

// readMetadata reads the list that a store coin carries. Only the root has to be right: one careless writer is
// not to make a store unreadable.
func readMetadata(n *clvm.Node) (Metadata, error) {
	first, rest, ok := n.Pair()
	if !ok {
		return Metadata{}, fmt.Errorf("metadata %v is no list", n)
	}
	root, ok := first.Bytes32()
	if !ok {
		return Metadata{}, fmt.Errorf("the metadata's root %v is not 32 bytes", first)
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

// read takes one item, and reports whether it was of its form. Later ones win.
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
	return true // not ours to judge
}

func (m *Metadata) drop(key string) {
	if len(key) > 8 || !utf8.ValidString(key) {
		key = "?"
	}
	if len(m.Dropped) < maxDropped {
		m.Dropped = append(m.Dropped, key)
	}
}
