package module

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// A Resource is one resource of a Module. It never changes and may be used by
// several goroutines at once if the module's reader may.
type Resource struct {
	m      *Module
	key    merkle.Hash
	leaf   merkle.Hash
	rank   int // among the keys in order: the place of its leaf
	chunks []Chunk
	bodies []int64     // where the chunks lie in the module; nil: known from the recipe
	row    int         // in the recipe's table
	hashed merkle.Hash // its content's hash, if the recipe knows it
}

// known returns a resource of a module that comes from a recipe.
func (m *Module) known(i, rank int) *Resource {
	r := m.recipe
	res := &Resource{m: m, key: r.table.keys[i], leaf: r.table.leaf(i, r.chunks), rank: rank, chunks: r.table.chunksOf(i, r.chunks), row: i}
	if h, ok := r.hashed[i]; ok {
		res.hashed = h
	} else if r.trusted && len(res.chunks) == 1 {
		res.hashed = res.chunks[0].ID
	}
	return res
}

// resource returns a resource of a module that is read from a file.
func (m *Module) resource(row tableRow, rank int) (*Resource, error) {
	pool, err := m.frames()
	if err != nil {
		return nil, err
	}
	res := &Resource{m: m, key: row.key, rank: rank, chunks: make([]Chunk, len(row.refs)), bodies: make([]int64, len(row.refs))}
	for i, ref := range row.refs {
		if int64(ref) >= int64(len(pool.offs)) {
			return nil, &VerifyError{Check: CheckIndex, Key: row.key, Want: fmt.Sprintf("a chunk below %d", len(pool.offs)), Got: strconv.Itoa(int(ref))}
		}
		at := pool.body(ref)
		res.chunks[i].Len = uint32(at.n)
		res.bodies[i] = at.off
	}
	res.leaf, err = m.leafAt(rank)
	return res, err
}

// Key returns the retrieval key.
func (r *Resource) Key() merkle.Hash { return r.key }

// Leaf returns what the module says is the SHA-256 of the sealed bytes.
func (r *Resource) Leaf() merkle.Hash { return r.leaf }

// Chunks returns the sealed chunks in order. Their ids are known, and not zero,
// only when the module comes from a Recipe. The slice must not be changed.
func (r *Resource) Chunks() []Chunk { return r.chunks }

// SealedSize returns how many bytes Sealed gives.
func (r *Resource) SealedSize() int64 {
	return (&Entry{Chunks: r.chunks}).SealedSize()
}

// Size returns how many bytes the plaintext has, if the chunks open.
func (r *Resource) Size() int64 { return (&Entry{Chunks: r.chunks}).Size() }

// Proof returns the proof that the leaf lies below the module's leaves. Its
// root is what they fold to: the module's root, if the module verifies. All
// proofs together cost one tree, which is kept; but of a file with more than
// 65,536 resources each proof reads all leaves.
func (r *Resource) Proof() (merkle.Proof, error) {
	if rec := r.m.recipe; rec != nil {
		return rec.table.grow(rec.chunks).Prove(r.rank)
	}
	return r.m.prove(r.rank)
}

// Verify checks that the sealed bytes hash to the leaf, and that the leaf
// proves to the module's root. It is what a reader needs who trusts the root
// and reads one resource. Errors match ErrVerify, unless reading fails.
func (r *Resource) Verify(ctx context.Context) error {
	if err := r.verifyContent(ctx, nil); err != nil {
		return err
	}
	p, err := r.Proof()
	if err != nil {
		return err
	}
	if err := p.Check(r.leaf, r.m.head.id.Root); err != nil {
		return &VerifyError{Check: CheckRoot, Key: r.key, Want: r.m.head.id.Root.String(), Got: p.Root.String()}
	}
	return nil
}

// verifyContent checks that the sealed bytes hash to the leaf.
func (r *Resource) verifyContent(ctx context.Context, buf []byte) error {
	sum := r.hashed
	if sum.IsZero() {
		h := sha256.New()
		if err := r.hash(ctx, h, buf); err != nil {
			return err
		}
		h.Sum(sum[:0])
	}
	if sum != r.leaf {
		return &VerifyError{Check: CheckLeaf, Key: r.key, Want: r.leaf.String(), Got: sum.String()}
	}
	return nil
}

// hash writes the sealed bytes to h, through buf if it has room.
func (r *Resource) hash(ctx context.Context, h hash.Hash, buf []byte) error {
	if len(buf) == 0 {
		buf = make([]byte, max(1, min(r.SealedSize(), runSize)))
	}
	s := r.Sealed()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Sealed returns the sealed bytes: the chunks one after the other, as a server
// sends them. Nothing about them has been checked.
func (r *Resource) Sealed() *io.SectionReader {
	s := &sealed{r: r, ends: make([]int64, len(r.chunks)+1)}
	for i, c := range r.chunks {
		s.ends[i+1] = s.ends[i] + int64(c.Len)
	}
	return io.NewSectionReader(s, 0, s.ends[len(r.chunks)])
}

// A sealed reads the sealed bytes of a resource anywhere.
type sealed struct {
	r    *Resource
	ends []int64 // ends[i]: total length of the chunks before chunk i
}

func (s *sealed) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	i, ok := slices.BinarySearch(s.ends, off)
	if !ok {
		i--
	}
	for ; done < len(p) && i < len(s.r.chunks); i++ {
		from := off + int64(done) - s.ends[i]
		n := int(min(s.ends[i+1]-s.ends[i]-from, int64(len(p)-done)))
		if err := s.r.readChunk(i, p[done:done+n], from); err != nil {
			return done, err
		}
		done += n
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// readChunk fills p with sealed bytes of a chunk, from its byte off on.
func (r *Resource) readChunk(i int, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	if r.bodies != nil {
		return readAll(r.m.r, p, r.bodies[i]+off)
	}
	img := r.m.r.(*Image)
	if img.src == nil {
		return fmt.Errorf("read resource %v: %w", r.key, errNoSource)
	}
	src, at, err := img.src.Chunk(r.chunks[i])
	if err != nil {
		return fmt.Errorf("read resource %v: %w", r.key, err)
	}
	if err := readFull(src, p, at+4+off, r.chunks[i]); err != nil {
		return fmt.Errorf("read resource %v: %w", r.key, err)
	}
	return nil
}

// Open returns the plaintext, opened with k as it is read. What k does not open
// is urn.ErrSealed when it is reached; a resource of another name, another
// store or with another salt fails at its first byte.
//
// That the chunks open says that the publisher sealed each of them for this
// resource. That they are all of them, in order and of this generation, the
// leaf says: Verify.
func (r *Resource) Open(k *urn.Key) (*Plain, error) {
	p := &Plain{r: r, k: k, starts: make([]int64, len(r.chunks)+1)}
	for i, c := range r.chunks {
		p.starts[i+1] = p.starts[i] + max(0, int64(c.Len)-urn.Overhead)
	}
	return p, nil
}
