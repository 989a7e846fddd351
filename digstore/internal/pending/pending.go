// Package pending keeps generations that wait to be made the head, in the directory pending of a
// store (LAYOUT.md 10.3). Each has a recipe without a base, a pack outside of the index, and a JSON
// file, which is written last. So no other generation depends on a pending one.
package pending

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// SubDir is the directory of the pending generations, below that of the store.
const SubDir = "pending"

// infoExt ends the name of the JSON file.
const infoExt = ".json"

// Info is the JSON file: the metadata of a pending generation. Signatures that are unknown are
// zero.
type Info struct {
	Parent    merkle.Hash    `json:"parent"`
	Time      int64          `json:"time"` // Unix seconds
	PublicKey auth.PublicKey `json:"public_key"`
	Tagged    auth.Signature `json:"tagged"`
	Untagged  auth.Signature `json:"untagged"`
}

// A Dir is the directory of the pending generations. Keep, Drop, Sweep and TakeBack need the lock
// of the store.
type Dir struct {
	fs   diskfs.FS
	path string
}

// New returns the pending generations of the store in the directory dir.
func New(fsys diskfs.FS, dir string) *Dir { return &Dir{fsys, filepath.Join(dir, SubDir)} }

func (d *Dir) name(root merkle.Hash, ext string) string {
	return filepath.Join(d.path, root.String()+ext)
}

// Pack returns the path of the pack of a pending generation. It need not exist.
func (d *Dir) Pack(root merkle.Hash) string { return d.name(root, packdir.Ext) }

// Keep stores what was received. If the generation is pending already, Keep replaces its Info.
func (d *Dir) Keep(in *incoming.Transfer, recipe *module.Recipe, info Info) error {
	root := recipe.Root()
	if _, err := d.fs.Stat(d.name(root, infoExt)); err == nil {
		return d.write(root, info)
	}
	if err := diskfs.MkdirAll(d.fs, d.path, 0o755); err != nil {
		return err
	}
	pack, err := in.Packed()
	if err != nil {
		return err
	}
	if pack != "" {
		if err := d.fs.Rename(pack, d.Pack(root)); err != nil {
			return err
		}
	}
	body, err := recipefile.NewBody(recipe, nil)
	if err != nil {
		return err
	}
	b, err := recipefile.Encode(body.Bytes, nil)
	if err != nil {
		return err
	}
	if err := diskfs.WriteFile(d.fs, d.name(root, recipefile.Ext), b, 0o644); err != nil {
		return err
	}
	return d.write(root, info)
}

func (d *Dir) write(root merkle.Hash, info Info) error {
	text, err := json.Marshal(info)
	if err != nil {
		return err
	}
	return diskfs.WriteFile(d.fs, d.name(root, infoExt), text, 0o644)
}

// Info returns the metadata of a generation. The error is fs.ErrNotExist if the generation is not
// pending.
func (d *Dir) Info(root merkle.Hash) (i Info, err error) {
	name := d.name(root, infoExt)
	text, err := smallfile.Read(d.fs, name)
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, damage.In(name, "%v", err)
	}
	return i, nil
}

// Roots returns the roots of the pending generations.
func (d *Dir) Roots() ([]merkle.Hash, error) {
	list, err := d.fs.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pending generations: %w", err)
	}
	var roots []merkle.Hash
	for _, e := range list {
		if text, ok := strings.CutSuffix(e.Name(), infoExt); ok {
			if root, err := merkle.ParseHash(text); err == nil {
				roots = append(roots, root)
			}
		}
	}
	return roots, nil
}

// Recipe returns the recipe of a pending generation. parse decodes its file; it is given the name
// of the file for errors.
func (d *Dir) Recipe(root merkle.Hash,
	parse func(name string, b []byte) (*module.Recipe, error)) (*module.Recipe, error) {
	name := d.name(root, recipefile.Ext)
	b, err := diskfs.ReadFile(d.fs, name, recipefile.MaxBody)
	if err != nil {
		return nil, err
	}
	return parse(name, b)
}

// Drop removes a pending generation, its JSON file first. It is no error if the generation is not
// pending.
func (d *Dir) Drop(root merkle.Hash) error {
	for _, ext := range []string{infoExt, recipefile.Ext, packdir.Ext} {
		if err := d.fs.Remove(d.name(root, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop %s: %w", root, err)
		}
		if ext == infoExt {
			if err := d.fs.SyncDir(d.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("drop %s: %w", root, err)
			}
		}
	}
	return nil
}

// Sweep removes files that a crash has left: those without a JSON file, and those of roots for
// which done is true. It calls stays for each generation that remains.
func (d *Dir) Sweep(done func(root merkle.Hash) (bool, error),
	stays func(root merkle.Hash) error) error {
	list, err := d.fs.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", d.path, err)
	}
	there := map[string]bool{}
	for _, e := range list {
		there[e.Name()] = true
	}
	for name := range there {
		text, ext, _ := strings.Cut(name, ".")
		root, err := merkle.ParseHash(text)
		if err != nil {
			continue
		}
		gone, err := done(root)
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		switch {
		case gone || !there[text+infoExt]:
			err = d.fs.Remove(filepath.Join(d.path, name))
		case "."+ext == infoExt:
			err = stays(root)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}

// TakeBack moves a pack back to the generation that it was taken from. found is false if there is
// no file at that path.
func (d *Dir) TakeBack(root merkle.Hash, pack string) (found bool, err error) {
	err = d.fs.Rename(pack, d.Pack(root))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = d.fs.SyncDir(d.path)
	}
	return true, err
}
