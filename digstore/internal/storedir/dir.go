// Package storedir is the directory of one store: its files, the lock of its writers, and the order
// in which files are written and removed. After a crash the store has its old or its new state
// (LAYOUT.md 12). Each kind of file has a package of its own; a Dir has a value of each.
//
// Readers take no lock. Methods that need the lock of the store say so: the caller must hold the
// result of [Dir.Lock], [Dir.LockSwept] or [Dir.LockHead].
package storedir

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/legacy"
	"github.com/dig-network/digstore/digstore/internal/namedir"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/pending"
	"github.com/dig-network/digstore/digstore/internal/pinfile"
	"github.com/dig-network/digstore/digstore/internal/publishing"
	"github.com/dig-network/digstore/digstore/internal/recipedir"
	"github.com/dig-network/digstore/digstore/internal/sigdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

const (
	packsDir   = "packs"
	commitPack = "commit.tmp" // in packsDir
	lockFile   = "lock"
	// RemovedMark is a file that marks a store as being removed. Writers check for it.
	RemovedMark = "removed"
)

// Options are what a Dir needs from its workspace. All fields are required.
type Options struct {
	FS    diskfs.FS
	Path  string // the directory
	Name  string // of the store in its workspace, for errors
	Store auth.StoreID
	// Now is the clock that stamps generations.
	Now func() time.Time
	// Rand is the source of the names of transfers.
	Rand io.Reader
	// Lock waits for the lock file at a path.
	Lock func(ctx context.Context, path string) (io.Closer, error)
	// CheckAccess returns an error if other users may write to the directory.
	CheckAccess func(dir string) error
}

// A Dir is the directory of one store. It may be used by several goroutines. Its fields must not be
// changed.
type Dir struct {
	Options
	Packs      *packdir.Dir
	Log        *history.Log
	Recipes    *recipedir.Dir
	Signatures *sigdir.Dir
	Pins       *pinfile.File
	Pending    *pending.Dir
	Names      *namedir.Dir
	Legacy     *legacy.Dir

	publishing *publishing.File

	mu sync.Mutex
	// last is the record of the last writer, or of this one. It is changed under both the lock of
	// the store and mu.
	last publishing.Record
	// upTo is the serial number of the last writer whose packs and recipes may be cached.
	upTo uint64
}

// New returns the directory of a store. It reads nothing.
func New(o Options) *Dir {
	d := &Dir{
		Options:    o,
		Recipes:    recipedir.New(o.FS, o.Path),
		Signatures: sigdir.New(o.FS, o.Path, o.Store),
		Pins:       pinfile.New(o.FS, o.Path),
		Pending:    pending.New(o.FS, o.Path),
		Names:      namedir.New(o.FS, o.Path),
		Legacy:     legacy.New(o.FS, o.Path, o.Store, o.Now),
		publishing: publishing.New(o.FS, o.Path),
	}
	d.Log = history.New(o.FS, o.Path,
		&history.Options{MustProve: d.Pins.Proven, Proven: d.Pins.SetProven})
	d.Packs = packdir.New(o.FS, filepath.Join(o.Path, packsDir),
		&packdir.Options{Fallback: d.Legacy.Chunk, Reloaded: d.Legacy.Forget, Now: o.Now})
	return d
}

// Make makes the directories of a new store.
func Make(fsys diskfs.FS, path string) error {
	for _, sub := range []string{"", packsDir, recipedir.SubDir, sigdir.SubDir} {
		if err := diskfs.MkdirAll(fsys, filepath.Join(path, sub), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// CreatePack begins the pack of a commit. It needs the lock of the store.
func (d *Dir) CreatePack() (*packdir.Writer, error) {
	dir := filepath.Join(d.Path, packsDir) // a workspace of the reference implementation has none
	if err := diskfs.MkdirAll(d.FS, dir, 0o755); err != nil {
		return nil, err
	}
	return packdir.Create(d.FS, filepath.Join(dir, commitPack))
}

// Incoming returns the directory of the transfers into the store.
func (d *Dir) Incoming() string { return filepath.Join(d.Path, incoming.Dir) }

// Receive begins a transfer that is not resumed.
func (d *Dir) Receive(ctx context.Context) (*incoming.Transfer, error) {
	return incoming.New(ctx, d.FS, d.Path, d.Packs, d.Rand)
}

// NextLine returns the line of a new head after h.
func (d *Dir) NextLine(h *history.History, root merkle.Hash) module.Generation {
	return module.Generation{Number: h.Len(), Root: root, Time: time.Unix(d.Now().Unix(), 0).UTC()}
}

// CheckPool returns an error unless every chunk of a recipe is in the packs or was received. A gc
// may have run during the transfer. It needs the lock of the store.
func (d *Dir) CheckPool(recipe *module.Recipe, received func(id merkle.Hash) bool) error {
	for _, c := range recipe.Pool() {
		if received(c.ID) {
			continue
		}
		had, err := d.Packs.Has(c.ID)
		if err != nil {
			return err
		}
		if !had {
			return fmt.Errorf("a gc removed a chunk during the transfer, which can be repeated: %w",
				packdir.Missing(c))
		}
	}
	return nil
}

// Partial returns the directory of a module that is being pulled.
func (d *Dir) Partial(root merkle.Hash) string { return filepath.Join(d.Incoming(), root.String()) }

// PartialChunks returns the directory of a recipe and chunks that are being pulled.
func (d *Dir) PartialChunks(root merkle.Hash) string {
	return d.Partial(root) + incoming.ChunksExt
}
