package pack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/damage"
)

// The file of a merged index (LAYOUT.md 6.3).
const (
	mergedMagic = "DIGRUN01"
	mergedRow   = rowSize + 4
)

var errMerged = damage.Errorf("not a whole index")

// Merge combines indexes of different packs. A chunk that is in several packs gets one row.
func Merge(list []*Index) *Index {
	type ref struct{ index, row int }
	out := &Index{width: mergedRow}
	var refs []ref
	first := make([]int, len(list)) // the number of the first pack of each index
	for i, x := range list {
		first[i] = len(out.packs)
		out.packs = append(out.packs, x.packs...)
		for row := range x.Len() {
			refs = append(refs, ref{i, row})
		}
	}
	id := func(r ref) []byte { return list[r.index].id(r.row) }
	slices.SortStableFunc(refs, func(a, b ref) int { return bytes.Compare(id(a), id(b)) })
	out.rows = make([]byte, 0, len(refs)*mergedRow)
	for i, r := range refs {
		if i > 0 && bytes.Equal(id(r), id(refs[i-1])) {
			continue
		}
		x := list[r.index]
		at := r.row * x.width
		pack := first[r.index] + x.packOf(r.row)
		out.rows = append(out.rows, x.rows[at:at+rowSize]...)
		out.rows = binary.BigEndian.AppendUint32(out.rows, uint32(pack))
	}
	return out
}

// Marshal returns the file of a merged index. The names of its packs have at most 255 bytes.
func (x *Index) Marshal() []byte {
	if x.width != mergedRow {
		x = Merge([]*Index{x})
	}
	b := append(make([]byte, 0, len(x.rows)+64*len(x.packs)+32), mergedMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.packs)))
	for _, p := range x.packs {
		b = append(b, byte(len(p)))
		b = append(b, p...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(x.Len()))
	b = append(b, x.rows...)
	sum := crc32.Checksum(b[len(mergedMagic)+4:], castagnoli)
	binary.BigEndian.PutUint32(b[len(mergedMagic):], sum)
	return b
}

// ParseMerged reads the file of a merged index. The index refers to b.
func ParseMerged(b []byte) (*Index, error) {
	if len(b) < len(mergedMagic)+8 || string(b[:len(mergedMagic)]) != mergedMagic {
		return nil, errMerged
	}
	b = b[len(mergedMagic):]
	if crc32.Checksum(b[4:], castagnoli) != binary.BigEndian.Uint32(b) {
		return nil, errMerged
	}
	n := binary.BigEndian.Uint32(b[4:])
	b = b[8:]
	if int64(n) > int64(len(b)) {
		return nil, errMerged
	}
	x := &Index{width: mergedRow}
	for range n {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return nil, errMerged
		}
		x.packs = append(x.packs, string(b[1:1+int(b[0])]))
		b = b[1+int(b[0]):]
	}
	if len(b) < 4 || int64(len(b)-4) != int64(binary.BigEndian.Uint32(b))*mergedRow {
		return nil, errMerged
	}
	x.rows = b[4:]
	for i := range x.Len() {
		if int64(binary.BigEndian.Uint32(x.rows[i*mergedRow+rowSize:])) >= int64(len(x.packs)) {
			return nil, errMerged
		}
	}
	return x, nil
}
