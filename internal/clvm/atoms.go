package clvm

import (
	"crypto/sha256"
	"sync"
)

// atomTable has the nodes and hashes of the most frequent atoms: the empty one and those of one
// byte.
type atomTable struct {
	empty     Node
	emptyHash [32]byte
	one       [256]Node
	oneHash   [256][32]byte
}

// atoms returns the table, which is made at the first call.
var atoms = sync.OnceValue(func() *atomTable {
	t := &atomTable{emptyHash: sha256.Sum256([]byte{1})}
	for b := range t.one {
		t.one[b].atom = string([]byte{byte(b)})
		t.oneHash[b] = sha256.Sum256([]byte{1, byte(b)})
	}
	return t
})

// node returns the atom s.
func (t *atomTable) node(s string) *Node {
	switch len(s) {
	case 0:
		return &t.empty
	case 1:
		return &t.one[s[0]]
	}
	return &Node{atom: s}
}

// bool returns the atom of a truth value.
func (t *atomTable) bool(v bool) *Node {
	if v {
		return &t.one[1]
	}
	return &t.empty
}
