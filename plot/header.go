package plot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Sizes of the format in bytes. FORMAT.md §1.
const (
	pageSize  = 4096
	blockSize = capsule.BlockSize // of capsule content; the unit of compression

	// minPages counts page 0, the footer, a header page for each table, one page
	// each for the bodies of all tables but C3, and four for that of C3.
	minPages = 19
)

const (
	version = 1

	// MaxCapsules is the greatest number of capsules in one plot.
	MaxCapsules = 1 << 24
	// MaxDifficulty is the greatest number of leading zero bits that the work
	// in a plot may have.
	MaxDifficulty = capsule.MaxDifficulty
	// MaxSize is the greatest size of a plot file in bytes.
	MaxSize = (1<<32 - 1) * pageSize

	maxPath = 32
)

var (
	headerMagic = [4]byte{'D', 'I', 'G', '1'}
	tableMagic  = [4]byte{'D', 'I', 'G', 'T'}
	footerMagic = [4]byte{'D', 'I', 'G', 'F'}
	extentMagic = [4]byte{'D', 'I', 'G', 'C'}
)

var be = binary.BigEndian

// pages returns the number of pages that n bytes take.
func pages(n int64) int64 { return (n + pageSize - 1) / pageSize }

// align returns n rounded up to a whole number of pages.
func align(n int64) int64 { return pages(n) * pageSize }

func isZero(b []byte) bool {
	for len(b) > len(zeroPage) {
		if !bytes.Equal(b[:len(zeroPage)], zeroPage[:]) {
			return false
		}
		b = b[len(zeroPage):]
	}
	return bytes.Equal(b, zeroPage[:len(b)])
}

var zeroPage [pageSize]byte

// A header is page 0. FORMAT.md §2.
type header struct {
	created  uint64 // Unix seconds
	id       merkle.Hash
	capsules uint32
	tables   [7]uint32 // first page of C1 to C7
	size     int64     // of the file in bytes
}

// table returns the offset in bytes of table i, 1 to 7.
func (h *header) table(i int) int64 { return int64(h.tables[i-1]) * pageSize }

func (h *header) encode() []byte {
	b := make([]byte, pageSize)
	copy(b, headerMagic[:])
	be.PutUint32(b[4:], version)
	be.PutUint64(b[8:], h.created)
	copy(b[16:], h.id[:])
	be.PutUint32(b[48:], h.capsules)
	for i, p := range h.tables {
		be.PutUint32(b[52+4*i:], p)
	}
	be.PutUint32(b[4048:], 12) // page_shift
	be.PutUint32(b[4052:], 1)  // state: committed
	be.PutUint64(b[4056:], uint64(h.size))
	sum := sha256.Sum256(b[:4064])
	copy(b[4064:], sum[:])
	return b
}

