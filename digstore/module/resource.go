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

// A Resource is one resource of a Module. It never changes. It is safe for concurrent
// use if the reader of the module is.
type Resource struct {
	m      *Module
	key    merkle.Hash
	leaf   merkle.Hash
	rank   int // in the order of the keys: index of the leaf
	chunks []Chunk
	bodies []int64     // offsets of the chunks in the module; nil: the module has a recipe
	row    int         // in the table of the recipe
	hashed merkle.Hash // hash of the content, if it is known
}

// known returns a resource of a module with a recipe.
func (m *Module) known(i, rank int) *Resource {
	r := m.recipe
	res := &Resource{m: m, key: r.table.keys[i], leaf: r.table.leaf(i, r.chunks), rank: rank,
		chunks: r.table.chunksOf(i, r.chunks), row: i}
	if h, ok := r.hashed[i]; ok {
		res.hashed = h
	} else if r.trusted && len(res.chunks) == 1 {
		res.hashed = res.chunks[0].ID
	}
	return res
}

// resource returns a resource of a module without a recipe.
func (m *Module) resource(row tableRow, rank int) (*Resource, error) {
	pool, err := m.frames()
	if err != nil {
		return nil, err
	}
	res := &Resource{m: m, key: row.key, rank: rank,
		chunks: make([]Chunk, len(row.refs)), bodies: make([]int64, len(row.refs))}
	for i, ref := range row.refs {
		if int64(ref) >= int64(len(pool.offs)) {
			want := fmt.Sprintf("a chunk below %d", len(pool.offs))
			return nil, &VerifyError{IndexMismatch, row.key, want, strconv.Itoa(int(ref))}
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

// Leaf returns the leaf that the module states. It is the SHA-256 of the sealed bytes
// if Verify succeeds.
func (r *Resource) Leaf() merkle.Hash { return r.leaf }

// Chunks returns the sealed chunks in order. Without a Recipe their ids are zero. The
// slice must not be changed.
func (r *Resource) Chunks() []Chunk { return r.chunks }

// SealedSize returns the number of sealed bytes.
func (r *Resource) SealedSize() int64 {
	return (&Entry{Chunks: r.chunks}).SealedSize()
}

// Size returns the number of plaintext bytes, if the chunks open.
func (r *Resource) Size() int64 { return (&Entry{Chunks: r.chunks}).Size() }

// Proof returns the merkle proof of the leaf. Its root is the one that the leaves fold
// to: the root of the module, if the module verifies. The tree is built once and
// kept; without a Recipe and with more than 65,536 resources each call reads all
// leaves.
func (r *Resource) Proof() (merkle.Proof, error) {
	if rec := r.m.recipe; rec != nil {
		return rec.table.grow(rec.chunks).Prove(r.rank)
	}
	return r.m.prove(r.rank)
}

// Verify checks that the sealed bytes hash to the leaf, and that the leaf proves to the
// root of the module. It suffices for a reader of one resource that trusts the root.
// Errors match ErrVerify, except errors of the reader.
func (r *Resource) Verify(ctx context.Context) error {
	if err := r.verifyContent(ctx, nil); err != nil {
		return err
	}
	p, err := r.Proof()
	if err != nil {
		return err
	}
	if err := p.Check(r.leaf, r.m.head.id.Root); err != nil {
		return &VerifyError{RootMismatch, r.key, r.m.head.id.Root.String(), p.Root.String()}
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
		return &VerifyError{Mismatch: LeafMismatch, Key: r.key, Want: r.leaf.String(), Got: sum.String()}
	}
	return nil
}

// hash writes the sealed bytes to h. buf is used as buffer unless it is empty.
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

// Sealed returns the sealed bytes: the chunks joined in their order, as a server sends
// them. They are not verified.
func (r *Resource) Sealed() *io.SectionReader {
	s := &sealed{r: r, ends: make([]int64, len(r.chunks)+1)}
	for i, c := range r.chunks {
		s.ends[i+1] = s.ends[i] + int64(c.Len)
	}
	return io.NewSectionReader(s, 0, s.ends[len(r.chunks)])
}

// A sealed is the sealed bytes of a resource as an io.ReaderAt.
type sealed struct {
	r    *Resource
	ends []int64 // ends[i]: offset of chunk i
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

// readChunk fills p with sealed bytes of a chunk, from offset off on.
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

// Open returns the plaintext, which is opened with k as it is read. A chunk that k does
// not open is urn.ErrSealed when it is reached. A key of another name, store or salt
// fails at the first byte.
//
// A chunk that opens was sealed with the key of this resource. Verify checks that the
// chunks are complete, in order and of this generation.
func (r *Resource) Open(k *urn.Key) (*Plain, error) {
	p := &Plain{r: r, k: k, starts: make([]int64, len(r.chunks)+1)}
	for i, c := range r.chunks {
		p.starts[i+1] = p.starts[i] + max(0, int64(c.Len)-urn.Overhead)
	}
	return p, nil
}
