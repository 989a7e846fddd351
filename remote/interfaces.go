package remote

import (
	"context"
	"io"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// An Origin is one store at one place, seen from a reader. [*Client] is one over HTTP; anything that can
// answer will do. Methods may be called concurrently.
type Origin interface {
	// Describe says what the origin serves: head, key, signatures, tombstones. A store that is not there,
	// or has no generation, is [fs.ErrNotExist].
	Describe(ctx context.Context) (*Descriptor, error)
	// Generations returns the origin's history, oldest first, as the origin tells it: unchecked.
	Generations(ctx context.Context) ([]module.Generation, error)
	// Module opens the bytes of one generation. A generation that the origin does not hold is
	// [fs.ErrNotExist]; one that answers with another generation is a [*VerificationError] of [CheckETag].
	// The reader may have a method Size() int64 (the length of the whole module, -1 when not known).
	// The caller closes it.
	Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error)
}

// A RangeOrigin is an [Origin] that can go on where a transfer broke off.
type RangeOrigin interface {
	Origin
	// ModuleFrom is Module from byte offset on. start is the offset of the reader's first byte: the one
	// asked for, or 0 when the origin begins anew.
	ModuleFrom(ctx context.Context, root merkle.Hash, offset int64) (r io.ReadCloser, start int64, err error)
}

// A Local is one store on our side: what [Clone] and [Pull] fill and [Push] reads. *digstore.Store is one;
// remotetest.Memory is another. Methods may be called concurrently.
type Local interface {
	// ID is the store's id.
	ID() auth.StoreID
	// Head is the newest generation with the signatures that are known for it. A store without a
	// generation answers a zero Root and no error.
	Head(ctx context.Context) (auth.SignedRoot, error)
	// Generations is the history, oldest first, numbered from 0, generations not held included.
	Generations(ctx context.Context) ([]module.Generation, error)
	// Module opens the bytes of a generation; [fs.ErrNotExist] when it is not held. The reader may also be
	// an [io.ReaderAt]. The caller closes it.
	Module(ctx context.Context, root merkle.Hash) (io.ReadSeekCloser, error)
	// Install takes r apart as it comes, calls check on the module that it can give back, and only then
	// makes it visible, atomically. lines are the history lines that follow what the store has; the last
	// one is the generation in r, those before it are recorded as not held. For a generation whose line is
	// already there but which is not held, lines is just that line. head carries the signatures known for
	// the root; they may be zero for an older generation.
	//
	// The error wraps whatever r or check returned. Nothing becomes visible when there is one; what
	// arrived may be kept where the Local is a [Resumer].
	// check may not call methods of the Local.
	Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot, r io.Reader,
		check func(*module.Module) error) error
}

// A Signatures is a [Local] that knows the signatures of generations before the head; [Push] needs them to
// send several generations in order. Optional.
type Signatures interface {
	// SignedRoot is Head for one generation of the history; [fs.ErrNotExist] when the root is not in it.
	// A generation for which no signature is known answers without any.
	SignedRoot(ctx context.Context, root merkle.Hash) (auth.SignedRoot, error)
}

// A SignatureKeeper is a [Local] that keeps signatures that [Pusher.Signer] made. Optional.
type SignatureKeeper interface {
	// KeepSigned keeps the signatures of a generation of the history, durably. The caller has checked them.
	KeepSigned(ctx context.Context, r auth.SignedRoot) error
}

// A Resumer is a [Local] that keeps what arrived of a broken Install. Optional.
type Resumer interface {
	// Held returns how many leading bytes of the module of root are kept; 0 when none are. The next
	// Install of that root is given a reader that starts at that offset.
	Held(ctx context.Context, root merkle.Hash) (offset int64, err error)
	// Discard throws away what is kept, so that the next Install starts at 0. Nothing kept is no error.
	Discard(ctx context.Context, root merkle.Hash) error
}

// Pins are what a store remembers between two meetings with its origins (decision 26).
type Pins = module.Pins

// A Pinner is a [Local] that keeps [Pins]. Optional; without it the key of the local head is what is held.
type Pinner interface {
	// Pins returns what is held; the zero Pins when nothing is.
	Pins(ctx context.Context) (Pins, error)
	// Pin replaces what is held, durably.
	Pin(ctx context.Context, p Pins) error
}

// A Revoker keeps tombstones. On a [Local] those that were seen and are valid are kept, so that no origin
// can hide them later; on a [Backend] it is what the tombstone route needs.
type Revoker interface {
	// Tombstones returns the valid tombstones kept for a store, at most one a root and one for the store.
	Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error)
	// Revoke keeps t, durably, in place of one of the same scope and root. The caller has checked its
	// signature. An unknown store is [fs.ErrNotExist].
	Revoke(ctx context.Context, t auth.Tombstone) error
}

// A KnownStores remembers which key was believed for which store by first use (decision 26).
// digstore.OpenKnownStores is the one beside the identity key.
type KnownStores interface {
	// Known returns the key that was believed for the store, and whether there is one.
	Known(ctx context.Context, s auth.StoreID) (auth.PublicKey, bool, error)
	// Remember notes the key, durably, in place of an earlier one.
	Remember(ctx context.Context, s auth.StoreID, key auth.PublicKey) error
}

// An Anchor says which root of a store is the current one, by an authority that is not the origin: the
// chain. An anchor that cannot be reached returns an error, and nothing is believed.
type Anchor interface {
	CurrentRoot(ctx context.Context, s auth.StoreID) (merkle.Hash, error)
}

// A Lineage is an [Anchor] that knows older roots too. Optional.
type Lineage interface {
	// Lineage returns every root the store has had, oldest first. A root may stand in it more than once.
	Lineage(ctx context.Context, s auth.StoreID) ([]merkle.Hash, error)
}

// A Backend is what a [Server] serves: enough for a read-only origin. Methods may be called concurrently.
// An unknown store or root is [fs.ErrNotExist].
type Backend interface {
	// Head is the newest confirmed generation of a store with its signatures. A store that is registered
	// but has no generation answers a zero Root and, when it is known, the key.
	Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error)
	// Generations is the confirmed history, oldest first.
	Generations(ctx context.Context, s auth.StoreID) ([]module.Generation, error)
	// Module opens the bytes of a confirmed generation that is held. It should be cheap to open: HEAD and
	// the descriptor only seek to the end. The reader may also be an [io.WriterTo], which then writes from
	// the current offset on. The caller closes it.
	Module(ctx context.Context, s auth.StoreID, root merkle.Hash) (io.ReadSeekCloser, error)
}

// A Receiver is a [Backend] that takes pushes. Optional: without it PUT is answered 405.
type Receiver interface {
	// Receive takes r apart as it comes, calls check, and makes the generation the head, atomically and
	// under the store's lock, where it compares parent with the head again: a difference is
	// [module.ErrNotHead], a root already in the history [fs.ErrExist]. An unknown store is made, and holds
	// head.PublicKey from then on. With pending set the generation is kept, but not made the head. head is
	// checked already; check holds the module to it, its key included.
	//
	// The error wraps whatever r or check returned, and nothing becomes visible when there is one.
	Receive(ctx context.Context, head auth.SignedRoot, parent merkle.Hash, pending bool, r io.Reader,
		check func(*module.Module) error) error
}

// A Lister is a [Backend] that can say which stores it has. Optional.
type Lister interface {
	// Stores yields the ids in no particular order. It stops after an error.
	Stores(ctx context.Context) iter.Seq2[auth.StoreID, error]
}
