package digstore

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

var (
	// ErrNoWorkspace says that there is no .dig directory to work on.
	ErrNoWorkspace = errors.New("no workspace")
	// ErrNothingStaged says that a commit had nothing to commit.
	ErrNothingStaged = errors.New("nothing staged")
	// ErrUnchanged says that a commit would have made the generation that is the head already.
	ErrUnchanged = errors.New("nothing changed")
	// ErrNoKey says that the store's publisher key is not here.
	ErrNoKey = errors.New("no publisher key")
	// ErrLocked is matched by the error of a writer that waited in vain for another one, a *LockedError.
	ErrLocked = diskfs.ErrLocked
	// ErrCorrupt says that a file of the workspace is not what it has to be.
	ErrCorrupt = errors.New("damaged file")
	// ErrRevoked says that a tombstone forbids what was asked for.
	ErrRevoked = errors.New("revoked by its publisher")
)

// A LockedError says which lock is held, and by which process where that is known. It matches ErrLocked.
type LockedError = diskfs.LockedError

// A RecurringRootError refuses a commit whose root stands in the history already (decision 35). It matches ErrUnchanged
// only when that is the head.
type RecurringRootError struct {
	Earlier module.Generation // where the root stands
	Head    uint64            // number of the head
}

// Error implements error.
func (e *RecurringRootError) Error() string {
	if e.Earlier.Number == e.Head {
		return fmt.Sprintf("commit: nothing changed since generation %d (root %s)", e.Earlier.Number, e.Earlier.Root)
	}
	return fmt.Sprintf("commit: the content is that of generation %d (root %s), and a signed root says nothing about when: "+
		"commit again with Again to give it a root of its own", e.Earlier.Number, e.Earlier.Root)
}

// Is reports whether target is ErrUnchanged and the root is the head's.
func (e *RecurringRootError) Is(target error) bool {
	return target == ErrUnchanged && e.Earlier.Number == e.Head
}

// A TooLargeError says that content is over the store's cap (decision 44). It matches module.ErrTooLarge.
type TooLargeError struct {
	Size, Max int64 // bytes of plaintext
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("commit: %d bytes of content, the store's cap is %d (max_size in config.toml, init --max-size)", e.Size, e.Max)
}

// Is reports whether target is module.ErrTooLarge.
func (e *TooLargeError) Is(target error) bool { return target == module.ErrTooLarge }

// An UnnamedError says that a checkout or listing lacks names: a generation holds only hashes of them.
type UnnamedError struct {
	Missing, Total int // resources without a name, resources altogether
}

// Error implements error.
func (e *UnnamedError) Error() string {
	return fmt.Sprintf("%d of %d resources have no known name: ask the publisher for a list (urn --all)", e.Missing, e.Total)
}

// A KeyNameError says that a resource key cannot become a file below a directory (store-format 8.1).
type KeyNameError struct {
	Key, Why string
}

// Error implements error.
func (e *KeyNameError) Error() string {
	return fmt.Sprintf("resource key %.200q cannot be a file: %s", e.Key, e.Why)
}

// corrupt makes an error that matches ErrCorrupt.
func corrupt(name, format string, a ...any) error {
	return fmt.Errorf("%s: %w: %s", name, ErrCorrupt, fmt.Sprintf(format, a...))
}
