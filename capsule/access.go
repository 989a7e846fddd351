package capsule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

const (
	accessSeedTag = "dig:access:seed:v1"
	accessIdxTag  = "dig:access:idx:v1"
	accessStepTag = "dig:access:step:v1"
)

// AccessProof shows that chunks of a capsule could be read one after the other: which chunk is
// next follows from the content of the one before.
type AccessProof struct {
	EntropyHeight uint64
	Entropy       merkle.Hash
	ChunkRoot     merkle.Hash
	Chunks        uint32 // of the capsule
	Samples       []AccessSample
	Final         merkle.Hash // the state after the last sample
}

// AccessSample is one chunk with its path to the chunk root.
type AccessSample struct {
	Index uint32 // of the chunk
	Chunk []byte
	Path  []merkle.Hash
}

// encode appends: u64 entropy height || entropy (32) || chunk root (32) || u32 chunks || u16 n
// || u16 0 || n samples of (u32 index || u16 length || chunk || u8 m || m siblings) || final
// state (32).
func (p *AccessProof) encode(w *codec.Writer) {
	w.U64(p.EntropyHeight)
	w.Fixed(p.Entropy[:])
	w.Fixed(p.ChunkRoot[:])
	w.U32(p.Chunks)
	if len(p.Samples) > MaxSamples {
		w.Fail(fmt.Errorf("encode access proof: %d samples, at most %d", len(p.Samples),
			MaxSamples))
	}
	w.U16(uint16(len(p.Samples)))
	w.U16(0)
	for _, s := range p.Samples {
		if len(s.Chunk) > ChunkSize {
			w.Fail(fmt.Errorf("encode access proof: chunk of %d bytes, at most %d", len(s.Chunk),
				ChunkSize))
		}
		w.U32(s.Index)
		w.U16(uint16(len(s.Chunk)))
		w.Fixed(s.Chunk)
		writePath(w, s.Path)
	}
	w.Fixed(p.Final[:])
}

func (p *AccessProof) decode(r *codec.Reader) {
	p.EntropyHeight = r.U64()
	r.Fixed(p.Entropy[:])
	r.Fixed(p.ChunkRoot[:])
	p.Chunks = r.U32()
	n := int(r.U16())
	if n > MaxSamples {
		r.Fail(fmt.Errorf("%w: %d samples, at most %d", codec.ErrValue, n, MaxSamples))
	}
	if zero := r.U16(); zero != 0 {
		r.Fail(fmt.Errorf("%w: %d behind the number of samples, expected 0", codec.ErrValue, zero))
	}
	for i := 0; i < n && r.Err() == nil; i++ {
		s := AccessSample{Index: r.U32()}
		length := int(r.U16())
		if length > ChunkSize {
			r.Fail(fmt.Errorf("%w: chunk of %d bytes, at most %d", codec.ErrValue, length,
				ChunkSize))
		}
		s.Chunk = make([]byte, length)
		r.Fixed(s.Chunk)
		s.Path = readPath(r)
		p.Samples = append(p.Samples, s)
	}
	r.Fixed(p.Final[:])
}

// An accessWalk is the sequence of chunks that a challenge leads to.
//
//	s_0     = SHA-256("dig:access:seed:v1" || entropy || validator || node || plot id || capsule
//	hash)
//	i_k     = first u64 of SHA-256("dig:access:idx:v1" || s_k) mod chunks, and on by 1, round
//	the end, while it
//	          was used already
//	s_(k+1) = SHA-256("dig:access:step:v1" || s_k || chunk i_k)
type accessWalk struct {
	state  merkle.Hash
	chunks uint32
	left   int
	used   map[uint32]bool
}

// newAccessWalk begins the walk of c through a capsule of so many chunks. Node and plotID are
// those that answer.
func newAccessWalk(c *Challenge, node auth.NodePublicKey, plotID merkle.Hash,
	chunks uint32) *accessWalk {
	b := append(make([]byte, 0, 192), accessSeedTag...)
	b = append(b, c.Entropy[:]...)
	b = append(b, c.Validator[:]...)
	b = append(b, node[:]...)
	b = append(b, plotID[:]...)
	b = append(b, c.CapsuleHash[:]...)
	n := min(uint32(c.Samples), chunks)
	return &accessWalk{state: sha256.Sum256(b), chunks: chunks, left: int(n),
		used: make(map[uint32]bool, n)}
}

// next returns the index of the next chunk, and false after the last.
func (w *accessWalk) next() (uint32, bool) {
	if w.left == 0 {
		return 0, false
	}
	w.left--
	h := sha256.Sum256(append([]byte(accessIdxTag), w.state[:]...))
	i := uint32(binary.BigEndian.Uint64(h[:]) % uint64(w.chunks))
	for w.used[i] {
		i = uint32((uint64(i) + 1) % uint64(w.chunks))
	}
	w.used[i] = true
	return i, true
}

// step goes on with the content of the chunk that next named.
func (w *accessWalk) step(chunk []byte) {
	s := sha256.New()
	s.Write([]byte(accessStepTag))
	s.Write(w.state[:])
	s.Write(chunk)
	s.Sum(w.state[:0])
}

// check returns nil when p is what the walk leads to, for a capsule of this descriptor.
func (p *AccessProof) check(w *accessWalk, d Descriptor) error {
	for k := 0; ; k++ {
		i, ok := w.next()
		if !ok {
			break
		}
		if k == len(p.Samples) {
			return fmt.Errorf("%w: found %d samples, expected %d", ErrAccess, k, k+1+w.left)
		}
		s := p.Samples[k]
		if s.Index != i {
			return fmt.Errorf("%w: sample %d is chunk %d, expected %d", ErrAccess, k, s.Index, i)
		}
		if want := chunkLen(d.Size, i); len(s.Chunk) != want {
			return fmt.Errorf("%w: sample %d has %d bytes, expected %d", ErrAccess, k, len(s.Chunk),
				want)
		}
		if err := checkPath(merkle.Leaf(s.Chunk), i, w.chunks, s.Path, d.ChunkRoot); err != nil {
			return fmt.Errorf("sample %d: %w", k, err)
		}
		w.step(s.Chunk)
	}
	if len(w.used) != len(p.Samples) {
		return fmt.Errorf("%w: found %d samples, expected %d", ErrAccess, len(p.Samples),
			len(w.used))
	}
	if p.Final != w.state {
		return fmt.Errorf("%w: final state is %v, expected %v", ErrAccess, p.Final, w.state)
	}
	return nil
}
