package digstore

import (
	"errors"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// packSource is a module.ChunkSource of one pack that no index covers, that of a pending generation, and behind it the packs of
// the store. It is safe for concurrent use until it is closed.
type packSource struct {
	f     diskfs.File // nil: there is no such pack
	at    map[merkle.Hash]packEntry
	packs *packSet
}

// openPackSource opens a pack, which need not be there.
func openPackSource(fsys diskfs.FS, name string, packs *packSet) (*packSource, error) {
	p := &packSource{at: map[merkle.Hash]packEntry{}, packs: packs}
	rows, err := readPackIndex(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(rows); i += packRow {
		e := parseRow(rows[i:])
		p.at[e.id] = e
	}
	if p.f, err = fsys.OpenFile(name, openRead, 0); err != nil {
		return nil, err
	}
	return p, nil
}

// find returns where the pack has a chunk. A nil source has none.
func (p *packSource) find(c module.Chunk) (packEntry, bool) {
	if p == nil {
		return packEntry{}, false
	}
	e, ok := p.at[c.ID]
	return e, ok && e.n == c.Len
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
