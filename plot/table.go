package plot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Tables by their number. They are chained in this order by their hashes and
// stand in the file in the order 4, 1, 2, 3, 5, 6, 7.
const (
	metaTable   = 1
	anchorTable = 2
	indexTable  = 3
	dataTable   = 4
	merkleTable = 5
	workTable   = 6
	sealTable   = 7
)

// fileOrder is the order of the tables in the file.
var fileOrder = [7]int{dataTable, metaTable, anchorTable, indexTable, merkleTable, workTable,
	sealTable}

const tableHeaderSize = 128

// A tableHeader is the start of the header page of a table. FORMAT.md §3.
type tableHeader struct {
	index      int // 1 to 7
	previous   merkle.Hash
	bodyHash   merkle.Hash
	bodySize   int64
	entries    uint32
	difficulty int
	nonce      uint64
}

func (t *tableHeader) encode() []byte {
	b := make([]byte, tableHeaderSize)
	copy(b, tableMagic[:])
	be.PutUint32(b[0x04:], uint32(t.index))
	copy(b[0x08:], t.previous[:])
	copy(b[0x28:], t.bodyHash[:])
	be.PutUint64(b[0x48:], uint64(t.bodySize))
	be.PutUint32(b[0x50:], t.entries)
	be.PutUint32(b[0x58:], uint32(t.difficulty))
	be.PutUint64(b[0x60:], t.nonce)
	return b
}

// parseTableHeader reads the header page of table i, which begins at offset
// at. It does not check hashes.
func parseTableHeader(b []byte, i int, at int64) (*tableHeader, error) {
	part := fmt.Sprintf("C%d header", i)
	t := &tableHeader{
		index: i, previous: merkle.Hash(b[0x08:0x28]), bodyHash: merkle.Hash(b[0x28:0x48]),
		entries: be.Uint32(b[0x50:]), nonce: be.Uint64(b[0x60:]),
	}
	bodySize, difficulty := be.Uint64(b[0x48:]), be.Uint32(b[0x58:])
	switch {
	case !bytes.Equal(b[:4], tableMagic[:]):
		return nil, damaged(ErrTable, part, at, "begins with %x, expected %x", b[:4], tableMagic)
	case be.Uint32(b[4:]) != uint32(i):
		return nil, damaged(ErrTable, part, at+4, "table index %d, expected %d", be.Uint32(b[4:]),
			i)
	case bodySize > MaxSize:
		return nil, damaged(ErrTable, part, at+0x48, "body of %d bytes", bodySize)
	case be.Uint32(b[0x54:]) != 0:
		return nil, damaged(ErrTable, part, at+0x54, "flags %d, expected 0", be.Uint32(b[0x54:]))
	case difficulty > MaxDifficulty:
		return nil, damaged(ErrTable, part, at+0x58, "difficulty %d, at most %d", difficulty,
			MaxDifficulty)
	case be.Uint32(b[0x5C:]) != 0 || !isZero(b[0x68:pageSize]):
		return nil, damaged(ErrTable, part, at+0x5C, "unused bytes are not zero")
	}
	t.bodySize, t.difficulty = int64(bodySize), int(difficulty)
	return t, nil
}

var tableTag = []byte("dig:plot:table:v1")

// hash returns the table hash under the seed of the plot.
func (t *tableHeader) hash(seed merkle.Hash) merkle.Hash {
	b := make([]byte, 0, len(tableTag)+32+tableHeaderSize)
	b = append(b, tableTag...)
	b = append(b, seed[:]...)
	return sha256.Sum256(append(b, t.encode()...))
}

// mine sets the lowest nonce whose hash has the difficulty, and returns that
// hash.
func (t *tableHeader) mine(ctx context.Context, seed merkle.Hash) (merkle.Hash, error) {
	b := make([]byte, 0, len(tableTag)+32+tableHeaderSize)
	b = append(b, tableTag...)
	b = append(b, seed[:]...)
	at := len(b) + 0x60
	t.nonce = 0
	b = append(b, t.encode()...)
	for {
		if t.nonce%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return merkle.Hash{}, err
			}
		}
		be.PutUint64(b[at:], t.nonce)
		if h := sha256.Sum256(b); capsule.ZeroBits(h) >= t.difficulty {
			return h, nil
		}
		t.nonce++
	}
}

// checkTiling checks that the tables of h tile the file between page 0 and the
// footer in file order without a gap.
func checkTiling(h *header, tables *[7]tableHeader) error {
	next := int64(1)
	for _, i := range fileOrder {
		if int64(h.tables[i-1]) != next {
			return damaged(ErrTable, fmt.Sprintf("C%d", i), h.table(i),
				"begins at page %d, expected %d", h.tables[i-1], next)
		}
		next += 1 + pages(tables[i-1].bodySize)
	}
	if next*pageSize != h.size-pageSize {
		return damaged(ErrTable, "C7", h.table(sealTable), "ends at page %d, the footer is page %d",
			next, h.size/pageSize-1)
	}
	return nil
}

// checkChain checks that each table names the one before it, that all have the
// same difficulty and the work for it, and that the footer names the last. It
// returns the hashes of the tables.
func checkChain(
	h *header, tables *[7]tableHeader, seed, tip merkle.Hash,
) (hashes [7]merkle.Hash, err error) {
	var previous merkle.Hash
	for i := range tables {
		t := &tables[i]
		part, at := fmt.Sprintf("C%d header", i+1), h.table(i+1)
		if t.previous != previous {
			return hashes, damaged(ErrTable, part, at+0x08, "previous hash %s, expected %s",
				t.previous, previous)
		}
		if t.difficulty != tables[0].difficulty {
			return hashes, damaged(ErrTable, part, at+0x58, "difficulty %d, expected %d",
				t.difficulty, tables[0].difficulty)
		}
		previous = t.hash(seed)
		hashes[i] = previous
		if n := capsule.ZeroBits(previous); n < t.difficulty {
			return hashes, damaged(ErrTable, part, at+0x60,
				"hash has %d leading zero bits, expected %d", n, t.difficulty)
		}
	}
	if tip != previous {
		return hashes, damaged(ErrFooter, "footer", h.size-pageSize+48,
			"hash of C7 %s, expected %s", tip, previous)
	}
	return hashes, nil
}
