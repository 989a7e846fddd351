package legacy

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Chunk returns a reader of the frame of a chunk, from the chunk files of all generations. One
// goroutine at a time may call Chunk and Forget.
func (d *Dir) Chunk(c module.Chunk) (io.ReaderAt, bool) {
	if d.chunks == nil {
		d.chunks = map[merkle.Hash]string{}
		path := filepath.Join(d.path, SubDir)
		gens, err := d.fs.ReadDir(path)
		if err != nil {
			return nil, false
		}
		for _, g := range gens {
			dir := filepath.Join(path, g.Name(), "chunks")
			list, err := d.fs.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range list {
				if id, err := merkle.ParseHash(e.Name()); err == nil {
					d.chunks[id] = filepath.Join(dir, e.Name())
				}
			}
		}
	}
	name, ok := d.chunks[c.ID]
	if !ok {
		return nil, false
	}
	return &chunkFile{fs: d.fs, name: name, n: c.Len}, true
}

// Forget makes the next call of Chunk list the chunk files again.
func (d *Dir) Forget() { d.chunks = nil }

// chunkFile reads as the frame of a chunk: its length and then its file.
type chunkFile struct {
	fs   diskfs.FS
	name string
	n    uint32
}

// ReadAt implements io.ReaderAt.
func (f *chunkFile) ReadAt(b []byte, off int64) (int, error) {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], f.n)
	n := 0
	if off < 4 {
		n = copy(b, head[off:])
	}
	if n == len(b) {
		return n, nil
	}
	file, err := f.fs.OpenFile(f.name, os.O_RDONLY, 0)
	if err != nil {
		return n, fmt.Errorf("read chunk: %w", err)
	}
	defer file.Close()
	m, err := file.ReadAt(b[n:], off+int64(n)-4)
	return n + m, err
}
