package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Errors about proofs. Each error of decoding or checking a proof wraps ErrProof.
var (
	// ErrProof: the proof is malformed or wrong.
	ErrProof = errors.New("merkle proof")
	// ErrRoot: the proof is consistent, but for another root. A server sends such
	// a proof for a key that it does not have. It wraps ErrProof.
	ErrRoot = fmt.Errorf("%w of another root", ErrProof)
)

// A Proof states that a leaf is in the tree with a root. A received Proof must be
// checked: see Check.
type Proof struct {
	Leaf Hash   `json:"leaf"`
	Path []Step `json:"path"` // the siblings from the leaf to the root
	Root Hash   `json:"root"`
}

// A Step is the sibling of a node on the path to the root.
type Step struct {
	Hash Hash `json:"hash"`
	Left bool `json:"is_left"` // the sibling is the left node
}

// Check checks that p is for leaf, that its path leads to its root, and that this
// is root. The caller must not take leaf and root from the proof or from the
// answer that had it. A wrong root is ErrRoot, any other error ErrProof.
func (p Proof) Check(leaf, root Hash) error {
	if p.Leaf != leaf {
		return fmt.Errorf("%w: want leaf %v, found %v", ErrProof, leaf, p.Leaf)
	}
	h := p.Leaf
	for _, s := range p.Path {
		if s.Left {
			h = Node(s.Hash, h)
		} else {
			h = Node(h, s.Hash)
		}
	}
	if h != p.Root {
		return fmt.Errorf("%w: path leads to %v, the proof has root %v", ErrProof, h, p.Root)
	}
	if p.Root != root {
		return fmt.Errorf("%w: want %v, found %v", ErrRoot, root, p.Root)
	}
	return nil
}

// CheckAt is Check for a leaf with a known index, from 0, of count leaves. The path
// must have exactly the steps of that index, each on its side.
func (p Proof) CheckAt(leaf, root Hash, index, count int64) error {
	if index < 0 || index >= count {
		return fmt.Errorf("%w: index %d is not among %d leaves", ErrProof, index, count)
	}
	rest := p.Path
	for i, n := index, count; n > 1; i, n = i>>1, n>>1+n&1 {
		left := i&1 == 1
		if !left && i+1 == n {
			continue // an odd last node moves up
		}
		if len(rest) == 0 {
			return fmt.Errorf("%w: path of leaf %d of %d ends after %d steps", ErrProof, index, count,
				len(p.Path))
		}
		if rest[0].Left != left {
			return fmt.Errorf("%w: path of leaf %d of %d: step %d is on the wrong side", ErrProof, index,
				count, len(p.Path)-len(rest))
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: path of leaf %d of %d has %d steps too many", ErrProof, index, count,
			len(rest))
	}
	return p.Check(leaf, root)
}

const (
	stepSize  = len(Hash{}) + 1
	proofSize = 2*len(Hash{}) + 4 // without a step
)

// AppendBinary appends the encoding of digstore/module/FORMAT.md 2.5: leaf, u32 number of
// steps, steps of 33 bytes (hash, then 1 when it stands on the left and 0
// otherwise), root; big-endian.
func (p Proof) AppendBinary(b []byte) ([]byte, error) {
	if uint64(len(p.Path)) > math.MaxUint32 {
		return b, fmt.Errorf("encode %w: %d steps, at most %d fit", ErrProof, len(p.Path),
			uint32(math.MaxUint32))
	}
	b = append(b, p.Leaf[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Path)))
	for _, s := range p.Path {
		b = append(b, s.Hash[:]...)
		if s.Left {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return append(b, p.Root[:]...), nil
}

// MarshalBinary returns the encoding that AppendBinary appends.
func (p Proof) MarshalBinary() ([]byte, error) {
	return p.AppendBinary(make([]byte, 0, proofSize+stepSize*len(p.Path)))
}

// UnmarshalBinary decodes a proof that fills b. Bytes after it are an error.
func (p *Proof) UnmarshalBinary(b []byte) error {
	d, rest, err := ParseProof(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("decode %w: %d bytes follow it", ErrProof, len(rest))
	}
	*p = d
	return nil
}

// ParseProof decodes the proof at the start of b and returns the bytes after
// it. It allocates no more than b holds.
func ParseProof(b []byte) (p Proof, rest []byte, err error) {
	if len(b) < proofSize {
		return Proof{}, b, fmt.Errorf("decode %w: %d bytes, the shortest has %d", ErrProof, len(b),
			proofSize)
	}
	rest = b[copy(p.Leaf[:], b):]
	n := binary.BigEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(n) > uint64((len(rest)-len(p.Root))/stepSize) {
		return Proof{}, b, fmt.Errorf("decode %w: %d steps and a root do not fit in %d bytes", ErrProof,
			n, len(rest))
	}
	if n > 0 {
		p.Path = make([]Step, n)
	}
	for i := range p.Path {
		s := &p.Path[i]
		copy(s.Hash[:], rest)
		side := rest[len(s.Hash)]
		if side > 1 {
			return Proof{}, b, fmt.Errorf("decode %w: step %d has side byte %d, wanted 0 or 1", ErrProof, i,
				side)
		}
		s.Left = side == 1
		rest = rest[stepSize:]
	}
	return p, rest[copy(p.Root[:], rest):], nil
}
