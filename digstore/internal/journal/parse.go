package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Journal is the valid part of a journal.
type Journal struct {
	Fresh  []pack.Entry // the chunks in the pack of the transfer
	Length int64        // valid bytes of the journal
	Size   int64        // bytes of the stream that the records describe
	Pack   int64        // valid bytes of the pack

	records []record
}

// A record describes a chunk or plain bytes.
type record struct {
	plain []byte // the bytes of a plainBytes record
	chunk module.Chunk
	fresh bool
}

// Parse reads the text of a journal. packSize is the length in bytes of the pack of the transfer,
// and has reports whether the store has a chunk. The only errors are those of has. With an error,
// Parse also returns the journal up to the chunk for which has failed.
func Parse(text []byte, packSize int64, has func(id merkle.Hash) (bool, error)) (*Journal, error) {
	j := &Journal{Pack: int64(len(pack.Magic))}
	seen := map[merkle.Hash]bool{}
	for len(text) > 0 {
		rec, n, ok := parseRecord(text)
		if !ok {
			break
		}
		switch {
		case rec.plain != nil:
		case rec.fresh:
			end := j.Pack + 4 + int64(rec.chunk.Len)
			if end > packSize {
				return j, nil
			}
			j.Fresh = append(j.Fresh, pack.Entry{ID: rec.chunk.ID, Offset: j.Pack, Len: rec.chunk.Len})
			j.Pack = end
			seen[rec.chunk.ID] = true
		case !seen[rec.chunk.ID]:
			if had, err := has(rec.chunk.ID); err != nil || !had {
				return j, err
			}
		}
		j.records = append(j.records, rec)
		j.Length += int64(n)
		j.Size += int64(len(rec.plain)) + int64(rec.chunk.Len)
		text = text[n:]
	}
	return j, nil
}

// parseRecord decodes the first record of b and returns its length.
func parseRecord(b []byte) (rec record, n int, ok bool) {
	const chunk = 1 + 32 + 4
	const sum = 4
	switch b[0] {
	case plainBytes:
		if len(b) < 5 || int64(len(b)-5-sum) < int64(binary.BigEndian.Uint32(b[1:])) {
			return rec, 0, false
		}
		n = 5 + int(binary.BigEndian.Uint32(b[1:]))
		rec.plain = b[5:n:n]
	case newChunk, seenChunk:
		if n = chunk; len(b) < n+sum {
			return rec, 0, false
		}
		rec.chunk = module.Chunk{ID: merkle.Hash(b[1:33]), Len: binary.BigEndian.Uint32(b[33:])}
		rec.fresh = b[0] == newChunk
	default:
		return rec, 0, false
	}
	return rec, n + sum, crc32.Checksum(b[:n], castagnoli) == binary.BigEndian.Uint32(b[n:])
}

// Replay returns the bytes of the stream that the journal describes. Chunks are read from src.
func (j *Journal) Replay(src module.ChunkSource) io.Reader {
	return &replay{records: j.records, src: src}
}

type replay struct {
	records []record
	src     module.ChunkSource
	now     io.Reader // the record that is being read; nil: none
}

// Read implements io.Reader.
func (r *replay) Read(b []byte) (int, error) {
	for {
		if r.now != nil {
			n, err := r.now.Read(b)
			if n > 0 || err != io.EOF {
				return n, err
			}
			r.now = nil
		}
		if len(r.records) == 0 {
			return 0, io.EOF
		}
		rec := r.records[0]
		r.records = r.records[1:]
		if rec.plain != nil {
			r.now = bytes.NewReader(rec.plain)
			continue
		}
		at, off, err := r.src.Chunk(rec.chunk)
		if err != nil {
			return 0, err
		}
		r.now = io.NewSectionReader(at, off+4, int64(rec.chunk.Len))
	}
}
