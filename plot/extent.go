package plot

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

const (
	extentHeaderSize = 136
	blockEntrySize   = 16
	blockLog2        = 17
	storedRaw        = 1 << 31 // in the length of a block entry
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An extentHeader is the start of the stored form of one capsule. FORMAT.md §8.
type extentHeader struct {
	store       auth.StoreID // of the first record that uses the extent
	index       uint32       // of that record
	size        uint32       // of the content in bytes
	hash        merkle.Hash
	compression uint8
	stored      int64 // from the start of the extent to the end of its last block
	chunkRoot   merkle.Hash
	tableCRC    uint32
}

func blocksOf(size uint32) int   { return int(capsule.BlockCount(size)) }
func subrootsOf(size uint32) int { return int(capsule.SubrootCount(size)) }

// blockLength returns the length of the content of block i.
func blockLength(size uint32, i int) int {
	return int(min(blockSize, int64(size)-int64(i)*blockSize))
}

// firstBlock returns the offset of the first block from the start of an
// extent.
func firstBlock(size uint32) int64 {
	return align(extentHeaderSize + blockEntrySize*int64(blocksOf(size)))
}

func (h *extentHeader) encode() []byte {
	b := make([]byte, extentHeaderSize)
	copy(b, extentMagic[:])
	be.PutUint32(b[0x04:], 1)
	copy(b[0x08:], h.store[:])
	be.PutUint32(b[0x28:], h.index)
	be.PutUint32(b[0x2C:], h.size)
	copy(b[0x30:], h.hash[:])
	b[0x50] = h.compression
	b[0x51] = blockLog2
	be.PutUint32(b[0x54:], uint32(blocksOf(h.size)))
	be.PutUint64(b[0x58:], uint64(h.stored))
	copy(b[0x60:], h.chunkRoot[:])
	be.PutUint32(b[0x80:], h.tableCRC)
	be.PutUint32(b[0x84:], crc32.Checksum(b[:0x84], castagnoli))
	return b
}

// parseExtentHeader reads the header of the extent at offset at.
func parseExtentHeader(b []byte, at int64) (*extentHeader, error) {
	if len(b) < extentHeaderSize {
		return nil, damaged(ErrExtent, "extent header", at, "%d bytes", len(b))
	}
	if !bytes.Equal(b[:4], extentMagic[:]) {
		return nil, damaged(ErrExtent, "extent header", at, "begins with %x, expected %x", b[:4],
			extentMagic)
	}
	if got, want := be.Uint32(b[0x84:]), crc32.Checksum(b[:0x84], castagnoli); got != want {
		return nil, damaged(ErrExtent, "extent header", at, "checksum %08x, expected %08x", got,
			want)
	}
	h := &extentHeader{
		store: auth.StoreID(b[0x08:0x28]), index: be.Uint32(b[0x28:]), size: be.Uint32(b[0x2C:]),
		hash: merkle.Hash(b[0x30:0x50]), compression: b[0x50], chunkRoot: merkle.Hash(b[0x60:0x80]),
		tableCRC: be.Uint32(b[0x80:]),
	}
	blocks, stored := be.Uint32(b[0x54:]), be.Uint64(b[0x58:])
	first := firstBlock(h.size)
	switch {
	case be.Uint32(b[4:]) != 1 || b[0x51] != blockLog2 || be.Uint16(b[0x52:]) != 0:
		return nil, damaged(ErrExtent, "extent header", at+4,
			"version, block size or flags differ from version 1")
	case h.compression > codeZstd:
		return nil, damaged(ErrExtent, "extent header", at+0x50, "compression %d, at most %d",
			h.compression, codeZstd)
	case blocks != uint32(blocksOf(h.size)):
		return nil, damaged(ErrExtent, "extent header", at+0x54, "%d blocks, expected %d", blocks,
			blocksOf(h.size))
	case stored < uint64(first)+uint64(blocks) || stored > uint64(first)+uint64(h.size):
		return nil, damaged(ErrExtent, "extent header", at+0x58,
			"%d bytes stored for %d bytes of content", stored, h.size)
	}
	h.stored = int64(stored)
	return h, nil
}

// belongsTo checks that the extent at r.Offset is that of the capsule of r.
func (h *extentHeader) belongsTo(r *Record) error {
	if h.size != r.Size || h.hash != r.Hash {
		return damaged(ErrExtent, "extent header", r.Offset,
			"capsule %s of %d bytes, the record says %s of %d bytes",
			h.hash, h.size, r.Hash, r.Size)
	}
	return nil
}

// A blockEntry says where one block lies in its extent.
type blockEntry struct {
	offset int64 // from the start of the extent
	length int   // of the stored bytes
	raw    bool
	crc    uint32
}

func (e *blockEntry) append(b []byte) []byte {
	length := uint32(e.length)
	if e.raw {
		length |= storedRaw
	}
	b = be.AppendUint64(b, uint64(e.offset))
	b = be.AppendUint32(b, length)
	return be.AppendUint32(b, e.crc)
}

// parseBlockEntry reads entry i of the block table of the extent at offset at.
// A block lies inside the extent, and its length fits its content.
func parseBlockEntry(b []byte, h *extentHeader, i int, at int64) (blockEntry, error) {
	length := be.Uint32(b[8:])
	e := blockEntry{length: int(length &^ storedRaw), raw: length&storedRaw != 0,
		crc: be.Uint32(b[12:])}
	offset := be.Uint64(b)
	content := blockLength(h.size, i)
	part := fmt.Sprintf("entry of block %d", i)
	switch {
	case e.raw && e.length != content, !e.raw && (e.length < 1 || e.length >= content):
		return e, damaged(ErrExtent, part, at, "%d bytes stored (raw: %t) for %d bytes of content",
			e.length, e.raw, content)
	case !e.raw && h.compression == codeNone:
		return e, damaged(ErrExtent, part, at, "compressed in an extent without compression")
	case offset < uint64(firstBlock(h.size)) || offset > uint64(h.stored) ||
		offset+uint64(e.length) > uint64(h.stored):
		return e, damaged(ErrExtent, part, at, "offset %d with %d bytes lies outside of the extent",
			offset, e.length)
	}
	e.offset = int64(offset)
	return e, nil
}

// readBlockTable reads and checks the whole block table of the extent at
// offset at: its checksum, and that its blocks follow each other without gaps
// up to the end of the extent. At most 32,768 entries are read.
func readBlockTable(r io.ReaderAt, h *extentHeader, at int64) ([]blockEntry, error) {
	n := blocksOf(h.size)
	b := make([]byte, n*blockEntrySize)
	if err := readFull(r, b, at+extentHeaderSize); err != nil {
		return nil, err
	}
	if got := crc32.Checksum(b, castagnoli); got != h.tableCRC {
		return nil, damaged(ErrExtent, "block table", at+extentHeaderSize,
			"checksum %08x, expected %08x", got, h.tableCRC)
	}
	list := make([]blockEntry, n)
	next := firstBlock(h.size)
	for i := range list {
		e, err := parseBlockEntry(b[i*blockEntrySize:], h, i, at)
		if err != nil {
			return nil, err
		}
		if e.offset != next {
			return nil, damaged(ErrExtent, fmt.Sprintf("entry of block %d", i), at,
				"offset %d, expected %d", e.offset, next)
		}
		next += int64(e.length)
		list[i] = e
	}
	if next != h.stored {
		return nil, damaged(ErrExtent, "block table", at, "blocks end at %d, the extent at %d",
			next, h.stored)
	}
	return list, nil
}

// readFull fills b from offset off. A file that ends before is
// io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at offset %d: %w", len(b), off, err)
}
