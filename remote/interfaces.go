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

// A Bandwidth bounds how fast bytes move through connections. Package bandwidth has one.
type Bandwidth interface {
	// Conn returns c with the bound on it.
	Conn(c net.Conn) net.Conn
	// Received is how many bytes a second are received at most; 0: there is no bound.
	Received() int64
}

// bounded puts the bound on the connections that dial returns; nil bounds nothing.
func bounded(b Bandwidth, dial dialFunc) dialFunc {
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

// An Origin is one store at one place, seen from a reader. [*Client] is one over HTTP; anything
// that can answer will do. Methods may be called concurrently.
type Origin interface {
	// Describe says what the origin serves: head, key, signatures, tombstones. A store that is not
	// there, or has no generation, is [fs.ErrNotExist].
	Describe(ctx context.Context) (*Descriptor, error)
	// Generations returns the origin's history, oldest first, as the origin tells it: unchecked.
	Generations(ctx context.Context) ([]module.Generation, error)
	// Module opens the bytes of one generation. A generation that the origin does not hold is
	// [fs.ErrNotExist]; one that answers with another generation is a [*VerificationError] of
	// [CheckETag]. The reader may be a [Sized]. The caller closes it.
	Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error)
}

// A Sized is a module reader, of an [Origin], that knows the length of the whole module. Optional.
type Sized interface {
	// Size returns the length in bytes; -1 when it is not known.
	Size() int64
}

// A RangeOrigin is an [Origin] that gives parts of a module, and can go on where a transfer broke
// off. Optional.
type RangeOrigin interface {
	Origin
	// ModuleFrom is Module from byte offset on. start is the offset of the reader's first byte: the
	// one asked for, or 0 when the origin begins anew.
	ModuleFrom(ctx context.Context, root merkle.Hash,
		offset int64) (r io.ReadCloser, start int64, err error)
	// Stat returns the length of a module in bytes; [errors.ErrUnsupported] when that cannot be told
	// without the module. Other errors are those of Module.
	Stat(ctx context.Context, root merkle.Hash) (int64, error)
	// Spans gives each of want to take, in any order, from one goroutine at a time. want ascends and
	// does not overlap; body has exactly Length bytes, or fails. An error of take ends it and comes
	// back wrapped. An origin that is several calls take once more with the same part from another one
	// when the error is [ErrVerification]. An origin that gives no single parts is
	// [errors.ErrUnsupported].
	Spans(ctx context.Context, root merkle.Hash, want []Span,
		take func(i int, body io.Reader) error) error
}

// A RecipeOrigin is an [Origin] that can give the recipe of a generation in place of its module, so
// that only the chunks that are not held have to come. Optional. RECIPES.md says what travels.
type RecipeOrigin interface {
	RangeOrigin
	// OpenRecipe asks for the recipe of root. The answer may be packed against one of bases, the
	// recipes of generations that are held here, likeliest first, of which at most 8 are named. An
	// origin that knows no recipes, or has none of this generation, answers with the module. Errors
	// are those of Module; a recipe that does not decode or is of another generation is a
	// [*VerificationError] of [CheckRecipe].
	OpenRecipe(ctx context.Context, root merkle.Hash, bases []*module.Recipe) (*RecipeAnswer, error)
}

// A RecipeAnswer is what an origin gave that was asked for a recipe: Recipe, and Size, the bytes of
// it that travelled; or the module itself, Module, as from [Origin].Module, which is to be closed.
type RecipeAnswer = multisource.RecipeAnswer

// A Span is a run of bytes of a module: Offset and Length.
type Span = multisource.Span

// A Local is one store on our side: what [Clone] and [Pull] fill and [Push] reads. *digstore.Store
// is one; remotetest.Memory is another. Methods may be called concurrently.
type Local interface {
	// ID is the store's id.
	ID() auth.StoreID
	// Head is the newest generation with the signatures that are known for it. A store without a
	// generation answers a zero Root and no error.
	Head(ctx context.Context) (auth.SignedRoot, error)
	// Generations is the history, oldest first, numbered from 0, generations not held included.
	Generations(ctx context.Context) ([]module.Generation, error)
	// Has reports whether the module of a generation of the history is held, without reading it: true
	// does not mean that it is intact.
	Has(ctx context.Context, root merkle.Hash) (bool, error)
	// Module opens the bytes of a generation; [fs.ErrNotExist] when it is not held. The reader may
	// also be an [io.ReaderAt]. The caller closes it.
	Module(ctx context.Context, root merkle.Hash) (io.ReadSeekCloser, error)
	// Install takes r apart as it comes, calls check on the module that it can give back, and only
	// then makes it visible, atomically. lines are the history lines that follow what the store has;
	// the last one is the generation in r, those before it are recorded as not held. Their numbers go
	// on from the last line by 1, and their roots may stand in the history already. For a generation
	// whose line is already there but which is not held, lines is just that line. Of a generation that
	// is held, and comes again in new lines, nothing is read from r: check is given what is held. head
	// carries the signatures known for the root; they may be zero for an older generation.
	//
	// The error wraps whatever r or check returned. Nothing becomes visible when there is one; what
	// arrived may be kept where the Local is a [Resumer].
	// check may not call methods of the Local.
	Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot, r io.Reader,
		check func(*module.Module) error) error
}

