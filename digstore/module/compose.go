package module

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/wasm"
	"github.com/dig-network/digstore/merkle"
)

// MaxContent is the default limit on the plaintext of one generation, in bytes.
const MaxContent = 128000000

// Options are settings of a new module. Nil and the zero value are the defaults.
// Only Salt and the chunk sizes change the root.
type Options struct {
	// Template is the WebAssembly module that the blob is placed into. It needs
	// the imports, exports and memory of FORMAT.md 6.4. Default: Stub().
	Template []byte

	// Padding hides the exact length. Default: Padme().
	Padding Padding

	Metadata       *Metadata       // nil: that of a plain commit
	AuthInfo       *AuthInfo       // nil: no requirements
	TrustedKeys    []TrustedKey    // nil: the publisher key with TrustedLabel
	ChainState     *ChainState     // nil: no section 12
	PublicManifest *PublicManifest // nil: no section 13

	// The following fields are used by a Builder only.

	// Salt is the secret of a private store. Default: nil, a public store.
	Salt *urn.Salt

	// ChunkMin, ChunkTarget and ChunkMax are the sizes of chunks in plaintext
	// bytes. Default: 16, 64 and 256 KiB. Other sizes give other roots.
	ChunkMin, ChunkTarget, ChunkMax int

	// MaxContent limits the plaintext of all resources together, in bytes.
	// Default: the constant MaxContent.
	MaxContent int64

	// TempDir is where a Builder keeps sealed chunks until Build. Default:
	// os.TempDir.
	TempDir string
}

