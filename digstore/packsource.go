package digstore

import (
	"errors"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// packSource is a module.ChunkSource of one pack that no index covers, that of a pending generation or of a transfer that is
// taken up, and behind it the packs of the store. It is safe for concurrent use until it is closed.
type packSource struct {
	f     diskfs.File // nil: there is no such pack
	at    map[merkle.Hash]packEntry
	packs *packSet
}

// openPackSource opens a pack, which need not be there.
func openPackSource(fsys diskfs.FS, name string, packs *packSet) (*packSource, error) {
	rows, err := readPackIndex(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return newPackSource(nil, nil, packs), nil
	}
	if err != nil {
		return nil, err
	}
	entries := make([]packEntry, 0, len(rows)/packRow)
	for i := 0; i < len(rows); i += packRow {
		entries = append(entries, parseRow(rows[i:]))
	}
	f, err := fsys.OpenFile(name, openRead, 0)
	if err != nil {
		return nil, err
	}
	return newPackSource(f, entries, packs), nil
}

// newPackSource returns the source of those chunks of a pack, whose frames are in the file.
func newPackSource(f diskfs.File, entries []packEntry, packs *packSet) *packSource {
	p := &packSource{f: f, at: make(map[merkle.Hash]packEntry, len(entries)), packs: packs}
	for _, e := range entries {
		p.at[e.id] = e
	}
	return p
}

// find returns where the pack has a chunk. A nil source has none.
func (p *packSource) find(c module.Chunk) (packEntry, bool) {
	if p == nil {
		return packEntry{}, false
	}
	e, ok := p.at[c.ID]
	return e, ok && e.n == c.Len && e.off >= 0
}

// Chunk implements module.ChunkSource.
func (p *packSource) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if e, ok := p.find(c); ok {
		return p.f, e.off, nil
	}
	return p.packs.Chunk(c)
}

func (p *packSource) close() {
	if p.f != nil {
		_ = p.f.Close()
	}
}
