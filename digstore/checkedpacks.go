package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

const (
	// keptChecks is how many chunks are remembered as undamaged. When there are more, all are forgotten.
	keptChecks = 1 << 18
	// stableAfter is how old the last change of a pack has to be for a check to be remembered: a file that changes twice
	// within the granularity of its modification time looks unchanged.
	stableAfter = 2 * time.Second
	// hashedFor is how long a chunk that was hashed counts as undamaged: a disk may lose bits without a change of size
	// or time. To hash every chunk each time would make serving four times as expensive.
	hashedFor = 10 * time.Minute
)

// A packCheck names a chunk that was hashed and found undamaged. It holds while the file has this size and time.
type packCheck struct {
	file     *packFile
	off      int64
	size     int64
	modified int64 // nanoseconds since 1970
}

// checkedPacks are the packs of a store as the source of one generation. It hashes a chunk before it is read for the
// first time, again when its pack has changed, and after hashedFor. A chunk that is damaged or missing is ErrCorrupt.
// Safe for concurrent use.
type checkedPacks struct {
	s    *Store
	root merkle.Hash // of the generation
}

// Chunk implements module.ChunkSource.
func (p checkedPacks) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	r, off, err := p.s.packs.Chunk(c)
	if errors.Is(err, fs.ErrNotExist) {
		held, herr := p.s.holds(p.root)
		if herr == nil && held {
			return nil, 0, corrupt(p.s.packs.dir, "no pack has chunk %s of generation %s", c.ID, p.root)
		}
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	f, ok := r.(*packFile)
	if !ok {
		return r, off, hashChunk(r, off, c, "chunk file")
	}
	if err := f.check(off, c); err != nil {
		return nil, 0, err
	}
	return r, off, nil
}

// check hashes a chunk unless that was done not long ago and the file has not changed since.
func (f *packFile) check(off int64, c module.Chunk) error {
	info, err := f.stat()
	if err != nil {
		return fmt.Errorf("check pack: %w", err)
	}
	now := packCheck{f, off, info.Size(), info.ModTime().UnixNano()}
	begin := f.set.now()
	f.set.mu.Lock()
	at, known := f.set.checked[now]
	f.set.mu.Unlock()
	if age := begin.Sub(at); known && age >= 0 && age < hashedFor {
		return nil
	}
	if err := hashChunk(f, off, c, f.name); err != nil {
		return err
	}
	if time.Since(info.ModTime()) < stableAfter {
		return nil
	}
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	if f.set.checked == nil || len(f.set.checked) >= keptChecks {
		f.set.checked = map[packCheck]time.Time{}
	}
	f.set.checked[now] = begin
	return nil
}

// stat describes the open file of the pack.
func (f *packFile) stat() (fs.FileInfo, error) {
	for {
		if err := f.openFile(); err != nil {
			return nil, err
		}
		f.mu.RLock()
		if f.f != nil {
			defer f.mu.RUnlock()
			return f.f.Stat()
		}
		f.mu.RUnlock() // it was closed in between, as the one not used for longest
	}
}

// hashChunk reads the frame of a chunk at off. One that is not the chunk's is ErrCorrupt.
func hashChunk(r io.ReaderAt, off int64, c module.Chunk, name string) error {
	buf := make([]byte, int64(c.Len)+4)
	n, err := r.ReadAt(buf, off)
	if n < len(buf) {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
			return err
		}
		return fmt.Errorf("%w: %w", corrupt(name, "chunk %s at byte %d cannot be read", c.ID, off), err)
	}
	sealed := buf[4:]
	if uint32(buf[0])<<24|uint32(buf[1])<<16|uint32(buf[2])<<8|uint32(buf[3]) != c.Len {
		return corrupt(name, "the frame of chunk %s at byte %d has another length than %d", c.ID, off, c.Len)
	}
	if got := merkle.Sum(sealed); got != c.ID {
		return corrupt(name, "the chunk at byte %d has hash %s, want %s", off, got, c.ID)
	}
	return nil
}

// CheckStore reads the tombstones of a store, the footer and the index of each of its packs, and looks for the chunks
// of its head in them. It hashes no chunk. What is damaged is ErrCorrupt, an unknown store fs.ErrNotExist.
func (w *Workspace) CheckStore(ctx context.Context, id auth.StoreID) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	list, err := w.fs.ReadDir(s.packs.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check store %s: %w", s.name, err)
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), packExt) {
			continue
		}
		_, err := readPackIndex(w.fs, filepath.Join(s.packs.dir, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gc may have removed it
			return fmt.Errorf("check store %s: %w", s.name, err)
		}
	}
	if _, err := s.Tombstones(ctx, id); err != nil {
		return fmt.Errorf("check store %s: %w", s.name, err)
	}
	head, err := s.Head(ctx)
	if err != nil || head.Root.IsZero() {
		return err
	}
	h, err := s.recipe(head.Root)
	if errors.Is(err, fs.ErrNotExist) { // in the form of the reference, or not held
		return nil
	}
	if err != nil {
		return err
	}
	s.packs.reload()
	for _, c := range h.recipe.Pool() {
		if _, _, err := s.packs.Chunk(c); errors.Is(err, fs.ErrNotExist) {
			return corrupt(s.packs.dir, "no pack has chunk %s of generation %s", c.ID, head.Root)
		} else if err != nil {
			return err
		}
	}
	return nil
}
