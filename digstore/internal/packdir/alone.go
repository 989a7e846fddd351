package packdir

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// An Alone is a pack that no index of the directory covers, followed by the packs of a Dir. It is a
// module.ChunkSource and may be used by several goroutines until it is closed.
type Alone struct {
	path string
	f    diskfs.File // nil: the file is missing
	at   map[merkle.Hash]pack.Entry
	rest *Dir
}

// OpenAlone opens the pack at a path. A missing file counts as a pack without chunks.
func OpenAlone(fsys diskfs.FS, path string, rest *Dir) (*Alone, error) {
	x, err := ReadIndex(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewAlone(path, nil, nil, rest), nil
	}
	if err != nil {
		return nil, err
	}
	entries := make([]pack.Entry, 0, x.Len())
	for e := range x.Entries() {
		entries = append(entries, e)
	}
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return NewAlone(path, f, entries, rest), nil
}

// NewAlone returns a source of the chunks in entries, whose frames are in f. path is the name of f,
// for errors.
func NewAlone(path string, f diskfs.File, entries []pack.Entry, rest *Dir) *Alone {
	a := &Alone{path: path, f: f, at: make(map[merkle.Hash]pack.Entry, len(entries)), rest: rest}
	for _, e := range entries {
		a.at[e.ID] = e
	}
	return a
}

// Read reads and hashes a chunk of the pack alone. It uses buf if buf is large enough. ok is false
// if the pack does not have the chunk. A nil Alone has no chunks.
func (a *Alone) Read(c module.Chunk, buf []byte) (sealed []byte, ok bool, err error) {
	e, ok := a.find(c)
	if !ok {
		return nil, false, nil
	}
	sealed, err = pack.ReadFrame(a.path, a.f, e, buf)
	return sealed, true, err
}

func (a *Alone) find(c module.Chunk) (pack.Entry, bool) {
	if a == nil {
		return pack.Entry{}, false
	}
	e, ok := a.at[c.ID]
	return e, ok && e.Len == c.Len && e.Offset >= 0
}

// Chunk implements module.ChunkSource. It does not hash the chunk.
func (a *Alone) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if e, ok := a.find(c); ok {
		return a.f, e.Offset, nil
	}
	return a.rest.Chunk(c)
}

// Close closes the pack. It may be called again.
func (a *Alone) Close() {
	if a.f != nil {
		_ = a.f.Close()
	}
}
