package packdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

const (
	// maxChecks is the largest number of checks in memory. Above it all are dropped.
	maxChecks = 1 << 18
	// stableAfter is how old the last change of a pack must be before a check of it is remembered:
	// a file that changes twice within the resolution of its modification time looks unchanged.
	stableAfter = 2 * time.Second
	// checkedFor is how long a chunk that was hashed counts as undamaged. A disk may corrupt data
	// without a change of size or time. Hashing each chunk on each read would make serving four
	// times as expensive.
	checkedFor = 10 * time.Minute
)

// A check names a chunk that was hashed and found undamaged. It is valid while the file has this
// size and time.
type check struct {
	file     *File
	off      int64
	size     int64
	modified int64 // nanoseconds since 1970
}

// Checked is a Dir as the source of one generation. It hashes a chunk before the first read, and
// again when its pack has changed or the last hash is 10 minutes old. A damaged chunk is
// module.ErrDamaged. It may be used by several goroutines.
type Checked struct {
	dir  *Dir
	root merkle.Hash
	held func() (bool, error)
}

// Checked returns the chunks of a generation. held reports whether the generation is held. If it
// is, a missing chunk is module.ErrDamaged; otherwise it is fs.ErrNotExist.
func (d *Dir) Checked(root merkle.Hash, held func() (bool, error)) Checked {
	return Checked{d, root, held}
}

// Chunk implements module.ChunkSource.
func (c Checked) Chunk(chunk module.Chunk) (io.ReaderAt, int64, error) {
	r, off, err := c.dir.Chunk(chunk)
	if errors.Is(err, fs.ErrNotExist) {
		held, herr := c.held()
		if herr == nil && held {
			return nil, 0, damage.In(c.dir.path, "no pack has chunk %s of generation %s", chunk.ID, c.root)
		}
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	f, ok := r.(*File)
	if !ok {
		return r, off, hash(r, off, chunk, "chunk file")
	}
	if err := f.check(off, chunk); err != nil {
		return nil, 0, err
	}
	return r, off, nil
}

// check hashes a chunk unless an earlier check is still valid.
func (f *File) check(off int64, c module.Chunk) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("check pack: %w", err)
	}
	now := check{f, off, info.Size(), info.ModTime().UnixNano()}
	begin := f.dir.o.Now()
	f.dir.mu.Lock()
	at, known := f.dir.checked[now]
	f.dir.mu.Unlock()
	if age := begin.Sub(at); known && age >= 0 && age < checkedFor {
		return nil
	}
	if err := hash(f, off, c, f.path); err != nil {
		return err
	}
	if time.Since(info.ModTime()) < stableAfter {
		return nil
	}
	f.dir.mu.Lock()
	defer f.dir.mu.Unlock()
	if f.dir.checked == nil || len(f.dir.checked) >= maxChecks {
		f.dir.checked = map[check]time.Time{}
	}
	f.dir.checked[now] = begin
	return nil
}

// hash reads and hashes a chunk. name is the name of the file, for errors.
func hash(r io.ReaderAt, off int64, c module.Chunk, name string) error {
	_, err := pack.ReadFrame(name, r, pack.Entry{ID: c.ID, Offset: off, Len: c.Len}, nil)
	return err
}
