package capsule

import (
	"context"
	"io"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Source reads capsules. Implementations are safe for concurrent use.
type Source interface {
	// Stat returns the descriptor of the capsule at ref; a zero ref.Root means the current head.
	// Absence is fs.ErrNotExist. The descriptor is what the source says; a caller that does not
	// trust it checks it against a manifest under a root it trusts.
	Stat(ctx context.Context, ref Ref) (Descriptor, error)
	// Open opens the content of d, which is found by d.Hash. Absence is fs.ErrNotExist. The
	// caller closes it, and verifies it (VerifyReader) unless the implementation says that it
	// has. The result may also be an io.Seeker or an io.ReaderAt.
	Open(ctx context.Context, d Descriptor) (io.ReadCloser, error)
}

// Store keeps capsules. Implementations are safe for concurrent use.
type Store interface {
	Source
	// Put reads r to its end, checks it against d and keeps it under d.Hash. Content that does
	// not match is ErrContentMismatch and leaves the store unchanged. Putting what is there
	// already succeeds. What was put can be opened at once; Stat finds it after Commit.
	Put(ctx context.Context, d Descriptor, r io.Reader) error
	// Commit makes the generation of m visible as a whole, and the head of its datastore. It
	// checks m (ErrManifest), and that every capsule of m was put (fs.ErrNotExist). Committing
	// an earlier generation again makes it the head again.
	Commit(ctx context.Context, m *Manifest) error
}

// Lister is an optional interface of a Source: what it holds.
type Lister interface {
	// Stores yields the datastores with at least one committed generation, in ascending order.
	Stores(ctx context.Context) iter.Seq2[auth.StoreID, error]
	// Manifest returns the manifest of a committed generation; a zero root means the head.
	// Absence is fs.ErrNotExist. The caller must not change it.
	Manifest(ctx context.Context, s auth.StoreID, root merkle.Hash) (*Manifest, error)
}

// Locator is an optional interface of a Source: where a capsule is kept.
type Locator interface {
	// Locate returns the plot that holds the capsule at ref and the name of its storage tier. A
	// zero plot id means that it is in no plot. Absence is fs.ErrNotExist.
	Locate(ctx context.Context, ref Ref) (plotID merkle.Hash, tier string, err error)
}
