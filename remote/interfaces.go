package remote

import (
	"context"
	"io"
	"net"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/multisource"
)

// A Bandwidth limits the transfer rate of connections. Package bandwidth implements it.
type Bandwidth interface {
	// Conn returns a connection that wraps c and is subject to the limit.
	Conn(c net.Conn) net.Conn
	// Received returns the limit on received bytes per second; 0 means no limit.
	Received() int64
}

// limited returns a dialer whose connections are subject to b. A nil b sets no limit.
func limited(b Bandwidth, dial dialFunc) dialFunc {
	if b == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return b.Conn(c), nil
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// An Origin serves one store to readers. [*Client] implements it over HTTP. Methods may be called
// concurrently.
type Origin interface {
	// Describe returns the origin's head, key, signatures and tombstones. The error is
	// [fs.ErrNotExist] when the store does not exist or has no generation.
	Describe(ctx context.Context) (*Descriptor, error)
	// Generations returns the history as the origin sends it, unchecked, oldest first.
	Generations(ctx context.Context) ([]module.Generation, error)
	// Module opens the module of one generation. The error is [fs.ErrNotExist] when the origin does
	// not hold it, and a [*VerificationError] of [CheckETag] when the origin sends another
	// generation. The reader may implement [Sized]. The caller closes it.
	Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error)
}

// Sized is an optional interface of the readers that [Origin].Module returns.
type Sized interface {
	// Size returns the length of the whole module in bytes, or -1 if it is unknown.
	Size() int64
}

// A RangeOrigin is an [Origin] that can serve parts of a module and resume a broken transfer.
// Optional.
type RangeOrigin interface {
	Origin
	// ModuleFrom is like Module but starts at byte offset. start is the offset of the reader's first
	// byte: offset, or 0 when the origin sends the whole module.
	ModuleFrom(ctx context.Context, root merkle.Hash,
		offset int64) (r io.ReadCloser, start int64, err error)
	// Stat returns the length of a module in bytes. The error is [errors.ErrUnsupported] when the
	// origin cannot report it without sending the module; other errors are those of Module.
	Stat(ctx context.Context, root merkle.Hash) (int64, error)
	// Spans calls take for each span of want, in any order, from one goroutine at a time. want is
	// ascending and does not overlap; body has exactly Length bytes, or fails. An error of take ends
	// Spans and is returned wrapped. [Origins] instead calls take again for the same span from
	// another origin when that error is [ErrVerification]. The error is [errors.ErrUnsupported] when
	// the origin serves only whole modules.
	Spans(ctx context.Context, root merkle.Hash, want []Span,
		take func(i int, body io.Reader) error) error
}

// A RecipeOrigin is an [Origin] that can send the recipe of a generation in place of its module, so
// that the reader fetches only the chunks it lacks. Optional. RECIPES.md specifies the format.
type RecipeOrigin interface {
	RangeOrigin
	// OpenRecipe requests the recipe of root. bases are recipes of generations that the caller holds,
	// most similar first; the request names at most 8, and the answer may be compressed against one
	// of them. An origin without a recipe of root answers with the module. Errors are those of
	// Module; a recipe that does not decode, or is of another generation, is a [*VerificationError]
	// of [CheckRecipe].
	OpenRecipe(ctx context.Context, root merkle.Hash, bases []*module.Recipe) (*RecipeAnswer, error)
}

// A RecipeAnswer is the answer to [RecipeOrigin].OpenRecipe: Recipe and Size, the bytes received
// for it; or Module, the module itself as from [Origin].Module, which the caller closes.
type RecipeAnswer = multisource.RecipeAnswer

// A Span is a byte range of a module: Offset and Length.
type Span = multisource.Span

// A Local is the local copy of one store: [Clone] and [Pull] write it and [Push] reads it.
// *digstore.Store and remotetest.Memory implement it. Methods may be called concurrently.
type Local interface {
	// ID returns the store ID.
	ID() auth.StoreID
	// Head returns the newest generation with its known signatures. A store without a generation
	// returns a zero Root and no error.
	Head(ctx context.Context) (auth.SignedRoot, error)
	// Generations returns the history, oldest first, numbered from 0. It includes generations that
	// are not held.
	Generations(ctx context.Context) ([]module.Generation, error)
	// Has reports whether the module of a generation of the history is held. It does not read the
	// module, which may be damaged.
	Has(ctx context.Context, root merkle.Hash) (bool, error)
	// Module opens the module of a generation. The error is [fs.ErrNotExist] when it is not held. The
	// reader may implement [io.ReaderAt]. The caller closes it.
	Module(ctx context.Context, root merkle.Hash) (io.ReadSeekCloser, error)
	// Install stores the module read from r, calls check on the module as stored, and then makes it
	// visible, atomically. lines are the history lines to append; the last one is the generation in
	// r, and those before it are recorded as not held. Their numbers follow the last line of the
	// history by 1, and their roots may already be in the history. For a generation that is in the
	// history but not held, lines is just its line. For a held generation that new lines name again,
	// Install reads nothing from r and calls check on the held module. head carries the signatures
	// known for the root; they may be zero for an older generation.
	//
	// An error wraps what r or check returned, and leaves nothing visible. A [Resumer] may keep the
	// bytes received. check must not call methods of the Local.
	Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot, r io.Reader,
		check func(*module.Module) error) error
}

