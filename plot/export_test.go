package plot

import (
	"bytes"
	"context"
	"os"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// DecodeBlock is decodeBlock, for tests of blocks by themselves.
var DecodeBlock = decodeBlock

// RepairFS is Repair on a file system of tests.
func RepairFS(ctx context.Context, fsys diskfs.FS, path string, src capsule.Source,
	progress func(Progress)) (*RepairReport, error) {
	return repairFS(ctx, fsys, fsys, path, src, progress)
}

// RepairTables repairs everything outside of the content of the plot at path
// from that of r, whatever isCopy says before.
func RepairTables(ctx context.Context, path string, r *Reader) (int, error) {
	f, size, err := openRegular(diskfs.OS(), path, os.O_RDWR)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	j := &repair{fs: diskfs.OS(), path: path, f: f}
	return j.tablesOf(ctx, size, r)
}

// EncodeIndex returns the body of C3 of records, which are in order.
func EncodeIndex(id merkle.Hash, records []Record) ([]byte, error) {
	list := recordSlice(records)
	x, err := newIndex(context.Background(), id, list, firstOfHash(sameHash(list)))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = x.write(func(b []byte) error {
		out.Write(b)
		return nil
	})
	return out.Bytes(), err
}

// ParseParts parses b, two pages, as each part of a plot.
func ParseParts(b []byte) {
	h := &header{capsules: 3, size: 100 * pageSize}
	parseHeader(b, 100*pageSize)
	parseFooter(b, 99*pageSize, h, b[:32])
	for i := 1; i <= 7; i++ {
		parseTableHeader(b, i, 0)
	}
	t := &tableHeader{entries: be.Uint32(b[120:])}
	parseMeta(b, 0, t, h)
	parseAnchor(b[:anchorBodySize], 0)
	parseIndexHead(b, 0, be.Uint32(b), 1<<20)
	parseBucket(b, 0, func(Record) bool { return true })
	parseMerkleEntry(b, 1, be.Uint32(b[48:]), 3, 1<<20, 0)
	parseSteps(b[:3*stepSize], 0)
	if x, err := parseExtentHeader(b, 0); err == nil {
		readBlockTable(bytes.NewReader(b), x, 0)
	}
	parseBlockEntry(b, &extentHeader{size: be.Uint32(b[16:]), stored: int64(be.Uint32(b[20:]))}, 0,
		0)
}
