package module

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Module reads one generation of a store from a .dig file. It executes no code
// and verifies nothing by itself: see Verify. After the first look-up it keeps
// about 40 bytes for each resource and 4 for each chunk.
//
// A Module is safe for concurrent use if its reader is.
type Module struct {
	r    io.ReaderAt
	size int64
	head *header

	recipe *Recipe // has the table; nil, or r is its image

	indexing sync.Once
	index    *index
	indexErr error
	growing  sync.Once
	tree     *merkle.Tree
	treeErr  error
	mapping  sync.Once
	pool     *pool
	poolErr  error
}

// Open reads the header of a module of size bytes: the WebAssembly framing, the
// rows of the blob, store id, root and publisher key. Errors match ErrFormat,
// except errors of r. A Module need not be closed.
func Open(r io.ReaderAt, size int64) (*Module, error) {
	head, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	return &Module{r: r, size: size, head: head}, nil
}

// Module returns the module of r with the chunks of src. It is Open of the image,
// without reading what the recipe has. The error is always nil.
func (r *Recipe) Module(src ChunkSource) (*Module, error) { return r.module(src), nil }

func (r *Recipe) module(src ChunkSource) *Module {
	m := &Module{r: r.Image(src), size: r.size, head: r.head}
	if r.table != nil {
		m.recipe = r
	}
	return m
}

// Resource returns the resource with that retrieval key. Its chunks are read from
// src. An unknown key is fs.ErrNotExist.
func (r *Recipe) Resource(key merkle.Hash, src ChunkSource) (*Resource, error) {
	return r.module(src).Find(key)
}

// ID returns the store and the root that the module states.
func (m *Module) ID() ID { return m.head.id }

// Size returns the length of the module in bytes.
func (m *Module) Size() int64 { return m.size }

// PublicKey returns the publisher key that the module states; zero if there is
// none. It may not be a point of the curve. A signature of the root proves that it
// is the publisher's; the module does not.
func (m *Module) PublicKey() auth.PublicKey { return m.head.key }

// Reader returns the bytes of the whole module.
func (m *Module) Reader() *io.SectionReader { return io.NewSectionReader(m.r, 0, m.size) }

// Section returns the body of a section; of equal ids the first. A missing section
// is fs.ErrNotExist.
func (m *Module) Section(id Section) (*io.SectionReader, error) {
	at, ok := m.head.sections[id]
	if !ok {
		return nil, fmt.Errorf("read module: %v: %w", id, fs.ErrNotExist)
	}
	return io.NewSectionReader(m.r, at.off, at.n), nil
}

// maxBody is the length of the longest section that is read as a whole: manifests
// and histories, not keys, leaves or chunks.
const maxBody = 16 << 20

func (m *Module) body(id Section) ([]byte, error) {
	s, err := m.Section(id)
	if err != nil {
		return nil, err
	}
	if s.Size() > maxBody {
		return nil, m.bad(id, 0, fmt.Errorf("%d bytes, want at most %d", s.Size(), maxBody))
	}
	b := make([]byte, s.Size())
	return b, readAll(s, b, 0)
}

func (m *Module) decode(id Section, v Structure) error {
	b, err := m.body(id)
	if err != nil {
		return err
	}
	if err := v.UnmarshalBinary(b); err != nil {
		return m.bad(id, 0, err)
	}
	return nil
}

func (m *Module) bad(id Section, at int64, err error) error {
	return &FormatError{Fault: BadBody, Section: id, Offset: m.head.sections[id].off + at, Err: err}
}

// History returns the roots in section 3, oldest first. Writers put only the root
// of the module there. The history of a store is the one that its origin lists.
func (m *Module) History() ([]merkle.Hash, error) {
	b, err := m.body(SectionRootHistory)
	if err != nil {
		return nil, err
	}
	if len(b) < 4 || uint64(len(b)-4)/32 < uint64(binary.BigEndian.Uint32(b)) {
		return nil, m.bad(SectionRootHistory, 0, errCount)
	}
	roots := make([]merkle.Hash, binary.BigEndian.Uint32(b))
	for i := range roots {
		copy(roots[i][:], b[4+32*i:])
	}
	return roots, nil
}

