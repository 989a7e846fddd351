package journal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/dig-network/digstore/digstore/internal/journal"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// memory is a source of chunks in memory.
type memory map[merkle.Hash][]byte

func (m memory) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	b, ok := m[c.ID]
	if !ok {
		return nil, 0, fmt.Errorf("chunk %s is not there", c.ID)
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	return bytes.NewReader(frame), 0, nil
}

// written makes a stream of chunks and other bytes, its journal, and the size of its pack.
func written(t testing.TB) (stream, text []byte, chunks memory, packSize int64) {
	t.Helper()
	var out bytes.Buffer
	w := journal.NewWriter(&out, 0)
	chunks, packSize = memory{}, int64(len(pack.Magic))
	for i, part := range []string{"one", "two", "one", "three"} {
		between := fmt.Sprintf("[%d]", i)
		w.Read([]byte(between + part))
		stream = append(stream, between+part...)
		c := module.Chunk{ID: merkle.Sum([]byte(part)), Len: uint32(len(part))}
		_, seen := chunks[c.ID]
		if !seen {
			packSize += 4 + int64(len(part))
		}
		chunks[c.ID] = []byte(part)
		if err := w.Chunk(c, []byte(part), !seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return stream, out.Bytes(), chunks, packSize
}

// TestReplay: the journal replays a prefix of the stream, for any length of the pack.
func TestReplay(t *testing.T) {
	stream, text, chunks, size := written(t)
	none := func(merkle.Hash) (bool, error) { return false, nil }
	for have := int64(len(pack.Magic)); have <= size; have++ {
		j, err := journal.Parse(text, have, none)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(j.Replay(chunks))
		if err != nil || !bytes.HasPrefix(stream, got) || int64(len(got)) != j.Size || j.Pack > have {
			t.Errorf("pack of %d bytes: %q, %v, want %d bytes of %q", have, got, err, j.Size, stream)
		}
		if have == size && len(got) != len(stream) {
			t.Errorf("%d bytes come back, want %d", len(got), len(stream))
		}
	}
}

// FuzzParse: the valid part of any bytes replays as many bytes as Size says.
func FuzzParse(f *testing.F) {
	_, text, chunks, size := written(f)
	f.Add(text)
	f.Add(text[:len(text)-1])
	has := func(id merkle.Hash) (bool, error) { _, ok := chunks[id]; return ok, nil }
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := journal.Parse(text, size, has)
		if err != nil {
			t.Fatal(err)
		}
		if j.Length > int64(len(text)) || j.Pack > size {
			t.Fatalf("%d bytes of %d count, %d of the pack", j.Length, len(text), j.Pack)
		}
		again, err := journal.Parse(text[:j.Length], size, has)
		if err != nil || again.Size != j.Size || len(again.Fresh) != len(j.Fresh) {
			t.Fatalf("the part that counts is %d bytes of the stream, want %d", again.Size, j.Size)
		}
	})
}
