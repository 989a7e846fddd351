package pack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// bufferSize is how many bytes are gathered for one write.
const bufferSize = 1 << 20

var errEnded = errors.New("chunks cannot be added after the last one")

// A Writer writes one pack. After an error every later call returns the same error.
//
// While chunks are added, one goroutine at a time may call its methods. After EndChunks no chunk
// can be added, all of them are written, and any number of goroutines may call Has and Find.
type Writer struct {
	buf     *bufio.Writer
	size    int64 // bytes of the pack, those in buf included
	entries []Entry
	at      map[merkle.Hash]int32 // index in entries
	ended   bool
	err     error
}

// NewWriter begins a pack on w.
func NewWriter(w io.Writer) *Writer {
	p := newWriter(w)
	p.write([]byte(Magic))
	return p
}

// Resume continues an unfinished pack on w. The valid part of the pack has size bytes and contains
// entries; of two entries with the same id the first is used. Bytes written to w must follow that
// part.
func Resume(w io.Writer, entries []Entry, size int64) *Writer {
	p := newWriter(w)
	p.size = size
	for _, e := range entries {
		if !p.Has(e.ID) {
			p.note(e)
		}
	}
	return p
}

func newWriter(w io.Writer) *Writer {
	return &Writer{buf: bufio.NewWriterSize(w, bufferSize), at: map[merkle.Hash]int32{}}
}

// Has reports whether the pack has a chunk.
func (p *Writer) Has(id merkle.Hash) bool {
	_, ok := p.at[id]
	return ok
}

// Find returns the entry of a chunk with this id and length. The chunk can be read from the file
// only after EndChunks.
func (p *Writer) Find(c module.Chunk) (Entry, bool) {
	i, ok := p.at[c.ID]
	if !ok || p.entries[i].Len != c.Len {
		return Entry{}, false
	}
	return p.entries[i], true
}

// Entries returns the chunks of the pack in the order in which they were added. The caller must not
// change them.
func (p *Writer) Entries() []Entry { return p.entries }

// Size returns the length of the pack so far in bytes, including buffered bytes.
func (p *Writer) Size() int64 { return p.size }

// Ended reports whether EndChunks was called.
func (p *Writer) Ended() bool { return p.ended }

func (p *Writer) note(e Entry) {
	p.at[e.ID] = int32(len(p.entries))
	p.entries = append(p.entries, e)
}

// Add appends a chunk, which the pack must not have yet.
func (p *Writer) Add(id merkle.Hash, sealed []byte) error {
	if p.ended {
		return errEnded
	}
	p.note(Entry{id, p.size, uint32(len(sealed))})
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(sealed)))
	p.write(head[:])
	p.write(sealed)
	return p.err
}

// AddFrames appends the concatenated frames of chunks, in the same order. The pack must not have
// any of them yet.
func (p *Writer) AddFrames(frames []byte, chunks []module.Chunk) error {
	if p.ended {
		return errEnded
	}
	end := p.size
	for _, c := range chunks {
		p.note(Entry{c.ID, end, c.Len})
		end += 4 + int64(c.Len)
	}
	p.write(frames)
	if p.err == nil && p.size != end {
		p.err = fmt.Errorf("frames of %d bytes do not match their chunks", len(frames))
	}
	return p.err
}

func (p *Writer) write(b []byte) {
	p.size += int64(len(b))
	if p.err == nil {
		_, p.err = p.buf.Write(b)
	}
}

// Flush writes what is buffered.
func (p *Writer) Flush() error {
	if p.err == nil {
		p.err = p.buf.Flush()
	}
	return p.err
}

// EndChunks writes what is buffered and ends the adding of chunks. Calling it again does nothing.
func (p *Writer) EndChunks() error {
	if !p.ended {
		_ = p.Flush()
		p.ended = true
	}
	return p.err
}

// Finish writes the index and the footer. It calls EndChunks if the caller has not.
func (p *Writer) Finish() error {
	if err := p.EndChunks(); err != nil {
		return err
	}
	end := p.size
	rows := appendRows(make([]byte, 0, len(p.entries)*rowSize), p.entries)
	p.write(rows)
	foot := binary.BigEndian.AppendUint64(nil, uint64(end))
	foot = binary.BigEndian.AppendUint32(foot, uint32(len(p.entries)))
	foot = binary.BigEndian.AppendUint32(foot, crc32.Checksum(rows, castagnoli))
	p.write(append(foot, End...))
	return p.Flush()
}