// Metadata returns section 6. For this and the following methods, a missing section
// is fs.ErrNotExist, and one that does not decode matches ErrFormat.
func (m *Module) Metadata() (*Metadata, error) {
	v := new(Metadata)
	return v, m.decode(SectionMetadata, v)
}

// AuthInfo returns section 7.
func (m *Module) AuthInfo() (*AuthInfo, error) {
	v := new(AuthInfo)
	return v, m.decode(SectionAuthInfo, v)
}

// TrustedKeys returns section 5.
func (m *Module) TrustedKeys() (TrustedKeys, error) {
	var v TrustedKeys
	err := m.decode(SectionTrustedKeys, &v)
	return v, err
}

// ChainState returns section 12.
func (m *Module) ChainState() (*ChainState, error) {
	v := new(ChainState)
	return v, m.decode(SectionChainState, v)
}

// PublicManifest returns section 13.
func (m *Module) PublicManifest() (*PublicManifest, error) {
	v := new(PublicManifest)
	return v, m.decode(SectionPublicManifest, v)
}

// Len returns the number of rows of the key table.
func (m *Module) Len() (int, error) {
	if m.recipe != nil {
		return m.recipe.table.len(), nil
	}
	t, err := m.rows()
	if err != nil {
		return 0, err
	}
	return t.left, nil
}

// Find returns the resource with that retrieval key; of equal keys the first. An
// unknown key is fs.ErrNotExist.
func (m *Module) Find(key merkle.Hash) (*Resource, error) {
	if m.recipe != nil {
		i, rank, ok := m.recipe.table.find(key)
		if !ok {
			return nil, notThere(key, m.head.id)
		}
		return m.known(i, rank), nil
	}
	ix, err := m.keys()
	if err != nil {
		return nil, err
	}
	rank, ok := ix.find(key)
	if !ok {
		return nil, notThere(key, m.head.id)
	}
	row, err := m.rowAt(ix.rows[rank].off)
	if err != nil {
		return nil, err
	}
	return m.resource(row, rank)
}

// At returns the resource of that rank, from 0, in the order of the retrieval keys.
// There are Len of them, unless keys repeat. A rank past the last is
// fs.ErrNotExist.
func (m *Module) At(rank int) (*Resource, error) {
	if m.recipe != nil {
		t := m.recipe.table
		t.sort()
		if rank < 0 || rank >= len(t.order) {
			return nil, fmt.Errorf("find resource %d in generation %v: %w", rank, m.head.id, fs.ErrNotExist)
		}
		return m.known(int(t.order[rank]), rank), nil
	}
	ix, err := m.keys()
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= len(ix.rows) {
		return nil, fmt.Errorf("find resource %d in generation %v: %w", rank, m.head.id, fs.ErrNotExist)
	}
	row, err := m.rowAt(ix.rows[rank].off)
	if err != nil {
		return nil, err
	}
	return m.resource(row, rank)
}

func notThere(key merkle.Hash, id ID) error {
	return fmt.Errorf("find resource %v in generation %v: %w", key, id, fs.ErrNotExist)
}

// Resources returns the resources in the order of the key table. It ends with the
// first error.
func (m *Module) Resources() iter.Seq2[*Resource, error] {
	if m.recipe != nil {
		return m.knownResources
	}
	return func(yield func(*Resource, error) bool) {
		ix, err := m.keys()
		if err != nil {
			yield(nil, err)
			return
		}
		rows, err := m.rows()
		for err == nil && rows.left > 0 {
			var row tableRow
			if row, err = rows.next(); err != nil {
				break
			}
			rank, _ := ix.find(row.key)
			var res *Resource
			if res, err = m.resource(row, rank); err == nil && !yield(res, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (m *Module) knownResources(yield func(*Resource, error) bool) {
	t := m.recipe.table
	t.sort()
	ranks := make([]int, len(t.order))
	for rank, i := range t.order {
		ranks[i] = rank
	}
	for i := range t.keys {
		if !yield(m.known(i, ranks[i]), nil) {
			return
		}
	}
}
