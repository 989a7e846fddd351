// Package pinfile reads and writes pins.json: the pins of a store, and whether its history has
// proofs (LAYOUT.md 4.6).
package pinfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A File is pins.json in the directory of a store. Methods that write need the lock of the store.
type File struct {
	fs   diskfs.FS
	path string
}

// New returns pins.json in the directory of a store. It need not exist.
func New(fsys diskfs.FS, dir string) *File { return &File{fsys, filepath.Join(dir, "pins.json")} }

// content is the JSON object. Keys and roots are in hex, "" for none.
type content struct {
	Publisher  string `json:"publisher"`
	Root       string `json:"root"`
	Generation uint64 `json:"generation"`
	Proven     bool   `json:"proven,omitempty"` // roots.proof has been written
}

func (f *File) read() (c content, err error) {
	text, err := smallfile.Read(f.fs, f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read pins: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, damage.In(f.path, "%v", err)
	}
	return c, nil
}

func (f *File) write(c content) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return diskfs.WriteFile(f.fs, f.path, append(text, '\n'), 0o644)
}

// Proven reports whether roots.proof has been written.
func (f *File) Proven() (bool, error) {
	c, err := f.read()
	return c.Proven, err
}

// SetProven records, durably, that roots.proof has been written.
func (f *File) SetProven() error {
	c, err := f.read()
	if err != nil || c.Proven {
		return err
	}
	c.Proven = true
	return f.write(c)
}

// Read returns the pins, or the zero Pins if there is no file.
func (f *File) Read() (p module.Pins, err error) {
	c, err := f.read()
	if err != nil {
		return p, err
	}
	if c.Publisher != "" {
		if p.Publisher, err = auth.ParsePublicKey(c.Publisher); err != nil {
			return p, damage.In(f.path, "publisher: %v", err)
		}
	}
	if c.Root != "" {
		if p.Root, err = merkle.ParseHash(c.Root); err != nil {
			return p, damage.In(f.path, "root: %v", err)
		}
	}
	p.Generation = c.Generation
	return p, nil
}

// Write replaces the pins, durably.
func (f *File) Write(p module.Pins) error {
	old, err := f.read()
	if err != nil {
		return err
	}
	c := content{Generation: p.Generation, Proven: old.Proven}
	if !p.Publisher.IsZero() {
		c.Publisher = p.Publisher.String()
	}
	if !p.Root.IsZero() {
		c.Root = p.Root.String()
	}
	return f.write(c)
}
