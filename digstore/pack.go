package digstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A pack is a file of sealed chunks:
//
//	"DIGPACK1"
//	frames: u32 length || sealed chunk, as in a module's pool
//	index:  per chunk id(32) || u64 offset of the frame || u32 length of the chunk, ascending by id
//	footer: u64 offset of the index || u32 number of chunks || u32 CRC-32C of the index || "DIGPEND1"
//
// All integers are big-endian. A pack is written once, from front to back, and never changes.
const (
	packMagic  = "DIGPACK1"
	packEnd    = "DIGPEND1"
	packFooter = 8 + 4 + 4 + len(packEnd)
	packRow    = 32 + 8 + 4
	commitPack = "commit.tmp" // the pack of a commit that is not done
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packEntry says where the frame of a chunk begins.
type packEntry struct {
	id  merkle.Hash
	off int64
	n   uint32 // bytes of the sealed chunk
}

// packWriter writes a pack in two phases.
//
// While chunks are added, one goroutine at a time may call its methods, and Chunk fails. endChunks ends that phase: no
// chunk can be added any more, all of them are in the file, and any number of goroutines may call Chunk and has. None
// of those two writes. finish, sync and close are called by one goroutine, when nobody reads any longer.
type packWriter struct {
	fs      diskfs.FS
	name    string
	f       diskfs.File
	off     int64 // where the next frame goes
	buf     []byte
	flushed int64 // bytes handed to the file
	pushed  int64 // bytes that the system was told to write back
	entries []packEntry
	at      map[merkle.Hash]int32
	ended   bool // no chunk can be added: set by endChunks
	err     error
}

// packBuffer is how many bytes are gathered for one write.
const packBuffer = 1 << 20

// writeback is how many bytes are let gather before the system is told to start writing them to the disk.
const writeback = 8 << 20

func createPack(fsys diskfs.FS, name string) (*packWriter, error) {
	f, err := fsys.OpenFile(name, openTrunc, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create pack: %w", err)
	}
	p := &packWriter{fs: fsys, name: name, f: f, at: map[merkle.Hash]int32{}}
	p.write([]byte(packMagic))
	return p, nil
}

// has reports whether the chunk is in the pack already.
func (p *packWriter) has(id merkle.Hash) bool {
	_, ok := p.at[id]
	return ok
}

// note records a chunk whose frame follows at the present end.
func (p *packWriter) note(id merkle.Hash, off int64, n uint32) {
	p.at[id] = int32(len(p.entries))
	p.entries = append(p.entries, packEntry{id, off, n})
}

// add appends one chunk, which the pack does not have.
func (p *packWriter) add(id merkle.Hash, sealed []byte) error {
	if p.ended {
		return fmt.Errorf("write pack %s: chunk %s comes after the last chunk", p.name, id)
	}
	p.note(id, p.off, uint32(len(sealed)))
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(sealed)))
	p.write(head[:])
	p.write(sealed)
	return p.err
}

// addFrames appends frames that lie side by side, of chunks that the pack does not have.
func (p *packWriter) addFrames(frames []byte, chunks []module.Chunk) error {
	if p.ended {
		return fmt.Errorf("write pack %s: %d chunks come after the last chunk", p.name, len(chunks))
	}
	off := p.off
	for _, c := range chunks {
		p.note(c.ID, off, c.Len)
		off += 4 + int64(c.Len)
	}
	p.write(frames)
	if p.err == nil && p.off != off {
		p.err = fmt.Errorf("write pack %s: frames of %d bytes do not match their chunks", p.name, len(frames))
	}
	return p.err
}

func (p *packWriter) write(b []byte) {
	p.off += int64(len(b))
	if len(p.buf)+len(b) > packBuffer {
		p.flush()
	}
	if len(b) >= packBuffer/2 {
		p.flush()
		p.put(b)
		return
	}
	if p.buf == nil {
		p.buf = make([]byte, 0, packBuffer)
	}
	p.buf = append(p.buf, b...)
}

func (p *packWriter) flush() {
	if len(p.buf) > 0 {
		p.put(p.buf)
		p.buf = p.buf[:0]
	}
}

