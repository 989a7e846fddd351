package packdir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// compactTemp is the pack that Compact writes.
const compactTemp = "gc.tmp"

// source is a pack of which only some chunks are needed, and these chunks.
type source struct {
	name string
	need []pack.Entry // by offset
}

// A Compaction is the result of Compact.
type Compaction struct {
	Dead  []string // packs that are no longer needed; Compact does not remove them
	Freed int64    // bytes in Dead, less those of the new pack
}

// Compact finds the packs that have chunks other than live ones, and copies their live chunks to
// one new pack, durably. A chunk that is in several packs is kept once. progress may be nil; it is
// called with the bytes copied so far and the total. The caller then calls DropIndex and removes
// the packs in Dead.
func (d *Dir) Compact(ctx context.Context, live map[merkle.Hash]bool,
	progress func(done, total int64)) (c Compaction, err error) {
	wanted := maps.Clone(live)
	names, err := d.Names()
	if err != nil {
		return c, err
	}
	var sources []source
	for _, name := range names {
		x, err := d.ReadIndex(name)
		if err != nil {
			return c, err
		}
		var need []pack.Entry
		for e := range x.Entries() {
			if wanted[e.ID] {
				need = append(need, e)
			}
		}
		for _, e := range need {
			delete(wanted, e.ID) // another copy is not needed
		}
		if len(need) == x.Len() {
			continue
		}
		c.Dead = append(c.Dead, name)
		if info, err := d.fs.Stat(filepath.Join(d.path, name)); err == nil {
			c.Freed += info.Size()
		}
		if len(need) > 0 {
			slices.SortFunc(need, func(a, b pack.Entry) int { return int(a.Offset - b.Offset) })
			sources = append(sources, source{name, need})
		}
	}
	if len(sources) == 0 {
		return c, nil
	}
	name, size, err := d.copyChunks(ctx, sources, progress)
	if err != nil {
		return c, err
	}
	c.Freed -= size
	// An interrupted gc may have left a pack with the same chunks, and so with the same name.
	c.Dead = slices.DeleteFunc(c.Dead, func(dead string) bool { return dead == name })
	return c, nil
}

// copyChunks writes a pack with the chunks of all sources. It returns the name and the length of
// the pack.
func (d *Dir) copyChunks(ctx context.Context, sources []source,
	progress func(done, total int64)) (name string, size int64, err error) {
	var done, total int64
	for _, s := range sources {
		for _, e := range s.need {
			total += int64(e.Len)
		}
	}
	out, err := Create(d.fs, filepath.Join(d.path, compactTemp))
	if err != nil {
		return "", 0, err
	}
	defer out.Abandon()
	copied := func(n uint32) {
		done += int64(n)
		if progress != nil {
			progress(done, total)
		}
	}
	for _, s := range sources {
		f, err := d.fs.OpenFile(filepath.Join(d.path, s.name), os.O_RDONLY, 0)
		if err != nil {
			return "", 0, err
		}
		err = copyFrom(ctx, out, s, f, copied)
		_ = f.Close()
		if err != nil {
			return "", 0, err
		}
	}
	if err := out.Finish(); err != nil {
		return "", 0, err
	}
	if err := out.Sync(); err != nil {
		return "", 0, err
	}
	if err := out.Close(); err != nil {
		return "", 0, err
	}
	sum := sha256.New()
	for _, e := range out.Entries() {
		sum.Write(e.ID[:])
	}
	name = "gc-" + hex.EncodeToString(sum.Sum(nil)[:8]) + Ext
	if err := d.fs.Rename(out.path, filepath.Join(d.path, name)); err != nil {
		return "", 0, err
	}
	return name, out.Size(), d.fs.SyncDir(d.path)
}

// copyFrom adds the chunks of one source, whose pack is f.
func copyFrom(ctx context.Context, out *Writer, s source, f diskfs.File,
	copied func(n uint32)) error {
	var buf []byte
	for _, e := range s.need {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sealed, err := pack.ReadFrame(s.name, f, e, buf)
		if err != nil {
			return fmt.Errorf("pack %s: %w", s.name, err)
		}
		if err := out.Add(e.ID, sealed); err != nil {
			return err
		}
		buf = sealed[:0]
		copied(e.Len)
	}
	return nil
}
