package packdir

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

const (
	// IndexExt ends the names of files with merged indexes.
	IndexExt = ".idx"
	// IndexTemp is the name of an index file while it is written.
	IndexTemp = "run.tmp"

	// mergeAt is the number of indexes of similar size at which they are merged.
	mergeAt = 8
)

// index is the index of a pack, or a merged one from a file.
type index struct {
	*pack.Index
	file string // name of the index file; "" for that of a pack
}

// tier is the order of magnitude of the number of chunks, to the base 8.
func (x *index) tier() int { return bits.Len(uint(x.Len())) / 3 }

// load reads the indexes if they are not in memory. The caller holds mu.
func (d *Dir) load() error {
	if d.loaded {
		return nil
	}
	list, err := d.fs.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list packs: %w", err)
	}
	packs := map[string]bool{} // true: an index covers it
	for _, e := range list {
		if strings.HasSuffix(e.Name(), Ext) {
			packs[e.Name()] = false
		}
	}
	indexes, stale, err := d.readMerged(list, packs)
	if err != nil {
		return err
	}
	for _, e := range list {
		if covered, ok := packs[e.Name()]; !ok || covered {
			continue
		}
		x, err := d.ReadIndex(e.Name())
		if errors.Is(err, fs.ErrNotExist) { // gc has just removed it
			continue
		}
		if err != nil {
			return err
		}
		indexes = append(indexes, &index{Index: x})
	}
	d.indexes, d.stale, d.loaded = indexes, stale, true
	return nil
}

// readMerged reads the index files in list and marks the packs that they cover. A file that is
// damaged, or does not match the packs, is stale.
func (d *Dir) readMerged(list []fs.DirEntry, packs map[string]bool) (found []*index, stale []string,
	err error) {
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), IndexExt) {
			continue
		}
		x, err := d.readMergedFile(e.Name())
		if err != nil && !errors.Is(err, module.ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("read index: %w", err)
		}
		if err != nil || !usable(x.Index, packs) {
			stale = append(stale, e.Name())
			continue
		}
		for _, name := range x.Packs() {
			packs[name] = true
		}
		found = append(found, x)
	}
	return found, stale, nil
}

func (d *Dir) readMergedFile(file string) (*index, error) {
	b, err := diskfs.ReadFile(d.fs, filepath.Join(d.path, file), 1<<32)
	if err != nil {
		return nil, err
	}
	x, err := pack.ParseMerged(b)
	if err != nil {
		return nil, err
	}
	return &index{x, file}, nil
}

// usable reports whether all packs of an index exist and no other index covers one of them.
func usable(x *pack.Index, packs map[string]bool) bool {
	for _, name := range x.Packs() {
		if covered, ok := packs[name]; !ok || covered {
			return false
		}
	}
	return true
}

// DropIndex removes the index files that cover any of packs.
func (d *Dir) DropIndex(packs []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.load(); err != nil {
		return err
	}
	drop := d.stale
	dead := func(name string) bool { return slices.Contains(packs, name) }
	for _, x := range d.indexes {
		if x.file != "" && slices.ContainsFunc(x.Packs(), dead) {
			drop = append(drop, x.file)
		}
	}
	d.loaded, d.indexes, d.stale = false, nil, nil
	for _, file := range drop {
		err := d.fs.Remove(filepath.Join(d.path, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove index: %w", err)
		}
	}
	return nil
}

// Tidy merges indexes if there are many of similar size, and removes stale index files. It ignores
// errors: an index file can be rebuilt from the packs.
func (d *Dir) Tidy() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.load() != nil {
		return
	}
	for _, file := range d.stale {
		_ = d.fs.Remove(filepath.Join(d.path, file))
	}
	d.stale = nil
	for d.mergeOnce() {
	}
}

// mergeOnce merges the indexes of one tier, and reports whether it did. The caller holds mu.
func (d *Dir) mergeOnce() bool {
	tiers := map[int][]*index{}
	for _, x := range d.indexes {
		tiers[x.tier()] = append(tiers[x.tier()], x)
	}
	var merge []*index
	for _, list := range tiers {
		if len(list) >= mergeAt {
			merge = list
		}
	}
	if merge == nil {
		return false
	}
	parts := make([]*pack.Index, len(merge))
	for i, x := range merge {
		parts[i] = x.Index
	}
	merged := &index{Index: pack.Merge(parts)}
	merged.file = indexName(merged.Packs())
	temp := filepath.Join(d.path, IndexTemp)
	if diskfs.WriteNew(d.fs, temp, merged.Marshal(), 0o644, false) != nil {
		return false
	}
	if d.fs.Rename(temp, filepath.Join(d.path, merged.file)) != nil {
		return false
	}
	for _, x := range merge {
		if x.file != "" {
			_ = d.fs.Remove(filepath.Join(d.path, x.file))
		}
	}
	d.indexes = slices.DeleteFunc(d.indexes, func(x *index) bool { return slices.Contains(merge, x) })
	d.indexes = append(d.indexes, merged)
	return true
}

// indexName returns the name of the index file for packs.
func indexName(packs []string) string {
	h := fnv.New64a()
	for _, name := range packs {
		_, _ = io.WriteString(h, name)
	}
	return "run-" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, h.Sum64())) + IndexExt
}
