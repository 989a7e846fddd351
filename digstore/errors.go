package digstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/keydir"
	"github.com/dig-network/digstore/digstore/internal/staging"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/secretfile"
)

var (
	// ErrNoWorkspace says that there is no .dig directory to work on.
	ErrNoWorkspace = errors.New("no workspace")
	// ErrOldLayout says that .dig has the oldest layout of the reference implementation; see
	// Migrate.
	ErrOldLayout = errors.New("workspace in the oldest layout, with one store in .dig itself")
	// ErrIrregular says that a path of the workspace is a link or a special file instead of a file
	// or a folder.
	ErrIrregular = diskfs.ErrIrregular
	// ErrNothingStaged says that there was nothing to commit.
	ErrNothingStaged = errors.New("nothing staged")
	// ErrUnchanged says that the content of a commit is that of the head.
	ErrUnchanged = errors.New("nothing changed")
	// ErrNoKey says that the store has no publisher key here.
	ErrNoKey = keydir.ErrNoKey
	// ErrLocked is matched by a *LockedError: another writer did not release the lock in time.
	ErrLocked = diskfs.ErrLocked
	// ErrCorrupt says that a file of the workspace is damaged.
	ErrCorrupt = module.ErrDamaged
	// ErrStaging says that the staging file is damaged. Store.Unstage without names empties it. It
	// matches ErrCorrupt too.
	ErrStaging = staging.ErrDamaged
	// ErrRemoved says that the store was removed while it was in use. Opening it again is
	// fs.ErrNotExist.
	ErrRemoved = module.ErrRemoved
)

// A LockedError names the lock that is held and, if known, the process that holds it. It matches
// ErrLocked.
type LockedError = diskfs.LockedError

// An AccessError says that other users can read a secret file of the workspace, or can replace
// files in one of its folders.
type AccessError = secretfile.AccessError

// A ContentRootError says that the content root of a store lies outside of the folder of its
// workspace, or below a folder of settings such as .git. Nothing was read there. See
// Workspace.AllowContentRoot.
type ContentRootError struct {
	Store       string // the store's name
	ContentRoot string // absolute, links resolved
	Workspace   string // the folder that holds .dig, absolute, links resolved
	Never       bool   // AllowContentRoot does not change it
}

// Error implements error.
func (e *ContentRootError) Error() string {
	if e.Never {
		return fmt.Sprintf("content root of store %s: %s holds settings or keys, which are not published",
			e.Store, e.ContentRoot)
	}
	return fmt.Sprintf("content root of store %s: %s lies outside of the workspace's folder %s",
		e.Store, e.ContentRoot, e.Workspace)
}

// A RecurringRootError says that the history already has the root of a commit. It matches
// ErrUnchanged only if that is the root of the head.
type RecurringRootError struct {
	Earlier module.Generation // the generation with this root
	Head    uint64            // number of the head
}

// Error implements error.
func (e *RecurringRootError) Error() string {
	if e.Earlier.Number == e.Head {
		return fmt.Sprintf("commit: nothing changed since generation %d (root %s)",
			e.Earlier.Number, e.Earlier.Root)
	}
	return fmt.Sprintf(
		"commit: the content is that of generation %d (root %s), and its signature says nothing "+
			"about when: "+
			"a new generation needs a root of its own", e.Earlier.Number, e.Earlier.Root)
}

// Is reports whether target is ErrUnchanged and the root is the head's.
func (e *RecurringRootError) Is(target error) bool {
	return target == ErrUnchanged && e.Earlier.Number == e.Head
}

// A TooLargeError says that content exceeds the limit of the store. It matches module.ErrTooLarge.
type TooLargeError struct {
	Size, Max int64 // bytes of plaintext
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf(
		"commit: %d bytes of content, the store's cap is %d (max_size in config.toml, init --max-size)",
		e.Size, e.Max)
}

// Is reports whether target is module.ErrTooLarge.
func (e *TooLargeError) Is(target error) bool { return target == module.ErrTooLarge }

// A ChangingError says that files changed each time they were read, so that their content at one
// moment could not be read.
type ChangingError struct {
	Names []string // resource keys, sorted
}

// Error implements error.
func (e *ChangingError) Error() string {
	const shown = 3
	text := fmt.Sprintf("%.200q changed while it was read", e.Names[0])
	if len(e.Names) > 1 {
		text = fmt.Sprintf("%d files changed while they were read: %.200q", len(e.Names),
			e.Names[:min(shown, len(e.Names))])
	}
	return text
}

// An UnnamedError says that names are missing that a checkout or a listing needs. A generation has
// only hashes of names.
type UnnamedError struct {
	Missing, Total int // resources without a name, resources altogether
	// Damage is the error of files of names of this store that could not be read; nil: none.
	Damage error
}

// Error implements error.
func (e *UnnamedError) Error() string {
	text :=
		fmt.Sprintf("%d of %d resources have no known name: ask the publisher for a list (urn --all)",
			e.Missing, e.Total)
	if e.Damage != nil {
		text += fmt.Sprintf("; names that were kept here cannot be read: %v", e.Damage)
	}
	return text
}

// Unwrap returns Damage.
func (e *UnnamedError) Unwrap() error { return e.Damage }

// A KeyNameError says that a resource key cannot be a file name below a directory.
type KeyNameError struct {
	Key, Why string
}

// Error implements error.
func (e *KeyNameError) Error() string {
	return fmt.Sprintf("resource key %.200q cannot be a file: %s", e.Key, e.Why)
}

// An UnsafeNamesError lists resources that cannot all be files in one directory tree. It wraps a
// *KeyNameError for each.
type UnsafeNamesError struct {
	Names []KeyNameError // sorted by key
}

// Error implements error. It names the first ones.
func (e *UnsafeNamesError) Error() string {
	const most = 5
	var b strings.Builder
	for i := range min(len(e.Names), most) {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Names[i].Error())
	}
	if more := len(e.Names) - most; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// Unwrap returns the errors of the names.
func (e *UnsafeNamesError) Unwrap() []error {
	list := make([]error, len(e.Names))
	for i := range e.Names {
		list[i] = &e.Names[i]
	}
	return list
}

// corrupt makes an error that matches ErrCorrupt.
func corrupt(name, format string, a ...any) error {
	return fmt.Errorf("%s: %w: %s", name, ErrCorrupt, fmt.Sprintf(format, a...))
}