// A History is a [Local] that finds single lines of its history without reading it all, and keeps
// the signatures of generations before the head. Optional: without it each look reads the whole
// history, and [Push] sends the head only.
type History interface {
	// Line returns the line of a root; [fs.ErrNotExist] when it is not in the history.
	Line(ctx context.Context, root merkle.Hash) (module.Generation, error)
	// Tail returns the last n lines, or all there are, oldest first.
	Tail(ctx context.Context, n int) ([]module.Generation, error)
	// SignedRoot is Head for one generation of the history; [fs.ErrNotExist] when the root is not in
	// it. A generation for which no signature is known answers without any.
	SignedRoot(ctx context.Context, root merkle.Hash) (auth.SignedRoot, error)
	// KeepSigned keeps signatures that [Pusher].Signer made of a generation of the history, durably.
	// The caller has checked them.
	KeepSigned(ctx context.Context, r auth.SignedRoot) error
}

// A Resumer is a [Local] that keeps what arrived of a broken Install. Optional.
type Resumer interface {
	// Held returns how many leading bytes of the module of root are kept; 0 when none are. The next
	// Install of that root is given a reader that starts at that offset.
	Held(ctx context.Context, root merkle.Hash) (offset int64, err error)
	// Discard throws away what is kept, so that the next Install starts at 0. Nothing kept is no
	// error.
	Discard(ctx context.Context, root merkle.Hash) error
}

// An Assembler is a [Local] that can make a generation of its recipe and of chunks that it holds.
// Optional; without it modules come and go whole.
type Assembler interface {
	// Recipe returns the recipe of a generation that is held; [fs.ErrNotExist] when it is not. Its
	// encoding is that of the module, whoever made it: both sides use it as a dictionary.
	Recipe(ctx context.Context, root merkle.Hash) (*module.Recipe, error)
	// MissingChunks returns the places in r.Pool() of the chunks that are not held, ascending. What a
	// broken Assemble of the same root left behind counts as held where it is kept.
	MissingChunks(ctx context.Context, r *module.Recipe) ([]int, error)
	// Assemble is Install for a generation whose recipe is known. It calls a.Fetch once, which calls
	// put for every chunk that MissingChunks named, in any order, from one goroutine at a time. put
	// holds the bytes to length and id of the chunk: a difference is [module.ErrVerify]. A chunk that
	// is neither put nor held is [fs.ErrNotExist]. check need not read again what a.Recipe has in
	// common with a.Base (module.Recipe.WithVerified).
	Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
		a module.Assembly, check func(*module.Module) error) error
}

// Limits of the evidence that a [TrustStore] keeps.
const (
	MaxEvidence     = 32        // documents; the oldest go
	MaxEvidenceSize = 256 << 10 // bytes of one
)

// A TrustStore is a [Local] that remembers what it has learned of its publisher and of its origins.
// Optional; without it the key of the local head is what is held, and no tombstone and no evidence
// outlives a visit.
type TrustStore interface {
	// Pins returns what is held of earlier visits; the zero Pins when nothing is.
	Pins(ctx context.Context) (module.Pins, error)
	// Pin replaces what is held, durably.
	Pin(ctx context.Context, p module.Pins) error
	// Tombstones returns the valid tombstones kept for a store, at most one a root and one for the
	// store.
	Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error)
	// Revoke keeps t, durably, in place of one of the same scope and root, so that no origin can hide
	// it later. The caller has checked its signature. An unknown store is [fs.ErrNotExist].
	Revoke(ctx context.Context, t auth.Tombstone) error
	// PutEvidence keeps what speaks against an origin, the JSON of an [Evidence] of at most
	// [MaxEvidenceSize] bytes, durably, and returns the name under which a person finds it, a path
	// perhaps. The same bytes are kept once. Beyond [MaxEvidence] documents the oldest goes.
	PutEvidence(ctx context.Context, doc []byte) (name string, err error)
	// Evidence returns the documents that are kept, oldest first.
	Evidence(ctx context.Context) ([][]byte, error)
}

// A KnownKeys remembers which key was believed for which store by first use.
// digstore.OpenKnownStores is the one beside the identity key.
type KnownKeys interface {
	// Known returns the key that was believed for the store, and whether there is one.
	Known(ctx context.Context, s auth.StoreID) (auth.PublicKey, bool, error)
	// Remember notes the key, durably, in place of an earlier one.
	Remember(ctx context.Context, s auth.StoreID, key auth.PublicKey) error
}

// An Anchor says which root of a store is the current one, by an authority that is not the origin:
// the chain. An anchor that cannot be reached returns an error, and nothing is believed.
type Anchor interface {
	CurrentRoot(ctx context.Context, s auth.StoreID) (merkle.Hash, error)
}

// A Lineage is an [Anchor] that knows older roots too. Optional.
type Lineage interface {
	// Lineage returns every root the store has had, oldest first. A root may stand in it more than
	// once.
	Lineage(ctx context.Context, s auth.StoreID) ([]merkle.Hash, error)
}
