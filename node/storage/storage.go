package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Errors of a Storage. A missing object is fs.ErrNotExist. Other errors are those of capsule.Store:
// capsule.ErrContentMismatch, capsule.ErrManifest.
var (
	// ErrNoSpace: the disk, a quota or a limit leaves no room.
	ErrNoSpace = errors.New("no space left in the storage")
	// ErrUnavailable: the storage cannot be reached, so its content is unknown. It is
	// capsule.ErrUnavailable.
	ErrUnavailable = capsule.ErrUnavailable
	// ErrRange: a range is not within the content.
	ErrRange = errors.New("range outside the content")
)

// MaxMeta is the limit of Generation.Meta in bytes.
const MaxMeta = 32 << 10

// A Generation is one committed version of a datastore.
type Generation struct {
	// Manifest lists the capsules. It must not be changed after it was committed or returned.
	Manifest *capsule.Manifest
	// Meta is the metadata of the node, encoded by Meta.Encode, at most MaxMeta bytes. A Storage
	// stores the bytes and does not interpret them.
	Meta []byte
	// Head says that the generation is the head of its datastore. In a Commit, false does not
	// change the head.
	Head bool
}

// Usage is the size of a Storage.
type Usage struct {
	Stores      int   // datastores with at least one generation
	Generations int   // committed
	Capsules    int   // contents, each once, staged ones included
	Bytes       int64 // of these contents
	Staged      int   // contents that no generation names
	Free        int64 // bytes that can still be put; negative: unknown
}

// Storage keeps the capsules of a node. Implementations are safe for concurrent use.
//
// If content is discarded or released during a Commit of a manifest that names it, the Commit
// returns fs.ErrNotExist. It has no other effect.
type Storage interface {
	// Stat returns the descriptor of the capsule at ref in a committed generation, held or not;
	// a zero ref.Root means the head. It needs no listing.
	Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error)
	// Open opens n bytes of the content of d from offset off, or fewer at the end. A negative n
	// means up to the end. An offset below 0 or after the end is ErrRange. Content is found by
	// d.Hash; if its size is not d.Size, the error is capsule.ErrContentMismatch. The caller closes
	// the result and verifies it: a storage may return damaged bytes.
	Open(ctx context.Context, d capsule.Descriptor, off, n int64) (io.ReadCloser, error)
	// Put reads r to its end, verifies it against d and stores it under d.Hash. If it does not
	// match, the error is capsule.ErrContentMismatch and nothing changes. Putting stored content
	// again succeeds, and replaces damaged content.
	Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error
	// Commit makes a generation visible as a whole, durably. It checks the manifest
	// (capsule.ErrManifest), and that the content of every capsule is stored (fs.ErrNotExist).
	// Committing a root again replaces its manifest and Meta, atomically.
	Commit(ctx context.Context, g *Generation) error
	// Stores yields the datastores with at least one generation, in ascending order.
	Stores(ctx context.Context) iter.Seq2[auth.StoreID, error]
	// Generations yields the generations of a datastore, ascending by root. A generation that
	// cannot be read yields an error, and the sequence continues. A missing datastore yields
	// nothing.
	Generations(ctx context.Context, s auth.StoreID) iter.Seq2[*Generation, error]
	// Generation returns one generation; a zero root means the head.
	Generation(ctx context.Context, s auth.StoreID, root merkle.Hash) (*Generation, error)
	// Held yields the capsules of a datastore whose content is stored, each content once.
	Held(ctx context.Context, s auth.StoreID) iter.Seq2[capsule.Descriptor, error]
	// Discard removes content that no committed generation names. A hash that is not stored, or
	// that a generation names, is skipped without an error.
	Discard(ctx context.Context, hashes []merkle.Hash) error
	// Release removes content, also of committed generations. A hash that is not stored is no
	// error.
	Release(ctx context.Context, hashes []merkle.Hash) error
	// Remove removes a generation, or with a zero root the whole datastore, and the content that
	// only it names. Staged content stays. After the head was removed the datastore has none.
	Remove(ctx context.Context, s auth.StoreID, root merkle.Hash) error
	// Usage returns the size of the storage.
	Usage(ctx context.Context) (Usage, error)
}

// Orphan is content that no committed generation names.
type Orphan struct {
	Hash     merkle.Hash
	Size     int64
	Modified time.Time
}

// OrphanLister is an optional interface of a Storage whose staged content survives a restart. A
// node discards the orphans that none of its sessions uses.
type OrphanLister interface {
	// Orphans yields what Discard would remove.
	Orphans(ctx context.Context) iter.Seq2[Orphan, error]
}

// Stamp identifies a version of a generation: if Size or Modified has changed, the generation is
// read again.
type Stamp struct {
	Store    auth.StoreID
	Root     merkle.Hash
	Head     bool
	Size     int64 // of the file of the manifest
	Modified time.Time
}

// Stamper is an optional interface of a Storage that can list generations cheaply, to detect
// changes.
type Stamper interface {
	// Stamps yields all generations, ascending by datastore and root, without reading them.
	Stamps(ctx context.Context) iter.Seq2[Stamp, error]
}

// check returns nil if a generation may be committed.
func (g *Generation) check() error {
	if g.Manifest == nil {
		return fmt.Errorf("commit: %w: found none", capsule.ErrManifest)
	}
	if g.Manifest.Root.IsZero() {
		return &capsule.ManifestError{Member: "merkle_root", Err: errors.New("zero")}
	}
	if len(g.Meta) > MaxMeta {
		return fmt.Errorf("commit root %v of store %v: meta of %d bytes, expected at most %d",
			g.Manifest.Root, g.Manifest.Store, len(g.Meta), MaxMeta)
	}
	return nil
}

// part returns the bounds of n bytes from off of a content of some size.
func part(d capsule.Descriptor, off, n int64) (from, length int64, err error) {
	size := int64(d.Size)
	if off < 0 || off > size {
		return 0, 0, fmt.Errorf("open capsule %v: %w: offset %d, size %d", d.Hash, ErrRange, off,
			size)
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return off, n, nil
}

func notFound(what string) error { return fmt.Errorf("%s: %w", what, fs.ErrNotExist) }

// at returns the descriptor at an index of a manifest.
func at(m *capsule.Manifest, ref capsule.Ref) (capsule.Descriptor, error) {
	if uint64(ref.Index) >= uint64(len(m.Capsules)) {
		return capsule.Descriptor{}, fmt.Errorf("capsule %v: %w: generation has %d capsules", ref,
			fs.ErrNotExist, len(m.Capsules))
	}
	return m.Capsules[ref.Index], nil
}
