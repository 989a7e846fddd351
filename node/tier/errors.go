package tier

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier/internal/state"
)

// Errors of a Tiers. Absence is fs.ErrNotExist, a revoked generation auth.ErrRevoked.
var (
	// ErrUnavailable: the node should hold the capsule, and cannot read it at present.
	ErrUnavailable = storage.ErrUnavailable
	// ErrCorrupt: every copy that the node holds of a capsule is damaged. It comes with
	// ErrUnavailable.
	ErrCorrupt = errors.New("stored capsule is damaged")
	// ErrNoSpace: the storage, or every volume, is full or would be filled into its reserve.
	ErrNoSpace = storage.ErrNoSpace
	// ErrMaxPlots: there are as many plots as Settings.MaxPlots permits. It comes with
	// ErrNoSpace.
	ErrMaxPlots = errors.New("the largest number of plots is reached")
	// ErrState: the state file is damaged.
	ErrState = state.ErrDamaged
	// ErrRunning: Run is called a second time.
	ErrRunning = errors.New("is running")
)

// unavailableError says why something that should be held cannot be read. It hides that the cause
// is an absence.
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
