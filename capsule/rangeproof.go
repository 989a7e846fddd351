package capsule

import (
	"fmt"

	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// RangeProof shows that consecutive chunks belong to a capsule, so that a part of it can be
// checked without the rest. The siblings stand level by level from the leaves up; on each level
// that of the left end, if there is one, before that of the right end.
type RangeProof struct {
	First    uint32 // index of the first chunk
	Count    uint32 // number of chunks, at least 1
	Siblings []merkle.Hash
}

// maxRangeSiblings: two on each level.
const maxRangeSiblings = 2 * maxPath

// ProveRange returns the proof of count chunks from first, given the leaves of all chunks of the
// capsule.
func ProveRange(leaves []merkle.Hash, first, count uint32) (RangeProof, error) {
	if err := checkRange(first, count, uint64(len(leaves))); err != nil {
		return RangeProof{}, fmt.Errorf("prove range: %w", err)
	}
	p := RangeProof{First: first, Count: count}
	level := leaves
	lo, hi := uint64(first), uint64(first)+uint64(count)-1
	for len(level) > 1 {
		if lo&1 == 1 {
			p.Siblings = append(p.Siblings, level[lo-1])
		}
		if hi&1 == 0 && hi+1 < uint64(len(level)) {
			p.Siblings = append(p.Siblings, level[hi+1])
		}
		next := make([]merkle.Hash, (len(level)+1)/2)
		for i := range next {
			next[i] = level[2*i]
			if 2*i+1 < len(level) {
				next[i] = merkle.Node(level[2*i], level[2*i+1])
			}
		}
		level, lo, hi = next, lo>>1, hi>>1
	}
	return p, nil
}

func checkRange(first, count uint32, chunks uint64) error {
	if count == 0 || uint64(first)+uint64(count) > chunks {
		return fmt.Errorf("%w: %d chunks from %d are not among %d", ErrPath, count, first, chunks)
	}
	return nil
}

// Check returns nil when data is the content of the chunks of the proof: whole chunks, of which
// only the last of the capsule may be short. The descriptor must be trusted by other means and
// have its chunk root. Errors wrap ErrPath or ErrContentMismatch.
func (p RangeProof) Check(d Descriptor, data []byte) error {
	if err := checkRange(p.First, p.Count, uint64(d.Chunks())); err != nil {
		return fmt.Errorf("capsule %d: %w", d.Index, err)
	}
	from := uint64(p.First) * ChunkSize
	to := min(from+uint64(p.Count)*ChunkSize, uint64(d.Size))
	if uint64(len(data)) != to-from {
		return fmt.Errorf("%w: capsule %d: %d chunks from %d: found %d bytes, expected %d",
			ErrContentMismatch, d.Index, p.Count, p.First, len(data), to-from)
	}
	root, err := p.fold(appendChunkLeaves(nil, data), uint64(d.Chunks()))
	if err != nil {
		return fmt.Errorf("capsule %d: %w", d.Index, err)
	}
	if root != d.ChunkRoot {
		return fmt.Errorf("%w: capsule %d: %d chunks from %d fold to %v, expected %v", ErrPath,
			d.Index, p.Count, p.First, root, d.ChunkRoot)
	}
	return nil
}

// fold returns the root over the leaves of the range and its siblings in a tree of n leaves. It
// overwrites level.
func (p RangeProof) fold(level []merkle.Hash, n uint64) (merkle.Hash, error) {
	rest := p.Siblings
	take := func() (h merkle.Hash, ok bool) {
		if len(rest) == 0 {
			return h, false
		}
		h, rest = rest[0], rest[1:]
		return h, true
	}
	for lo := uint64(p.First); n > 1; lo, n = lo>>1, (n+1)>>1 {
		hi := lo + uint64(len(level)) - 1
		var left, right merkle.Hash
		ok := true
		if lo&1 == 1 {
			left, ok = take()
		}
		if hi&1 == 0 && hi+1 < n && ok {
			right, ok = take()
		}
		if !ok {
			return merkle.Hash{}, fmt.Errorf("%w: found %d siblings, expected more", ErrPath,
				len(p.Siblings))
		}
		at := 0
		next := level[:0]
		if lo&1 == 1 {
			next = append(next, merkle.Node(left, level[0]))
			at = 1
		}
		for ; at+1 < len(level); at += 2 {
			next = append(next, merkle.Node(level[at], level[at+1]))
		}
		if at < len(level) {
			last := level[at]
			if hi+1 < n {
				last = merkle.Node(last, right)
			}
			next = append(next, last)
		}
		level = next
	}
	if len(rest) > 0 {
		return merkle.Hash{}, fmt.Errorf("%w: found %d siblings, expected %d", ErrPath,
			len(p.Siblings), len(p.Siblings)-len(rest))
	}
	return level[0], nil
}

// MarshalBinary returns the value of the header X-Dig-Chunk-Proof before base64: u32 first chunk
// || u32 number of chunks || siblings (32 each).
func (p RangeProof) MarshalBinary() ([]byte, error) {
	w := codec.NewWriter(make([]byte, 0, 8+32*len(p.Siblings)))
	w.U32(p.First)
	w.U32(p.Count)
	for _, h := range p.Siblings {
		w.Fixed(h[:])
	}
	return w.Done()
}

// UnmarshalBinary decodes what MarshalBinary returns. It leaves p alone when it fails.
func (p *RangeProof) UnmarshalBinary(b []byte) error {
	r := codec.NewReader(b)
	q := RangeProof{First: r.U32(), Count: r.U32()}
	if n := r.Len(); n%len(merkle.Hash{}) != 0 || n > maxRangeSiblings*len(merkle.Hash{}) {
		return fmt.Errorf(
			"decode range proof: %w: %d bytes of siblings, expected 32 each, at most %d", ErrPath, n,
			maxRangeSiblings)
	}
	for r.Len() > 0 {
		var h merkle.Hash
		r.Fixed(h[:])
		q.Siblings = append(q.Siblings, h)
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("decode range proof: %w", err)
	}
	*p = q
	return nil
}
