package recipefile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/merkle"
)

const (
	// Ext ends the names of recipe files.
	Ext = ".recipe"
	// HeaderSize is the length of the header of a file in bytes.
	HeaderSize = len(magic) + 1 + 32 + 8 + 4
	// MaxDepth is the longest chain of files on which a file may be built.
	MaxDepth = 6
	// MaxBody is the largest body in bytes. A recipe has some 70 bytes for each resource.
	MaxBody = 1 << 30

	magic = "DIGRCPE1"
	// aloneEvery is the distance between generations whose files have no base.
	aloneEvery = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Header is the beginning of a file.
type Header struct {
	Depth int         // length of the chain of bases
	Base  merkle.Hash // root of the file that this one is built on; zero at depth 0
	Size  int64       // bytes of the body
	Sum   uint32      // CRC-32C of the body
}

// ParseHeader reads the header of a file. Any error matches module.ErrDamaged.
func ParseHeader(file []byte) (Header, error) {
	if len(file) < HeaderSize || string(file[:len(magic)]) != magic {
		return Header{}, damage.Errorf("not a recipe")
	}
	b := file[len(magic):HeaderSize]
	size := binary.BigEndian.Uint64(b[33:])
	h := Header{Depth: int(b[0]), Base: merkle.Hash(b[1:33]), Size: int64(size),
		Sum: binary.BigEndian.Uint32(b[41:])}
	if size > MaxBody || h.Depth > MaxDepth || (h.Depth == 0) != h.Base.IsZero() {
		return Header{}, damage.Errorf("bad header")
	}
	return h, nil
}

// Decode returns the body in a file. base is the body of the file that the header names; it is
// ignored at depth 0. Any error matches module.ErrDamaged.
func Decode(file, base []byte) ([]byte, error) {
	h, err := ParseHeader(file)
	if err != nil {
		return nil, err
	}
	if h.Depth == 0 {
		base = nil
	} else if base == nil {
		base = []byte{}
	}
	body, err := inflate(file[HeaderSize:], base, int(h.Size))
	if err != nil {
		return nil, damage.Errorf("%v", err)
	}
	if int64(len(body)) != h.Size || crc32.Checksum(body, castagnoli) != h.Sum {
		return nil, damage.Errorf("the body does not have the length and checksum of its header")
	}
	return body, nil
}

// A Base is a file on which another file is built.
type Base struct {
	Root  merkle.Hash
	Depth int
	Body  []byte
}

// Encode returns the file of a body. It stores the difference from base, or the body if base is
// nil. The depth of base must be below MaxDepth.
func Encode(body []byte, base *Base) ([]byte, error) {
	var h Header
	content := body
	if base != nil {
		content, h.Depth, h.Base = appendDelta(nil, base.Body, body), base.Depth+1, base.Root
	}
	b := append(make([]byte, 0, HeaderSize+len(body)/2), magic...)
	b = append(b, byte(h.Depth))
	b = append(b, h.Base[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return deflate(b, content)
}

// Bases returns the numbers of the generations on which the file of generation n may be built, in
// the order of preference: n with its lowest set bit cleared, then the next one, and so on. A
// multiple of 64 has none.
func Bases(n uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for n%aloneEvery != 0 {
			n &= n - 1
			if !yield(n) {
				return
			}
		}
	}
}

// deflate appends content as one zstd frame.
func deflate(dst, content []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(windowFor(len(content))))
	if err != nil {
		return nil, fmt.Errorf("compress recipe: %w", err)
	}
	defer w.Close()
	return w.EncodeAll(content, dst), nil
}

// inflate decompresses a frame and returns the body, which should have size bytes.
func inflate(frame, base []byte, size int) ([]byte, error) {
	most := size
	if base != nil {
		most = 3*size + 64 // a difference is never three times as long as the body
	}
	most = max(most, zstd.MinWindowSize) // the decoder rejects every frame with a lower limit
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(uint64(most)), zstd.WithDecoderMaxWindow(MaxBody))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := r.DecodeAll(frame, make([]byte, 0, min(size, 16<<20)))
	if err != nil || base == nil {
		return body, err
	}
	return applyDelta(base, body, size)
}

// windowFor returns the power of two, at least 1 KiB, that covers n bytes.
func windowFor(n int) int {
	w := zstd.MinWindowSize
	for w < n && w < zstd.MaxWindowSize {
		w *= 2
	}
	return w
}
