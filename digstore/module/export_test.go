package module

import "github.com/dig-network/digstore/merkle"

// Filler is the first n bytes of the standard filler of a generation.
func Filler(id ID, n int) []byte {
	b := make([]byte, n)
	k := newKeystream(id)
	k.read(b, 0)
	return b
}

// ProveWithoutTree is how modules of very many resources prove one.
func ProveWithoutTree(m *Module, rank int) (merkle.Proof, error) {
	l, err := m.leaves()
	if err != nil {
		return merkle.Proof{}, err
	}
	return l.prove(int64(rank))
}
