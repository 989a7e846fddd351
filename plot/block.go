package plot

import (
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A Compression is how the blocks of a plot are stored. A block that does not
// get shorter is stored as it is.
type Compression string

// The compressions of the format.
const (
	None Compression = "none"
	LZ4  Compression = "lz4"
	Zstd Compression = "zstd"
)

const (
	codeNone = 0
	codeLZ4  = 1
	codeZstd = 2
)

// ParseCompression reads "none", "lz4" or "zstd".
func ParseCompression(s string) (Compression, error) {
	c := Compression(s)
	if _, err := c.code(); s == "" || err != nil {
		return "", fmt.Errorf("compression %q: expected none, lz4 or zstd", s)
	}
	return c, nil
}

// code returns the number of c in files. The empty string is Zstd.
func (c Compression) code() (uint8, error) {
	switch c {
	case None:
		return codeNone, nil
	case LZ4:
		return codeLZ4, nil
	case Zstd, "":
		return codeZstd, nil
	}
	return 0, fmt.Errorf("compression %q: expected none, lz4 or zstd", string(c))
}

func compressionOf(code uint8) Compression { return [...]Compression{None, LZ4, Zstd}[code] }

// An encoder compresses blocks. It is for one goroutine.
type encoder struct {
	code uint8
	lz4  lz4.Compressor
	zstd *zstd.Encoder
	buf  []byte
}

func newEncoder(code uint8) (*encoder, error) {
	e := &encoder{code: code}
	switch code {
	case codeLZ4:
		e.buf = make([]byte, lz4.CompressBlockBound(blockSize))
	case codeZstd:
		var err error
		e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithWindowSize(blockSize),
			zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

// encode returns the stored form of a block and whether that is the block
// itself. The result is valid until the next call.
func (e *encoder) encode(block []byte) (stored []byte, raw bool, err error) {
	switch e.code {
	case codeLZ4:
		n, err := e.lz4.CompressBlock(block, e.buf)
		if err != nil {
			return nil, false, fmt.Errorf("compress a block with lz4: %w", err)
		}
		stored = e.buf[:n]
	case codeZstd:
		e.buf = e.zstd.EncodeAll(block, e.buf[:0])
		stored = e.buf
	}
	if len(stored) == 0 || len(stored) >= len(block) {
		return block, true, nil
	}
	return stored, false, nil
}

// decodeBlock decodes the stored bytes of a block into dst, which has exactly
// the length of the content. It allocates nothing that depends on src.
func decodeBlock(dst, src []byte, code uint8) error {
	switch code {
	case codeLZ4:
		return decodeLZ4(dst, src)
	case codeZstd:
		return decodeZstd(dst, src)
	}
	return errors.New("compressed block without a compression")
}

func decodeLZ4(dst, src []byte) error {
	if err := checkLZ4(src, len(dst)); err != nil {
		return err
	}
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return fmt.Errorf("lz4: %w", err)
	}
	if n != len(dst) {
		return fmt.Errorf("lz4: %d bytes, expected %d", n, len(dst))
	}
	return nil
}

// checkLZ4 walks the sequences of an LZ4 block without decoding it: every
// match begins inside the output, offsets are not zero, and the output has
// exactly size bytes.
func checkLZ4(src []byte, size int) error {
	at, out := 0, 0
	length := func(n int) (int, bool) {
		if n < 15 {
			return n, true
		}
		for at < len(src) {
			c := src[at]
			at++
			n += int(c)
			if c != 255 {
				return n, true
			}
		}
		return 0, false
	}
	for at < len(src) {
		token := src[at]
		at++
		literals, ok := length(int(token >> 4))
		if !ok || literals > len(src)-at || literals > size-out {
			return errors.New("lz4: literals pass the end")
		}
		at, out = at+literals, out+literals
		if at == len(src) {
			if out != size {
				return fmt.Errorf("lz4: %d bytes, expected %d", out, size)
			}
			return nil
		}
		if len(src)-at < 2 {
			return errors.New("lz4: offset passes the end")
		}
		offset := int(src[at]) | int(src[at+1])<<8
		at += 2
		match, ok := length(int(token & 15))
		if match += 4; !ok || match > size-out {
			return errors.New("lz4: match passes the end")
		}
		if offset == 0 || offset > out {
			return fmt.Errorf("lz4: offset %d after %d bytes", offset, out)
		}
		out += match
	}
	return errors.New("lz4: no last literals")
}

// zstdDecoders holds decoders of one goroutine each, bounded in memory.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<20), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		panic(err) // the options are fixed: they are accepted always or never
	}
	return d
}}

func decodeZstd(dst, src []byte) error {
	if err := checkZstd(src, len(dst)); err != nil {
		return err
	}
	d := zstdDecoders.Get().(*zstd.Decoder)
	defer zstdDecoders.Put(d)
	out, err := d.DecodeAll(src, dst[:0:len(dst)])
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	if len(out) != len(dst) || len(out) > 0 && &out[0] != &dst[0] {
		return fmt.Errorf("zstd: %d bytes, expected %d", len(out), len(dst))
	}
	return nil
}

// checkZstd checks without decoding that src is exactly one frame that
// declares size bytes of content, wants no dictionary, and needs no window
// larger than a block.
func checkZstd(src []byte, size int) error {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	switch {
	case h.Skippable:
		return errors.New("zstd: skippable frame")
	case !h.HasFCS || h.FrameContentSize != uint64(size):
		return fmt.Errorf("zstd: content size %d (declared: %t), expected %d", h.FrameContentSize,
			h.HasFCS, size)
	case h.DictionaryID != 0:
		return fmt.Errorf("zstd: dictionary %d", h.DictionaryID)
	case h.WindowSize > blockSize:
		return fmt.Errorf("zstd: window of %d bytes, at most %d", h.WindowSize, blockSize)
	}
	at := h.HeaderSize
	for last := false; !last; {
		if len(src)-at < 3 {
			return errors.New("zstd: block header passes the end")
		}
		v := int(src[at]) | int(src[at+1])<<8 | int(src[at+2])<<16
		last = v&1 == 1
		length := v >> 3
		if v>>1&3 == 1 { // RLE: one byte
			length = 1
		}
		at += 3
		if length > len(src)-at {
			return errors.New("zstd: block passes the end")
		}
		at += length
	}
	if h.HasCheckSum {
		at += 4
	}
	if at != len(src) {
		return fmt.Errorf("zstd: frame of %d bytes in a block of %d", at, len(src))
	}
	return nil
}

// open checks the stored bytes of a block against its entry and decodes them.
// dst has exactly the length of the content; the result is dst, or src itself
// for a raw block.
func (e *blockEntry) open(dst, src []byte, code uint8, i int, at int64) ([]byte, error) {
	if got := crc32.Checksum(src, castagnoli); got != e.crc {
		return nil, damaged(ErrBlock, blockPart(i), at+e.offset, "checksum %08x, expected %08x",
			got, e.crc)
	}
	if e.raw {
		return src, nil
	}
	if err := decodeBlock(dst, src, code); err != nil {
		return nil, damaged(ErrBlock, blockPart(i), at+e.offset, "%v", err)
	}
	return dst, nil
}

// blockPart names block i in a FormatError.
func blockPart(i int) string { return fmt.Sprintf("block %d", i) }
