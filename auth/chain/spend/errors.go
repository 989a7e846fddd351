package spend

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

// Errors of coins and amounts.
var (
	// ErrNoCoins: the operation needs a coin, and none was given.
	ErrNoCoins = errors.New("no coins")
	// ErrInsufficientFunds: the coins do not cover the payment. The error is a [*FundsError].
	ErrInsufficientFunds = errors.New("insufficient funds")
	// ErrTooManyCoins: the coins cover the payment, but more of them are needed than the limit.
	// They have to be consolidated first.
	ErrTooManyCoins = errors.New("too many coins needed")
	// ErrAmount: an amount or a sum does not fit.
	ErrAmount = errors.New("amount out of range")
	// ErrNothingToDo: fewer than two coins to consolidate.
	ErrNothingToDo = errors.New("nothing to consolidate")
	// ErrAddress: an address is malformed.
	ErrAddress = errors.New("malformed address")
	// ErrWrongNetwork: an address is of another network.
	ErrWrongNetwork = errors.New("address of another network")
)

// Errors of roles.
var (
	// ErrWrongKey: the key is not the owner's, or not that of the coin that it has to spend.
	ErrWrongKey = errors.New("wrong key")
	// ErrNotDelegate: the key is no delegate of the store in that role.
	ErrNotDelegate = errors.New("not a delegate of the store in that role")
	// ErrNotPermitted: the role may not do this.
	ErrNotPermitted = errors.New("the role does not permit this")
	// ErrNoOracle: the store has no such oracle.
	ErrNoOracle = errors.New("the store has no such oracle")
	// ErrOddFee: an oracle's fee is odd, so that no store coin could be made with it.
	ErrOddFee = errors.New("the fee of an oracle is odd")
	// ErrEmptyDelegates: an admin would remove every delegate. Only the owner could spend the
	// store after that, and some programs could not spend it at all.
	ErrEmptyDelegates = errors.New("an admin would remove every delegate")
	// ErrDelegates: a list of delegates is over a limit or malformed.
	ErrDelegates = errors.New("invalid delegates")
	// ErrMetadata: metadata is over a limit or malformed.
	ErrMetadata = errors.New("invalid metadata")
	// ErrStore: a description of a store does not make the puzzle hash of its coin.
	ErrStore = errors.New("the store's description does not match its coin")
	// ErrConflict: the store has another root than the one that the change builds on.
	ErrConflict = errors.New("the store has another root")
	// ErrUnconfirmed: a store would be destroyed without a confirmation by its id.
	ErrUnconfirmed = errors.New("the confirmation is not the store's id")
)

// Errors of a plan and of its signatures.
var (
	// ErrInvalidBundle: the network would refuse the spends, or they do something else than what
	// was asked for.
	ErrInvalidBundle = errors.New("invalid bundle")
	// ErrFeeOverLimit: the fee or a payment is over its limit.
	ErrFeeOverLimit = errors.New("over the limit")
	// ErrMissingKey: a signature is needed by a key that is not there.
	ErrMissingKey = errors.New("missing key")
	// ErrSignature: the sum of the signatures is not valid for the messages.
	ErrSignature = errors.New("invalid signature of the bundle")
	// ErrChanged: a bundle has other spends than the plan. The error names the first difference.
	ErrChanged = errors.New("the bundle is not the planned one")
)

// A FundsError is [ErrInsufficientFunds] with the amounts.
type FundsError struct {
	Have, Need uint64      // in mojos, or in base units of the asset
	Asset      merkle.Hash // zero for XCH
}

// Error implements error.
func (e *FundsError) Error() string {
	unit := "mojos"
	if !e.Asset.IsZero() {
		unit = "units of asset " + e.Asset.String()
	}
	return fmt.Sprintf("%v: want %d %s, found %d", ErrInsufficientFunds, e.Need, unit, e.Have)
}

// Is reports whether target is ErrInsufficientFunds.
func (e *FundsError) Is(target error) bool { return target == ErrInsufficientFunds }

// invalid returns an error that wraps ErrInvalidBundle.
func invalid(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidBundle}, a...)...)
}