// parseHeader reads page 0 of a file of size bytes. It checks everything that
// page 0 says about itself and that the tables lie inside the file.
func parseHeader(b []byte, size int64) (*header, error) {
	switch {
	case size < minPages*pageSize:
		if len(b) >= 4 && isZero(b) {
			return nil, damaged(ErrIncomplete, "page 0", 0, "all zero")
		}
		return nil, damaged(ErrTruncated, "file", -1, "%d bytes, the smallest plot has %d", size,
			minPages*pageSize)
	case size%pageSize != 0:
		return nil, damaged(ErrTruncated, "file", -1, "%d bytes is no multiple of %d", size,
			pageSize)
	case isZero(b):
		return nil, damaged(ErrIncomplete, "page 0", 0, "all zero")
	case !bytes.Equal(b[:4], headerMagic[:]):
		return nil, damaged(ErrMagic, "page 0", 0, "begins with %x, expected %x", b[:4],
			headerMagic)
	case be.Uint32(b[4:]) != version:
		return nil, damaged(ErrVersion, "page 0", 4, "version %d, expected %d", be.Uint32(b[4:]),
			version)
	}
	if sum := sha256.Sum256(b[:4064]); !bytes.Equal(sum[:], b[4064:pageSize]) {
		return nil, damaged(ErrHeader, "page 0", 4064, "hash %x, expected %x", b[4064:pageSize],
			sum)
	}
	h := &header{created: be.Uint64(b[8:]), id: merkle.Hash(b[16:48]), capsules: be.Uint32(b[48:])}
	switch fileSize := be.Uint64(b[4056:]); {
	case !isZero(b[80:4048]):
		return nil, damaged(ErrHeader, "page 0", 80, "padding is not zero")
	case be.Uint32(b[4048:]) != 12:
		return nil, damaged(ErrHeader, "page 0", 4048, "page shift %d, expected 12",
			be.Uint32(b[4048:]))
	case be.Uint32(b[4052:]) != 1:
		return nil, damaged(ErrHeader, "page 0", 4052, "state %d, expected 1", be.Uint32(b[4052:]))
	case h.created > 1<<62:
		return nil, damaged(ErrHeader, "page 0", 8, "creation time %d", h.created)
	case h.capsules == 0 || h.capsules > MaxCapsules:
		return nil, damaged(ErrHeader, "page 0", 48, "%d capsules, expected 1 to %d", h.capsules,
			MaxCapsules)
	case fileSize != uint64(size):
		return nil, damaged(ErrTruncated, "page 0", 4056, "file has %d bytes, header says %d", size,
			fileSize)
	}
	h.size = size
	for i := range h.tables {
		h.tables[i] = be.Uint32(b[52+4*i:])
	}
	return h, nil
}

// A footer is the last page. FORMAT.md §4.
type footer struct {
	size       int64
	id         merkle.Hash
	tip        merkle.Hash // table hash of C7
	headerHash [32]byte
}

func (f *footer) encode() []byte {
	b := make([]byte, pageSize)
	copy(b, footerMagic[:])
	be.PutUint32(b[4:], version)
	be.PutUint64(b[8:], uint64(f.size))
	copy(b[16:], f.id[:])
	copy(b[48:], f.tip[:])
	copy(b[80:], f.headerHash[:])
	sum := sha256.Sum256(b[:4064])
	copy(b[4064:], sum[:])
	return b
}

// parseFooter reads the last page, which begins at offset at, of the plot with
// header h and the hash of that header.
func parseFooter(b []byte, at int64, h *header, headerHash []byte) (*footer, error) {
	if sum := sha256.Sum256(b[:4064]); !bytes.Equal(sum[:], b[4064:pageSize]) {
		return nil, damaged(ErrFooter, "footer", at+4064, "hash %x, expected %x", b[4064:pageSize],
			sum)
	}
	f := &footer{size: h.size, id: h.id, tip: merkle.Hash(b[48:80]),
		headerHash: [32]byte(b[80:112])}
	switch {
	case !bytes.Equal(b[:4], footerMagic[:]):
		return nil, damaged(ErrFooter, "footer", at, "begins with %x, expected %x", b[:4],
			footerMagic)
	case be.Uint32(b[4:]) != version:
		return nil, damaged(ErrFooter, "footer", at+4, "version %d, expected %d", be.Uint32(b[4:]),
			version)
	case be.Uint64(b[8:]) != uint64(h.size):
		return nil, damaged(ErrFooter, "footer", at+8, "size %d, expected %d", be.Uint64(b[8:]),
			h.size)
	case merkle.Hash(b[16:48]) != h.id:
		return nil, damaged(ErrFooter, "footer", at+16, "plot id %x, expected %s", b[16:48], h.id)
	case !bytes.Equal(f.headerHash[:], headerHash):
		return nil, damaged(ErrFooter, "footer", at+80, "header hash %x, expected %x", b[80:112],
			headerHash)
	case !isZero(b[112:4064]):
		return nil, damaged(ErrFooter, "footer", at+112, "unused bytes are not zero")
	}
	return f, nil
}
