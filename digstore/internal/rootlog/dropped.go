package rootlog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Dropped is the content of the file roots.dropped: the lines whose generations were dropped, as
// half-open ranges. The ranges ascend and do not touch. In a proven history, the generation of
// every other line must be held.
type Dropped [][2]uint64

const droppedMagic = "DIGDROP1"

// ParseDropped decodes the file. ok is false if the file is damaged.
func ParseDropped(b []byte) (d Dropped, ok bool) {
	head, sum := len(droppedMagic)+4, len(b)-4
	if sum < head || !bytes.HasPrefix(b, []byte(droppedMagic)) {
		return nil, false
	}
	if crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) {
		return nil, false
	}
	if int64(sum-head) != 16*int64(binary.BigEndian.Uint32(b[len(droppedMagic):])) {
		return nil, false
	}
	after := uint64(0)
	for b = b[head:sum]; len(b) > 0; b = b[16:] {
		r := [2]uint64{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
		if r[0] >= r[1] || r[0] < after || r[0] == after && len(d) > 0 {
			return nil, false
		}
		d, after = append(d, r), r[1]
	}
	return d, true
}

// Marshal encodes the file.
func (d Dropped) Marshal() []byte {
	b := append(make([]byte, 0, 16+16*len(d)), droppedMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(d)))
	for _, r := range d {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, r[0]), r[1])
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Has reports whether line n is in d.
func (d Dropped) Has(n uint64) bool {
	for _, r := range d {
		if n >= r[0] && n < r[1] {
			return true
		}
	}
	return false
}

// With returns the union of d and the lines [first, behind).
func (d Dropped) With(first, behind uint64) Dropped {
	if first >= behind {
		return d
	}
	var out Dropped
	for _, r := range d {
		switch {
		case r[1] < first:
			out = append(out, r)
		case r[0] > behind:
			if first < behind {
				out = append(out, [2]uint64{first, behind})
				first = behind
			}
			out = append(out, r)
		default:
			first, behind = min(first, r[0]), max(behind, r[1])
		}
	}
	if first < behind {
		out = append(out, [2]uint64{first, behind})
	}
	return out
}
