package chain

import (
	"errors"
	"fmt"
)

// Errors of requests to a source. The first two are errors of the network; all other errors of
// this package are failed checks.
var (
	// ErrUnavailable: no answer, or the source is not synchronized yet. The caller can retry
	// later.
	ErrUnavailable = errors.New("chain source unavailable")
	// ErrRateLimited: the source refuses because of too many requests.
	ErrRateLimited = errors.New("too many requests to the chain source")
	// ErrMalformed: the answer does not have the form that the request needs.
	ErrMalformed = errors.New("malformed answer of the chain source")
	// ErrTooLarge: an answer, a program or a lineage exceeds a limit, which the error states.
	ErrTooLarge = errors.New("limit exceeded")
)

// Errors about a source that cannot be trusted.
var (
	// ErrSourceInvalid: an answer contradicts a hash or another answer.
	ErrSourceInvalid = errors.New("invalid answer of the chain source")
	// ErrRollback: the lineage does not have the coin that was its settled tip before.
	ErrRollback = errors.New("the chain source lost a settled generation")
	// ErrSourcesDisagree: too few of several sources give the same answer.
	ErrSourcesDisagree = errors.New("the chain sources disagree")
	// ErrStaleSource: the source's newest block is too old, or from the future.
	ErrStaleSource = errors.New("the chain source is not current")
	// ErrWrongNetwork: the source is on another network.
	ErrWrongNetwork = errors.New("the chain source is on another network")
)

// Errors about a store on the chain.
var (
	// ErrStoreNotFound: no coin has the store's id. The store may exist without a coin.
	ErrStoreNotFound = errors.New("no such store on the chain")
	// ErrNotMinted: the launcher coin is not spent yet, so the store has no first coin.
	ErrNotMinted = errors.New("the store is not minted yet")
	// ErrNotDataStore: the coin launched something else: an NFT, an identity, a store of another
	// kind.
	ErrNotDataStore = errors.New("not a data store")
	// ErrMelted: the store was destroyed. The error is a [*MeltedError].
	ErrMelted = errors.New("the store was melted")
	// ErrUpdaterChanged: the program that updates the metadata was replaced, so later states
	// are not known.
	ErrUpdaterChanged = errors.New("the store's metadata updater was changed")
	// ErrInvalidSpend: the network cannot have accepted the spend.
	ErrInvalidSpend = errors.New("not a valid spend of a store coin")
	// ErrUnsupportedOp: a program uses an operator that package internal/clvm does not have.
	ErrUnsupportedOp = errors.New("unsupported operator in a program")
	// ErrUnresolvable: the effect of such a program was not found by a search either.
	ErrUnresolvable = errors.New("effect of the spend not found")
	// ErrNotAnchored: the root is not the store's newest, or was never one of its roots.
	ErrNotAnchored = errors.New("the chain does not confirm the root")
	// ErrWritersUnknown: the chain does not show which keys may write.
	ErrWritersUnknown = errors.New("writers of the store not known")
	// ErrOldBlock: the block is on the chain and older than the window.
	ErrOldBlock = errors.New("the block is too old")
	// ErrShallow: the generation is on the chain, but not deep enough.
	ErrShallow = errors.New("not settled on the chain yet")
)

// A MeltedError is [ErrMelted] with the last state of the store.
type MeltedError struct {
	Last   *State
	Height uint32 // of the block that melted it; 0 if unknown
}

// Error implements error.
func (e *MeltedError) Error() string {
	if e.Height == 0 {
		return fmt.Sprintf("store %v: %v; its last root was %v", e.Last.Store, ErrMelted, e.Last.Root())
	}
	return fmt.Sprintf("store %v: %v at height %d; its last root was %v",
		e.Last.Store, ErrMelted, e.Height, e.Last.Root())
}

// Is reports whether target is ErrMelted.
func (e *MeltedError) Is(target error) bool { return target == ErrMelted }
