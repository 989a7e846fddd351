package tier

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier/internal/state"
)

// Errors of a Tiers. A missing object is fs.ErrNotExist, a revoked generation auth.ErrRevoked.
var (
	// ErrUnavailable: the node should hold the capsule, and cannot read it now.
	ErrUnavailable = storage.ErrUnavailable
	// ErrCorrupt: every copy that the node holds of a capsule is damaged. Errors that match it also
	// match ErrUnavailable.
	ErrCorrupt = errors.New("stored capsule is damaged")
	// ErrNoSpace: the storage, or every volume, is full or would be filled into its reserve.
	ErrNoSpace = storage.ErrNoSpace
	// ErrMaxPlots: there are as many plots as Settings.MaxPlots permits. Errors that match it also
	// match ErrNoSpace.
	ErrMaxPlots = errors.New("the largest number of plots is reached")
	// ErrState: the state file is damaged.
	ErrState = state.ErrDamaged
	// ErrRunning: Run is called a second time.
	ErrRunning = errors.New("is running")
)

// unavailableError is the error of held content that cannot be read. It does not match
// fs.ErrNotExist, even if its cause does.
type unavailableError struct {
	what  string
	cause error
	also  error // nil, or a sentinel
}

func (e *unavailableError) Error() string {
	return fmt.Sprintf("%s cannot be read: %v", e.what, e.cause)
}

func (e *unavailableError) Is(target error) bool {
	return target == ErrUnavailable || e.also != nil && target == e.also
}
