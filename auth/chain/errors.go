package chain

import (
	"errors"
	"fmt"
)

// What a source could not do. Package remote's commands take the first two for network trouble, and every
// other error of this package for a check that failed.
var (
	// ErrUnavailable: no answer, or a source that is still catching up. Asking again may help.
	ErrUnavailable = errors.New("the chain source could not be asked")
	// ErrRateLimited: the source wants to be asked less often.
	ErrRateLimited = errors.New("the chain source refuses for too many requests")
	// ErrMalformed: an answer that is not of the form that the question has.
	ErrMalformed = errors.New("malformed answer of the chain source")
	// ErrTooLarge: an answer, a program or a lineage beyond a stated limit.
	ErrTooLarge = errors.New("over a limit")
)

// Why what a source says is not believed.
var (
	// ErrSourceInvalid: an answer that contradicts hashes, or itself.
	ErrSourceInvalid = errors.New("the chain source contradicts itself")
	// ErrRollback: a lineage without the coin that was its settled tip before.
	ErrRollback = errors.New("the chain source lost a settled generation")
	// ErrSourcesDisagree: several sources, and too few say the same.
	ErrSourcesDisagree = errors.New("the chain sources disagree")
	// ErrStaleSource: the source's newest block is too old, or from the future.
	ErrStaleSource = errors.New("the chain source is not at the present")
	// ErrWrongNetwork: the source is on another network.
	ErrWrongNetwork = errors.New("the chain source is on another network")
)

// What the chain says about a store.
var (
	// ErrStoreNotFound: no coin has the store's id. It may be a store that no chain knows.
	ErrStoreNotFound = errors.New("no such store on the chain")
	// ErrNotMinted: the launcher coin is there, and not spent: the store does not exist yet.
	ErrNotMinted = errors.New("the store is not minted yet")
	// ErrNotDataStore: the coin launched something else: an NFT, an identity, a store of another kind.
	ErrNotDataStore = errors.New("not a data store")
	// ErrMelted: the store was destroyed. The error is a [*MeltedError].
	ErrMelted = errors.New("the store was melted")
	// ErrUpdaterChanged: the program that guards the metadata was replaced, so what follows is not known.
	ErrUpdaterChanged = errors.New("the store's metadata updater was changed")
	// ErrInvalidSpend: a spend that the network cannot have accepted.
	ErrInvalidSpend = errors.New("not a valid spend of a store coin")
	// ErrUnsupportedOp: a program needs an operator that is not built in.
	ErrUnsupportedOp = errors.New("a program uses an operator that is not built in")
	// ErrUnresolvable: what such a program did could not be found by searching either.
	ErrUnresolvable = errors.New("the spend cannot be read")
	// ErrNotAnchored: the root is not the store's newest, or was never one of its roots.
	ErrNotAnchored = errors.New("the chain does not confirm the root")
	// ErrWritersUnknown: the chain does not show who may write.
	ErrWritersUnknown = errors.New("it is not known who may write")
	// ErrOldBlock: the block is on the chain, and too old for what it is to show.
	ErrOldBlock = errors.New("the block is too old")
	// ErrShallow: what was asked for is on the chain, but not deep enough to be settled.
	ErrShallow = errors.New("not settled on the chain yet")
)

// A MeltedError is [ErrMelted] with what the store was last.
type MeltedError struct {
	Last   *State
	Height uint32 // of the block that melted it; 0 when not known
}

// Error implements error.
func (e *MeltedError) Error() string {
	if e.Height == 0 {
		return fmt.Sprintf("store %v: %v; its last root was %v", e.Last.Store, ErrMelted, e.Last.Root())
	}
	return fmt.Sprintf("store %v: %v at height %d; its last root was %v", e.Last.Store, ErrMelted, e.Height, e.Last.Root())
}

// Is reports whether target is ErrMelted.
func (e *MeltedError) Is(target error) bool { return target == ErrMelted }
