// Package sigdir keeps the signatures of roots in the directory sigs of a store (LAYOUT.md 8.1).
package sigdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// SubDir is the directory of the signatures, below that of the store.
const SubDir = "sigs"

// A Dir is the directory of the signatures. Write needs the lock of the store.
type Dir struct {
	fs    diskfs.FS
	path  string
	store auth.StoreID
}

// New returns the signatures of a store, whose directory is dir.
func New(fsys diskfs.FS, dir string, store auth.StoreID) *Dir {
	return &Dir{fsys, filepath.Join(dir, SubDir), store}
}

// A File is the file of one signature.
type File struct {
	Path  string
	Bytes []byte
}

// Path returns the path of the tagged or the untagged signature of a root.
func (d *Dir) Path(root merkle.Hash, tagged bool) string {
	ext := ".untagged.sig"
	if tagged {
		ext = ".sig"
	}
	return filepath.Join(d.path, root.String()+ext)
}

// Files returns the files for the non-zero signatures of r. It writes nothing.
func (d *Dir) Files(r auth.SignedRoot) []File {
	var list []File
	if !r.Tagged.IsZero() {
		list = append(list, File{d.Path(r.Root, true), r.Tagged[:]})
	}
	if !r.Untagged.IsZero() {
		list = append(list, File{d.Path(r.Root, false), r.Untagged[:]})
	}
	return list
}

// Write stores the non-zero signatures of r, durably.
func (d *Dir) Write(r auth.SignedRoot) error {
	if err := diskfs.MkdirAll(d.fs, d.path, 0o755); err != nil {
		return fmt.Errorf("keep signatures: %w", err)
	}
	for _, f := range d.Files(r) {
		if err := diskfs.WriteFile(d.fs, f.Path, f.Bytes, 0o644); err != nil {
			return fmt.Errorf("keep signatures: %w", err)
		}
	}
	return nil
}

// Read returns the signatures of a root. A missing signature is zero, and so is the key.
func (d *Dir) Read(root merkle.Hash) (r auth.SignedRoot, err error) {
	r = auth.SignedRoot{Store: d.store, Root: root}
	for _, f := range []struct {
		tagged bool
		to     *auth.Signature
	}{{true, &r.Tagged}, {false, &r.Untagged}} {
		name := d.Path(root, f.tagged)
		b, err := smallfile.Read(d.fs, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("read signature: %w", err)
		}
		if len(b) != len(f.to) {
			return r, damage.In(name, "%d bytes, want %d", len(b), len(f.to))
		}
		copy(f.to[:], b)
	}
	return r, nil
}
