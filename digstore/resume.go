package digstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// journal is what a journal file says that is still true.
type journal struct {
	records []journalRecord
	length  int64 // of the file, up to the last record that counts
	size    int64 // of the stream, up to there
	pack    int64 // of the pack, up to there
}

type journalRecord struct {
	plain []byte // 'L'
	chunk module.Chunk
	off   int64 // 'N': of the frame in the pack
	fresh bool
}

// maxJournal bounds a journal: what of a module is no chunk, and 46 bytes for each chunk.
const maxJournal = 1 << 29

// readJournal reads the journal in dir; an empty one when there is none that says anything.
func readJournal(fsys diskfs.FS, dir string, packs *packdir.Dir) (*journal, error) {
	j := &journal{pack: int64(len(pack.Magic))}
	info, err := fsys.Stat(filepath.Join(dir, incomingPack))
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take up a transfer: %w", err)
	}
	b, err := diskfs.ReadFile(fsys, journalName(dir), maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take up a transfer: %w", err)
	}
	seen := map[merkle.Hash]bool{}
	for len(b) > 0 {
		rec, n, ok := parseRecord(b)
		if !ok {
			break
		}
		size := int64(len(rec.plain)) + int64(rec.chunk.Len)
		switch {
		case rec.plain != nil:
		case rec.fresh:
			rec.off = j.pack
			if j.pack+4+int64(rec.chunk.Len) > info.Size() {
				return j, nil
			}
			j.pack += 4 + int64(rec.chunk.Len)
			seen[rec.chunk.ID] = true
		case !seen[rec.chunk.ID]:
			if had, err := packs.Has(rec.chunk.ID); err != nil || !had {
				return j, err
			}
		}
		j.records = append(j.records, rec)
		j.length += int64(n)
		j.size += size
		b = b[n:]
	}
	return j, nil
}

func parseRecord(b []byte) (rec journalRecord, n int, ok bool) {
	const chunk = 1 + 32 + 4
	const sum = 4
	switch b[0] {
	case 'L':
		if len(b) < 5 || int64(len(b)-5-sum) < int64(binary.BigEndian.Uint32(b[1:])) {
			return rec, 0, false
		}
		n = 5 + int(binary.BigEndian.Uint32(b[1:]))
		rec.plain = b[5:n:n]
	case 'N', 'S':
		if n = chunk; len(b) < n+sum {
			return rec, 0, false
		}
		rec.chunk = module.Chunk{ID: merkle.Hash(b[1:33]), Len: binary.BigEndian.Uint32(b[33:])}
		rec.fresh = b[0] == 'N'
	default:
		return rec, 0, false
	}
	return rec, n + sum, crc32.Checksum(b[:n], castagnoli) == binary.BigEndian.Uint32(b[n:])
}

// replay gives again what a journal has noted down.
type replay struct {
	j   *journal
	src module.ChunkSource
	cur io.Reader
}

func (r *replay) Read(b []byte) (int, error) {
	for {
		if r.cur != nil {
			n, err := r.cur.Read(b)
			if n > 0 || err != io.EOF {
				return n, err
			}
			r.cur = nil
		}
		if len(r.j.records) == 0 {
			return 0, io.EOF
		}
		rec := r.j.records[0]
		r.j.records = r.j.records[1:]
		if rec.plain != nil {
			r.cur = &sliceReader{rec.plain}
			continue
		}
		at, off, err := r.src.Chunk(rec.chunk)
		if err != nil {
			return 0, err
		}
		r.cur = io.NewSectionReader(at, off+4, int64(rec.chunk.Len))
	}
}

type sliceReader struct{ b []byte }

func (s *sliceReader) Read(b []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.b)
	s.b = s.b[n:]
	return n, nil
}

func (s *Store) partDir(root merkle.Hash) string {
	return filepath.Join(s.dir, incomingDir, root.String())
}

// Held returns how many leading bytes of the module of root are kept from an Install that broke off; the next
// Install of that root is given a reader that starts there.
func (s *Store) Held(_ context.Context, root merkle.Hash) (int64, error) {
	j, err := readJournal(s.w.fs, s.partDir(root), s.packs)
	if err != nil {
		return 0, err
	}
	return j.size, nil
}

// Discard throws away what is kept of an Install or Assemble of root that broke off. Nothing kept is no error.
func (s *Store) Discard(_ context.Context, root merkle.Hash) error {
	for _, dir := range []string{s.partDir(root), s.partDir(root) + partsExt} {
		if err := s.discard(dir); err != nil {
			return fmt.Errorf("discard: %w", err)
		}
	}
	return nil
}

func (s *Store) discard(dir string) error {
	if _, err := s.w.fs.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return clearTransfer(s.w.fs, dir)
}