func (p *packWriter) put(b []byte) {
	if p.err != nil {
		return
	}
	n, err := p.f.Write(b)
	p.flushed += int64(n)
	if err != nil {
		p.err = fmt.Errorf("write pack: %w", err)
		return
	}
	if p.flushed-p.pushed >= writeback {
		diskfs.StartWriteback(p.f, p.pushed, p.flushed-p.pushed)
		p.pushed = p.flushed
	}
}

// endChunks writes what is buffered and ends the adding of chunks. Calling it again does nothing.
func (p *packWriter) endChunks() error {
	if !p.ended {
		p.flush()
		p.ended = true
	}
	return p.err
}

// finish writes index and footer, and checks that the file is as long as what was written. Sync and close follow.
func (p *packWriter) finish() error {
	if err := p.endChunks(); err != nil {
		return err
	}
	end := p.off
	rows := appendRows(make([]byte, 0, len(p.entries)*packRow), p.entries)
	p.write(rows)
	foot := binary.BigEndian.AppendUint64(nil, uint64(end))
	foot = binary.BigEndian.AppendUint32(foot, uint32(len(p.entries)))
	foot = binary.BigEndian.AppendUint32(foot, crc32.Checksum(rows, castagnoli))
	p.write(append(foot, packEnd...))
	p.flush()
	p.buf = nil
	if p.err != nil {
		return p.err
	}
	info, err := p.f.Stat()
	if err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	if info.Size() != p.off {
		return fmt.Errorf("write pack %s: the file has %d bytes, expected %d", p.name, info.Size(), p.off)
	}
	return nil
}

// appendRows appends the index of entries, which it leaves in their order.
func appendRows(b []byte, entries []packEntry) []byte {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b packEntry) int { return bytes.Compare(a.id[:], b.id[:]) })
	for _, e := range sorted {
		b = append(b, e.id[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(e.off))
		b = binary.BigEndian.AppendUint32(b, e.n)
	}
	return b
}

func (p *packWriter) sync() error {
	if err := p.f.Sync(); err != nil {
		return fmt.Errorf("sync pack: %w", err)
	}
	return nil
}

func (p *packWriter) close() error {
	if p.f == nil {
		return nil
	}
	err := p.f.Close()
	p.f = nil
	return err
}

// abandon closes and removes the file.
func (p *packWriter) abandon() {
	_ = p.close()
	_ = p.fs.Remove(p.name)
}

// Chunk implements module.ChunkSource, for the check of a generation before its pack is finished. It fails before
// endChunks, and only reads after it.
func (p *packWriter) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if !p.ended {
		return nil, 0, fmt.Errorf("read pack %s: chunks are still being added", p.name)
	}
	i, ok := p.at[c.ID]
	if !ok || p.entries[i].n != c.Len {
		return nil, 0, missingChunk(c)
	}
	return p.f, p.entries[i].off, nil
}

// readPackIndex reads the rows of a finished pack.
func readPackIndex(fsys diskfs.FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, openRead, 0)
	if err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	size := info.Size()
	var foot [packFooter]byte
	if size < int64(len(packMagic)+packFooter) {
		return nil, corrupt(name, "%d bytes are too few for a pack", size)
	}
	if _, err := f.ReadAt(foot[:], size-int64(packFooter)); err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	at := int64(binary.BigEndian.Uint64(foot[:]))
	n := int64(binary.BigEndian.Uint32(foot[8:]))
	if string(foot[16:]) != packEnd || at < int64(len(packMagic)) || at+n*packRow+int64(packFooter) != size {
		return nil, corrupt(name, "bad footer")
	}
	rows := make([]byte, n*packRow)
	if _, err := f.ReadAt(rows, at); err != nil {
		return nil, fmt.Errorf("read pack index: %w", err)
	}
	if got, want := crc32.Checksum(rows, castagnoli), binary.BigEndian.Uint32(foot[12:]); got != want {
		return nil, corrupt(name, "index checksum %08x, want %08x", got, want)
	}
	return rows, nil
}

func parseRow(row []byte) packEntry {
	return packEntry{id: merkle.Hash(row[:32]), off: int64(binary.BigEndian.Uint64(row[32:])), n: binary.BigEndian.Uint32(row[40:])}
}
