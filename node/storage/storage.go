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

// Errors of a Storage. Absence is fs.ErrNotExist. What capsule.Store returns for the same call
// holds here too: capsule.ErrContentMismatch, capsule.ErrManifest.
var (
	// ErrNoSpace: the disk, a quota or a limit leaves no room.
	ErrNoSpace = errors.New("no space left in the storage")
	// ErrUnavailable: the storage cannot be reached, so that nothing can be said about what it
	// holds. It is capsule.ErrUnavailable.
	ErrUnavailable = capsule.ErrUnavailable
	// ErrRange: a range does not lie in the content.
	ErrRange = errors.New("range outside the content")
)

// MaxMeta is the length in bytes of the longest Generation.Meta.
const MaxMeta = 32 << 10

// A Generation is one committed version of a datastore.
type Generation struct {
	// Manifest lists the capsules. It is not to be changed once it was committed or returned.
	Manifest *capsule.Manifest
	// Meta is what the node keeps beside the manifest, as Meta.Encode returns it. A Storage
	// returns the bytes as they are and does not read them. At most MaxMeta bytes.
	Meta []byte
	// Head says that the generation is the head of its datastore. In a Commit, false is an older
	// generation that comes late: the head stays what it is.
	Head bool
}

// Usage is how much a Storage holds.
type Usage struct {
	Stores      int   // datastores with at least one generation
	Generations int   // committed
	Capsules    int   // contents, each once, staged ones included
	Bytes       int64 // of these contents
	Staged      int   // contents that no generation names
	Free        int64 // bytes that can still be put; negative: not known
}

// Storage keeps the capsules of a node. Implementations are safe for concurrent use.
//
// A caller that discards or releases content while another call relies on it (a Commit of a
// manifest that names the hash) gets fs.ErrNotExist from the latter, and nothing else breaks.
type Storage interface {
	// Stat returns the descriptor of the capsule at ref in a committed generation, held or not;
	// a zero ref.Root means the head. It needs no listing.
	Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error)
	// Open opens n bytes of the content of d from offset off, or what there is up to the end; n
	// below 0 is all up to the end. An offset below 0 or behind the end is ErrRange. Content is
	// found by d.Hash, and one of another size than d.Size is capsule.ErrContentMismatch. The
	// caller closes the result and verifies it: a storage may return damaged bytes.
	Open(ctx context.Context, d capsule.Descriptor, off, n int64) (io.ReadCloser, error)
	// Put reads r to its end, checks it against d and keeps it under d.Hash. Content that does
	// not match is capsule.ErrContentMismatch, and leaves what was there. Putting what is there
	// already succeeds, and replaces content that is damaged.
	Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error
	// Commit makes a generation visible as a whole, durably. It checks the manifest
	// (capsule.ErrManifest), and that the content of every capsule is there (fs.ErrNotExist).
	// Committing a root again replaces its manifest and Meta, at once.
	Commit(ctx context.Context, g *Generation) error
	// Stores yields the datastores with at least one generation, in ascending order.
	Stores(ctx context.Context) iter.Seq2[auth.StoreID, error]
	// Generations yields the generations of a datastore, ascending by root. A generation that
	// cannot be read is an error, after which the sequence goes on. A datastore that is not there
	// has none.
	Generations(ctx context.Context, s auth.StoreID) iter.Seq2[*Generation, error]
	// Generation returns one generation; a zero root means the head.
	Generation(ctx context.Context, s auth.StoreID, root merkle.Hash) (*Generation, error)
	// Held yields the capsules of the generations of a datastore whose content is here, each
	// content once.
	Held(ctx context.Context, s auth.StoreID) iter.Seq2[capsule.Descriptor, error]
	// Discard removes content that no committed generation names. A hash that is not here, or
	// that a generation names, is no error and is left alone.
	Discard(ctx context.Context, hashes []merkle.Hash) error
	// Release removes content, also of committed generations. A hash that is not here is no
	// error.
	Release(ctx context.Context, hashes []merkle.Hash) error
	// Remove removes a generation, or with a zero root the whole datastore, and the content that
	// only it names. Staged content stays. After the head was removed the datastore has none.
	Remove(ctx context.Context, s auth.StoreID, root merkle.Hash) error
	// Usage returns how much is held.
	Usage(ctx context.Context) (Usage, error)
}

// Orphan is content that no committed generation names.
type Orphan struct {
	Hash     merkle.Hash
	Size     int64
	Modified time.Time
}

// OrphanLister is an optional interface of a Storage that keeps staged content when it is opened
// again. A node discards the orphans that none of its sessions uses.
type OrphanLister interface {
	// Orphans yields what Discard would remove.
	Orphans(ctx context.Context) iter.Seq2[Orphan, error]
}

// Stamp says which generation there is, and which version of it: a generation whose Size or
// Modified has changed is read again.
type Stamp struct {
	Store    auth.StoreID
	Root     merkle.Hash
	Head     bool
	Size     int64 // of the file that has the manifest
	Modified time.Time
}

// Stamper is an optional interface of a Storage that can tell cheaply what has changed since it
// was opened last.
type Stamper interface {
	// Stamps yields all generations, ascending by datastore and root, without reading them.
	Stamps(ctx context.Context) iter.Seq2[Stamp, error]
}

// check returns nil when a generation may be committed.
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
