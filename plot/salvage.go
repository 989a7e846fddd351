package plot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A Salvaged is what Salvage has found in a file. It is a capsule.Source of
// the intact capsules as long as the file is open, and is safe for concurrent
// use.
type Salvaged struct {
	Extents []SalvagedExtent // in file order
	src     io.ReaderAt
	size    int64
	byHash  map[merkle.Hash]int // the first intact extent
}

// A SalvagedExtent is an extent that was found by its header. Store and Index
// are what the header says: whether a datastore has the capsule there is for a
// manifest to say.
type SalvagedExtent struct {
	Store      auth.StoreID
	Descriptor capsule.Descriptor
	Offset     int64 // in the file
	// Err is nil for an intact capsule, whose content has the hash and chunk
	// root of Descriptor.
	Err error
	// Damaged lists the damaged blocks when the others are intact.
	Damaged []int
	// Inside is set when the extent lies in the range of another one that is
	// damaged. Publishers can put extents into content: it is reported only.
	Inside bool
}

// Salvage looks for capsules in a file of size bytes that may have lost its
// header, footer or tables. It looks at the start of every page for the header
// of an extent, and checks what it finds in full. It never writes. progress may
// be nil.
//
// A new plot is made by Create with the manifests of the datastores, an
// Options.Keep that asks Has, and Writer.AddFrom.
func Salvage(
	ctx context.Context, src io.ReaderAt, size int64, progress func(Progress),
) (*Salvaged, error) {
	s := &Salvaged{src: src, size: size, byHash: map[merkle.Hash]int{}}
	c := newExtentChecker(src, size)
	defer c.release()
	page := make([]byte, pageSize)
	damagedEnd := int64(0)
	for at := int64(0); at+pageSize <= size; {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		if progress != nil && at%(1<<26) == 0 {
			progress(Progress{Phase: "salvage", Done: at, Total: size})
		}
		if err := readFull(src, page[:extentHeaderSize], at); err != nil {
			return s, err
		}
		h, err := parseExtentHeader(page, at)
		if err != nil || h.stored > size-at {
			at += pageSize
			continue
		}
		if len(s.Extents) == MaxCapsules {
			return s, fmt.Errorf("salvage %d extents: %w of %d", len(s.Extents)+1, ErrLimit,
				MaxCapsules)
		}
		x := s.examine(ctx, c, h, at)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		x.Inside = at < damagedEnd
		s.Extents = append(s.Extents, x)
		if x.Err != nil && x.Damaged == nil {
			// Its range cannot be believed: the search goes on inside it.
			damagedEnd = max(damagedEnd, at+align(h.stored))
			at += pageSize
			continue
		}
		if _, ok := s.byHash[h.hash]; x.Err == nil && !x.Inside && !ok {
			s.byHash[h.hash] = len(s.Extents) - 1
		}
		at += align(h.stored)
	}
	return s, nil
}

func (s *Salvaged) examine(ctx context.Context, c *extentChecker, h *extentHeader,
	at int64) SalvagedExtent {
	x := SalvagedExtent{Store: h.store, Offset: at,
		Descriptor: capsule.Descriptor{Index: h.index, Size: h.size, Hash: h.hash,
			ChunkRoot: h.chunkRoot}}
	rec := Record{Store: h.store, Index: h.index, Size: h.size, Hash: h.hash, Offset: at}
	_, _, x.Err = c.check(ctx, &rec, h.chunkRoot,
		func(block int, _ error) { x.Damaged = append(x.Damaged, block) })
	return x
}

// Any reports whether any content was found intact.
func (s *Salvaged) Any() bool { return len(s.byHash) > 0 }

// Has reports whether the content of d was found intact.
func (s *Salvaged) Has(d capsule.Descriptor) bool {
	i, ok := s.byHash[d.Hash]
	return ok && s.Extents[i].Descriptor.Size == d.Size &&
		s.Extents[i].Descriptor.ChunkRoot == d.ChunkRoot
}

// Stat implements capsule.Source. What a file says of its capsules is not
// enough to name one: it always returns errors.ErrUnsupported.
func (s *Salvaged) Stat(context.Context, capsule.Ref) (capsule.Descriptor, error) {
	return capsule.Descriptor{}, fmt.Errorf("stat in a salvaged plot: %w", errors.ErrUnsupported)
}

// Open implements capsule.Source for the intact capsules. What is read is
// checked again, as capsule.VerifyReader does.
func (s *Salvaged) Open(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	if !s.Has(d) {
		return nil, fmt.Errorf("capsule with hash %s in a salvaged plot: %w", d.Hash,
			fs.ErrNotExist)
	}
	x := &s.Extents[s.byHash[d.Hash]]
	r := &Reader{src: s.src}
	c := &Capsule{r: r, mode: Fast, page: make([]byte, pageSize),
		rec: Record{Store: x.Store, Index: d.Index, Size: d.Size, Hash: d.Hash, Offset: x.Offset}}
	if err := readFull(s.src, c.page, x.Offset); err != nil {
		return nil, err
	}
	var err error
	if c.head, err = parseExtentHeader(c.page, x.Offset); err != nil {
		return nil, err
	}
	return capsule.VerifyReader(c, d), nil
}
