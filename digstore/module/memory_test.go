package module_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A memory keeps chunks as a pack does: frame after frame.
type memory struct {
	frames []byte
	at     map[merkle.Hash]int64
	order  []module.Chunk
	reads  atomic.Int64
}

func newMemory() *memory { return &memory{at: make(map[merkle.Hash]int64)} }

func (m *memory) put(c module.Chunk, sealed []byte) error {
	if _, ok := m.at[c.ID]; ok {
		return fmt.Errorf("chunk %v: %w", c.ID, fs.ErrExist)
	}
	if c.ID != merkle.Sum(sealed) || int(c.Len) != len(sealed) {
		return errors.New("chunk is not what it is called")
	}
	m.at[c.ID] = int64(len(m.frames))
	m.frames = append(binary.BigEndian.AppendUint32(m.frames, c.Len), sealed...)
	m.order = append(m.order, c)
	return nil
}

func (m *memory) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	at, ok := m.at[c.ID]
	if !ok {
		return nil, 0, fmt.Errorf("chunk %v: %w", c.ID, fs.ErrNotExist)
	}
	return m, at, nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.reads.Add(1)
	return bytes.NewReader(m.frames).ReadAt(p, off)
}

// A fataler is a test of the standard library or of rapid.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// image returns the whole module.
func image(t fataler, r *module.Recipe, src module.ChunkSource) []byte {
	t.Helper()
	var b bytes.Buffer
	img := r.Image(src)
	if n, err := img.WriteTo(&b); err != nil || n != img.Size() {
		t.Fatalf("wrote %d of %d bytes: %v", n, img.Size(), err)
	}
	return b.Bytes()
}

// differ returns where two texts begin to differ.
func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

var errExist = fs.ErrExist

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
