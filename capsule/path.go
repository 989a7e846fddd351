package capsule

import (
	"fmt"

	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// maxPath is the number of siblings above a leaf among 2^32.
const maxPath = 32

// siblings returns the hashes of a path.
func siblings(p merkle.Proof) []merkle.Hash {
	path := make([]merkle.Hash, len(p.Path))
	for i, s := range p.Path {
		path[i] = s.Hash
	}
	return path
}

// foldPath returns the root over a leaf at index among count leaves. The path must have exactly
// the siblings of that place.
func foldPath(leaf merkle.Hash, index, count uint32, path []merkle.Hash) (merkle.Hash, error) {
	if index >= count {
		return merkle.Hash{}, fmt.Errorf("%w: index %d is not among %d leaves", ErrPath, index,
			count)
	}
	h, rest := leaf, path
	for i, n := uint64(index), uint64(count); n > 1; i, n = i>>1, (n+1)>>1 {
		if i&1 == 0 && i+1 == n {
			continue // an odd last node moves up
		}
		if len(rest) == 0 {
			return merkle.Hash{}, fmt.Errorf("%w: leaf %d of %d: found %d siblings, expected more",
				ErrPath, index, count, len(path))
		}
		if i&1 == 1 {
			h = merkle.Node(rest[0], h)
		} else {
			h = merkle.Node(h, rest[0])
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return merkle.Hash{}, fmt.Errorf("%w: leaf %d of %d: found %d siblings, expected %d",
			ErrPath, index, count, len(path), len(path)-len(rest))
	}
	return h, nil
}

// checkPath returns nil when the path of a leaf folds to root.
func checkPath(leaf merkle.Hash, index, count uint32, path []merkle.Hash, root merkle.Hash) error {
	got, err := foldPath(leaf, index, count, path)
	if err == nil && got != root {
		err = fmt.Errorf("%w: leaf %d of %d folds to %v, expected %v", ErrPath, index, count, got,
			root)
	}
	return err
}

// writePath appends u8 number of siblings, then the siblings.
func writePath(w *codec.Writer, path []merkle.Hash) {
	if len(path) > maxPath {
		w.Fail(fmt.Errorf("%w: %d siblings, at most %d", ErrPath, len(path), maxPath))
		return
	}
	w.U8(uint8(len(path)))
	for _, h := range path {
		w.Fixed(h[:])
	}
}

func readPath(r *codec.Reader) []merkle.Hash {
	n := int(r.U8())
	if n > maxPath {
		r.Fail(fmt.Errorf("%w: %d siblings, at most %d", codec.ErrValue, n, maxPath))
		return nil
	}
	path := make([]merkle.Hash, n)
	for i := range path {
		r.Fixed(path[i][:])
	}
	return path
}
