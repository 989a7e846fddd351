package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Kinds of records.
const (
	plainBytes = 'L' // bytes outside of chunks
	newChunk   = 'N' // the next chunk in the pack of the transfer
	seenChunk  = 'S' // a chunk that the store or the pack already had
)

// writeEvery is the number of bytes of the stream after which buffered records are written.
const writeEvery = 8 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Writer writes the journal of a stream. One goroutine may call Read while another calls the
// other methods.
type Writer struct {
	w     io.Writer
	mu    sync.Mutex
	buf   []byte
	raw   []byte // bytes of the stream; those before done are recorded
	done  int
	skip  int64 // bytes of the stream that the journal already has
	at    int64 // bytes of the stream that are recorded
	since int64
	lost  bool // a chunk was not found in raw; recording has stopped
	err   error
}

// NewWriter writes records to w. skip is the number of bytes at the beginning of the stream that
// the journal already has.
func NewWriter(w io.Writer, skip int64) *Writer { return &Writer{w: w, skip: skip} }

// Chunk records the stream up to the end of chunk c. fresh says that c was added to the pack of the
// transfer.
func (j *Writer) Chunk(c module.Chunk, sealed []byte, fresh bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost {
		return nil
	}
	rest := j.raw[j.done:]
	i := bytes.Index(rest, sealed)
	if i < 0 {
		j.lost, j.raw = true, nil
		return nil
	}
	j.record(plainBytes, rest[:i], nil, 0)
	kind := byte(seenChunk)
	if fresh {
		kind = newChunk
	}
	j.record(kind, nil, &c.ID, c.Len)
	j.done += i + len(sealed)
	if j.since > writeEvery {
		return j.flush()
	}
	return j.err
}

func (j *Writer) record(kind byte, plain []byte, id *merkle.Hash, n uint32) {
	size := int64(len(plain)) + int64(n)
	j.at += size
	if j.at <= j.skip || size == 0 && id == nil {
		return
	}
	j.since += size
	at := len(j.buf)
	j.buf = append(j.buf, kind)
	if id != nil {
		j.buf = append(j.buf, id[:]...)
		j.buf = binary.BigEndian.AppendUint32(j.buf, n)
	} else {
		j.buf = binary.BigEndian.AppendUint32(j.buf, uint32(len(plain)))
		j.buf = append(j.buf, plain...)
	}
	j.buf = binary.BigEndian.AppendUint32(j.buf, crc32.Checksum(j.buf[at:], castagnoli))
}

// Read passes bytes of the stream to the journal.
func (j *Writer) Read(b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost {
		return
	}
	if j.done > len(j.raw)/2 { // move only when the rest is the smaller part
		j.raw = append(j.raw[:0], j.raw[j.done:]...)
		j.done = 0
	}
	j.raw = append(j.raw, b...)
}

// Flush writes the buffered records.
func (j *Writer) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flush()
}

func (j *Writer) flush() error {
	if j.err == nil {
		_, j.err = j.w.Write(j.buf)
	}
	j.buf, j.since = j.buf[:0], 0
	return j.err
}