// A History is a [Local] that finds single lines of its history without reading all of it, and
// keeps the signatures of generations before the head. Optional: without it each lookup reads the
// whole history, and [Push] sends only the head.
type History interface {
	// Line returns the line of a root. The error is [fs.ErrNotExist] when the history lacks it.
	Line(ctx context.Context, root merkle.Hash) (module.Generation, error)
	// Tail returns the last n lines, or all of them if there are fewer, oldest first.
	Tail(ctx context.Context, n int) ([]module.Generation, error)
	// SignedRoot returns one generation of the history with its known signatures, if any. The error
	// is [fs.ErrNotExist] when the root is not in the history.
	SignedRoot(ctx context.Context, root merkle.Hash) (auth.SignedRoot, error)
	// KeepSigned durably stores signatures that [Pusher].Signer made for a generation of the history.
	// The caller has checked them.
	KeepSigned(ctx context.Context, r auth.SignedRoot) error
}

// A Resumer is a [Local] that keeps the bytes received by a failed Install. Optional.
type Resumer interface {
	// Held returns how many leading bytes of the module of root are kept, or 0. The caller passes the
	// next Install of root a reader that starts at that offset.
	Held(ctx context.Context, root merkle.Hash) (offset int64, err error)
	// Discard deletes the kept bytes, so that the next Install starts at 0. It returns nil when none
	// are kept.
	Discard(ctx context.Context, root merkle.Hash) error
}

// An Assembler is a [Local] that can build a generation from its recipe and chunks. Optional;
// without it modules are sent and received whole.
type Assembler interface {
	// Recipe returns the recipe of a held generation. The error is [fs.ErrNotExist] when it is not
	// held. The encoding depends only on the module, since both sides use it as a dictionary.
	Recipe(ctx context.Context, root merkle.Hash) (*module.Recipe, error)
	// MissingChunks returns the ascending indexes in r.Pool() of the chunks that are not held. Chunks
	// kept from a failed Assemble of the same root count as held.
	MissingChunks(ctx context.Context, r *module.Recipe) ([]int, error)
	// Assemble is like Install for a generation whose recipe is known. It calls a.Fetch once, which
	// calls put for every chunk that MissingChunks returned, in any order, from one goroutine at a
	// time. put fails with [module.ErrVerify] when the bytes differ from the chunk's length or ID.
	// The error is [fs.ErrNotExist] when a chunk is neither put nor held. check need not read again
	// the chunks that a.Recipe shares with a.Base (module.Recipe.WithVerified).
	Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
		a module.Assembly, check func(*module.Module) error) error
}

// Limits of the evidence that a [TrustStore] keeps.
const (
	MaxEvidence     = 32        // documents; the oldest are deleted
	MaxEvidenceSize = 256 << 10 // bytes per document
)

// A TrustStore is a [Local] that stores pins, tombstones and evidence. Optional; without it the
// pinned key is that of the local head, and no tombstone or evidence outlives a sync.
type TrustStore interface {
	// Pins returns the stored pins, or the zero Pins if there are none.
	Pins(ctx context.Context) (module.Pins, error)
	// Pin durably replaces the stored pins.
	Pin(ctx context.Context, p module.Pins) error
	// Tombstones returns the valid tombstones kept for a store: at most one per root and one for the
	// whole store.
	Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error)
	// Revoke durably stores t, replacing one of the same scope and root, so that no origin can
	// withhold it later. The caller has checked its signature. The error is [fs.ErrNotExist] for an
	// unknown store.
	Revoke(ctx context.Context, t auth.Tombstone) error
	// PutEvidence durably stores doc, the JSON of an [Evidence] of at most [MaxEvidenceSize] bytes,
	// and returns a name, such as a path, by which the user can find it. Equal documents are stored
	// once. Beyond [MaxEvidence] documents the oldest is deleted.
	PutEvidence(ctx context.Context, doc []byte) (name string, err error)
	// Evidence returns the stored documents, oldest first.
	Evidence(ctx context.Context) ([][]byte, error)
}

// KnownKeys stores which key was trusted on first use for each store. digstore.OpenKnownStores
// returns the one kept beside the identity key.
type KnownKeys interface {
	// Known returns the key stored for s, and whether there is one.
	Known(ctx context.Context, s auth.StoreID) (auth.PublicKey, bool, error)
	// Remember durably stores the key, replacing an earlier one.
	Remember(ctx context.Context, s auth.StoreID, key auth.PublicKey) error
}

// An Anchor returns the current root of a store from an authority other than the origin: the chain.
// When it cannot be reached it returns an error, and the sync fails.
type Anchor interface {
	CurrentRoot(ctx context.Context, s auth.StoreID) (merkle.Hash, error)
}

// A Lineage is an [Anchor] that also knows older roots. Optional.
type Lineage interface {
	// Lineage returns every root the store has had, oldest first. A root may occur more than once.
	Lineage(ctx context.Context, s auth.StoreID) ([]merkle.Hash, error)
}
