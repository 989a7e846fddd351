package module_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
)

// moving is a source whose chunks move, to be read elsewhere, as soon as it has said where they
// are. moves is how often that happens.
type moving struct {
	*memory
	moves int
}

func (m *moving) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	r, off, err := m.memory.Chunk(c)
	if err != nil || m.moves == 0 {
		return r, off, err
	}
	m.moves--
	return gone{}, off, nil
}

type gone struct{}

func (gone) ReadAt([]byte, int64) (int, error) { return 0, fmt.Errorf("moved: %w", fs.ErrNotExist) }

// TestMovedChunks: a module is read though its chunks move meanwhile; for ever they may not.
func TestMovedChunks(t *testing.T) {
	b := sample(t, nil, strings.Repeat("long ", 200_000), "b", "c")
	r, src, err := apart(t, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		moves int
		fails bool
	}{{1, false}, {2, false}, {1 << 30, true}} {
		got := make([]byte, len(b))
		n, err := r.Image(&moving{src, c.moves}).ReadAt(got, 0)
		if c.fails != (err != nil) || err == nil && !bytes.Equal(got, b) {
			t.Errorf("%d moves: %d of %d bytes, %v", c.moves, n, len(b), err)
		}
	}
}