// Compose returns the recipe of a module with those resources, in that order. It
// computes the root and reads no chunk. The leaf of a resource with one chunk may
// be zero.
//
// A duplicate key is fs.ErrExist. Content that does not fit is ErrTooLarge.
func Compose(store auth.StoreID, publisher auth.PublicKey, entries []Entry,
	o *Options) (*Recipe, error) {
	if o == nil {
		o = new(Options)
	}
	r := &Recipe{}
	if err := r.tabulate(entries); err != nil {
		return nil, err
	}
	root := merkle.Root(r.table.sortedLeaves(r.chunks))
	r.table.generation = root
	id := ID{Store: store, Root: root}
	sections, err := r.sections(id, publisher, o)
	if err != nil {
		return nil, err
	}
	if err := r.place(id, sections, o); err != nil {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return r, nil
}

// tabulate makes the table and the pool.
func (r *Recipe) tabulate(entries []Entry) error {
	refs := 0
	for i := range entries {
		refs += len(entries[i].Chunks)
	}
	t := &table{
		keys:   make([]merkle.Hash, len(entries)),
		starts: make([]uint32, len(entries)+1),
		refs:   make([]uint32, 0, refs),
	}
	r.table, r.chunks = t, make([]Chunk, 0, refs)
	pool := make(map[merkle.Hash]uint32, refs)
	for i, e := range entries {
		if len(e.Chunks) == 0 {
			return fmt.Errorf("compose module: resource %v: want at least one chunk, found none", e.Key)
		}
		if len(e.Chunks) > 1 {
			t.leaves = append(t.leaves, e.Leaf)
		} else if !e.Leaf.IsZero() && e.Leaf != e.Chunks[0].ID {
			const format = "compose module: resource %v: want leaf %v, the id of its chunk, found %v"
			return fmt.Errorf(format, e.Key, e.Chunks[0].ID, e.Leaf)
		}
		for _, c := range e.Chunks {
			ref, ok := pool[c.ID]
			if !ok {
				ref = uint32(len(r.chunks))
				pool[c.ID] = ref
				r.chunks = append(r.chunks, c)
			} else if r.chunks[ref].Len != c.Len {
				return fmt.Errorf("compose module: resource %v: chunk %v: want %d bytes as before, found %d",
					e.Key, c.ID, r.chunks[ref].Len, c.Len)
			}
			t.refs = append(t.refs, ref)
		}
		t.keys[i] = e.Key
		t.starts[i+1] = uint32(len(t.refs))
	}
	t.pool = len(r.chunks)
	if !t.unique() {
		return fmt.Errorf("compose module: duplicate resource: %w", fs.ErrExist)
	}
	r.measure()
	return nil
}

// A body is the body of one section: plain bytes, then a part of that kind and
// length.
type body struct {
	id    Section
	plain []byte
	kind  partKind
	n     int64
}

func (b *body) size() int64 { return int64(len(b.plain)) + b.n }

// sections returns all sections but the filler, in the order of FORMAT.md 6.1.
func (r *Recipe) sections(id ID, publisher auth.PublicKey, o *Options) ([]body, error) {
	store, root := id.Store, id.Root
	history := binary.BigEndian.AppendUint32(nil, 1)
	keys := o.TrustedKeys
	if keys == nil {
		keys = []TrustedKey{{PublicKey: publisher, Label: TrustedLabel(publisher)}}
	}
	metadata, authInfo := o.Metadata, o.AuthInfo
	if metadata == nil {
		metadata = &Metadata{SchemaVersion: 1}
	}
	if authInfo == nil {
		authInfo = new(AuthInfo)
	}
	var errs []error
	plain := func(id Section, b []byte, err error) body {
		if err != nil {
			errs = append(errs, fmt.Errorf("compose module: %v: %w", id, err))
		}
		return body{id: id, plain: b}
	}
	encode := func(id Section, v interface{ MarshalBinary() ([]byte, error) }) body {
		b, err := v.MarshalBinary()
		return plain(id, b, err)
	}
	trusted := TrustedKeys(keys)
	count := binary.BigEndian.AppendUint32(nil, uint32(len(r.chunks)))
	sections := []body{
		plain(SectionStoreID, store[:], nil),
		plain(SectionCurrentRoot, root[:], nil),
		plain(SectionRootHistory, append(history, root[:]...), nil),
		plain(SectionPublicKey, publisher[:], nil),
		encode(SectionTrustedKeys, &trusted),
		encode(SectionMetadata, metadata),
		encode(SectionAuthInfo, authInfo),
		{id: SectionKeyTable, kind: partTable, n: r.table.rows()},
		{id: SectionChunkPool, plain: count, kind: partFrames, n: r.ends[len(r.chunks)]},
		{id: SectionMerkleNodes, kind: partLeaves, n: 4 + 32*int64(r.table.len())},
	}
	if o.ChainState != nil {
		sections = append(sections, encode(SectionChainState, o.ChainState))
	}
	if o.PublicManifest != nil {
		sections = append(sections, encode(SectionPublicManifest, o.PublicManifest))
	}
	return sections, errors.Join(errs...)
}

// place adds the parts: the template before the blob, rows, sections, filler, and
// the template behind the blob.
func (r *Recipe) place(id ID, sections []body, o *Options) error {
	if o.Padding.kind != padNone {
		sections = append(sections, body{id: SectionFiller, kind: partFiller})
	}
	size := int64(blobHeader + blobRow*len(sections))
	for i := range sections {
		size += sections[i].size()
	}
	filler, err := o.Padding.filler(size)
	if err != nil {
		return fmt.Errorf("compose module: %w", err)
	}
	if filler > 0 {
		r.fill = []ID{id}
		sections[len(sections)-1].n = filler
		size += filler
	}
	template := o.Template
	if template == nil {
		template = Stub()
	} else if err := wasm.Check(template, templateImports(), templateExports()); err != nil {
		return fmt.Errorf("compose module: template: %w", err)
	}
	if size > maxBlob {
		return fmt.Errorf("compose module: blob of %d bytes, want at most %d: %w",
			size, int64(maxBlob), ErrTooLarge)
	}
	before, after, err := wasm.Place(template, blobOffset, size)
	if err != nil {
		return fmt.Errorf("compose module: %w", err)
	}

	r.addPlain(before)
	rows := append([]byte(blobMagic), 1)
	rows = binary.BigEndian.AppendUint32(rows, uint32(len(sections)))
	at := int64(blobHeader + blobRow*len(sections))
	for i := range sections {
		rows = binary.BigEndian.AppendUint16(rows, uint16(sections[i].id))
		rows = binary.BigEndian.AppendUint32(rows, uint32(at))
		rows = binary.BigEndian.AppendUint32(rows, uint32(sections[i].size()))
		at += sections[i].size()
	}
	r.addPlain(rows)
	for i := range sections {
		r.addPlain(sections[i].plain)
		if n := sections[i].n; n > 0 {
			kind, chunks := sections[i].kind, int64(0)
			if kind == partFrames {
				chunks = int64(len(r.chunks))
			}
			r.add(kind, n, 0, chunks)
		}
	}
	r.addPlain(after)
	return nil
}

// maxBlob is the number of bytes between the address of the blob and the end of
// the largest memory (FORMAT.md 6.2).
const maxBlob = 6144*65536 - blobOffset
