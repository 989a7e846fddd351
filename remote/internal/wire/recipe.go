package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/klauspost/compress/zstd"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// This file and recipebody.go encode the extension that RECIPES.md specifies: a generation is sent
// as its recipe and the chunks that the receiver does not have.

const (
	// MaxBases is how many generations a request for a recipe can name.
	MaxBases = 8
	// MaxRecipe is the longest encoding of a recipe that is sent: 32 MiB, about 450,000 resources. If
	// it is longer, the module is sent.
	MaxRecipe = 32 << 20

	TypeRecipe   = "application/vnd.dig.recipe"
	HeaderRecipe = "X-Dig-Recipe" // in the answer to a descriptor: the server accepts recipes
	// HeaderBase has roots, 64 hex each: the bases that the sender of a request holds, or the base
	// of the recipe
	HeaderBase   = "X-Dig-Recipe-Base"
	TakesRecipes = "1" // value of HeaderRecipe

	packMagic  = "DIGRCPW1"
	PackHeader = len(packMagic) + len(merkle.Hash{}) + 8 + 4
	// MaxPack is the longest packed recipe: zstd adds less than that to data that does not compress.
	MaxPack = MaxRecipe + MaxRecipe/128 + 64
	// slowSearch is the length from which recipes are packed with the slowest search. Only that one
	// finds moved data in a dictionary of megabytes.
	slowSearch = 1 << 20
)

// PackRecipe returns the packed form of a recipe: a header of 52 bytes that names base, and one
// zstd frame that has the encoding of base as its dictionary. base may be nil. The parts that two
// generations of a store have in common add almost nothing to the size.
//
// A recipe of more than MaxRecipe bytes, or with a chunk longer than module.MaxChunk, is
// [ErrTooLarge]. Packing takes about 30 ms and 16 MiB for 10,000 resources; the time grows in
// proportion.
func PackRecipe(r, base *module.Recipe) ([]byte, error) {
	raw, err := encodeRecipe(r)
	if err != nil {
		return nil, err
	}
	b := make([]byte, PackHeader, PackHeader+len(raw)/4)
	copy(b, packMagic)
	level, opts := zstd.SpeedFastest, []zstd.EOption(nil)
	if base != nil {
		dict, err := encodeRecipe(base)
		if err != nil {
			return nil, err
		}
		root := base.Root()
		copy(b[8:], root[:])
		copy(b[40:], dictionaryID(dict))
		opts = append(opts, zstd.WithEncoderDictRaw(0, dict),
			zstd.WithWindowSize(windowFor(len(dict)+len(raw))))
		if level = zstd.SpeedBetterCompression; len(raw) > slowSearch {
			level = zstd.SpeedBestCompression
		}
	}
	binary.BigEndian.PutUint32(b[48:], uint32(len(raw)))
	w, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderLevel(level),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))...)
	if err != nil {
		return nil, fmt.Errorf("pack recipe: %w", err)
	}
	defer w.Close()
	return w.EncodeAll(raw, b), nil
}

// UnpackRecipe is the inverse of PackRecipe for untrusted data: it compares every length with
// MaxRecipe before it allocates. It calls base for the recipe that the header names, if it names
// one, and returns the error of base wrapped, or [ErrNoBase] if that is fs.ErrNotExist or the
// recipe is another dictionary. Other errors match [module.ErrRecipe]. The caller checks that the
// recipe is of the generation that it asked for.
func UnpackRecipe(b []byte,
	base func(root merkle.Hash) (*module.Recipe, error)) (*module.Recipe, error) {
	raw, err := unpackRaw(b, base)
	if err != nil {
		return nil, fmt.Errorf("unpack recipe: %w", err)
	}
	r, err := module.ParseRecipe(raw)
	if err != nil {
		return nil, fmt.Errorf("unpack recipe: %w", err)
	}
	for _, c := range r.Pool() {
		if c.Len > module.MaxChunk {
			return nil, fmt.Errorf("unpack recipe: %w: a chunk of %d bytes, at most %d", module.ErrRecipe,
				c.Len, module.MaxChunk)
		}
	}
	return r, nil
}

func unpackRaw(b []byte, base func(root merkle.Hash) (*module.Recipe, error)) ([]byte, error) {
	root, size, err := readPack(b)
	if err != nil {
		return nil, err
	}
	opts := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(size)),
		zstd.WithDecoderMaxWindow(maxWindow)}
	if !root.IsZero() {
		known, err := base(root)
		if err != nil {
			return nil, noBase(root, err)
		}
		dict, err := encodeRecipe(known)
		if err != nil {
			return nil, err
		}
		if string(b[40:48]) != string(dictionaryID(dict)) {
			return nil, fmt.Errorf("%w: recipe of %s has another encoding here", ErrNoBase, root)
		}
		opts = append(opts, zstd.WithDecoderDictRaw(0, dict))
	}
	z, err := zstd.NewReader(nil, opts...)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	raw, err := z.DecodeAll(b[PackHeader:], make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", module.ErrRecipe, err)
	}
	if len(raw) != size {
		return nil, fmt.Errorf("%w: zstd frame has %d bytes, announced were %d",
			module.ErrRecipe, len(raw), size)
	}
	return raw, nil
}

// maxWindow is the largest window that a decoder accepts: that of a frame of MaxRecipe bytes.
const maxWindow = MaxRecipe

// readPack reads the header of a packed recipe and that of its frame, and checks that they agree.
func readPack(b []byte) (base merkle.Hash, size int, err error) {
	bad := func(format string, args ...any) (merkle.Hash, int, error) {
		return base, 0, fmt.Errorf("%w: %s", module.ErrRecipe, fmt.Sprintf(format, args...))
	}
	if len(b) < PackHeader || string(b[:len(packMagic)]) != packMagic {
		return bad("want the magic %q and %d bytes of header", packMagic, PackHeader)
	}
	base = merkle.Hash(b[8:])
	n := binary.BigEndian.Uint32(b[48:])
	if n > MaxRecipe {
		return bad("announced are %d bytes, want at most %d", n, MaxRecipe)
	}
	if base.IsZero() && binary.BigEndian.Uint64(b[40:]) != 0 {
		return bad("dictionary id without a base")
	}
	var frame zstd.Header
	switch err := frame.Decode(b[PackHeader:]); {
	case err != nil:
		return bad("%v", err)
	case frame.Skippable, frame.DictionaryID != 0:
		return bad("zstd frame is skippable or has a dictionary id")
	case !frame.HasFCS || frame.FrameContentSize != uint64(n):
		return bad("zstd frame does not announce %d bytes, as the header does", n)
	case !frame.SingleSegment && frame.WindowSize > maxWindow:
		return bad("window of %d bytes, want at most %d", frame.WindowSize, maxWindow)
	}
	return base, int(n), nil
}

// encodeRecipe returns the encoding of a recipe. One that is too long to be sent is ErrTooLarge.
func encodeRecipe(r *module.Recipe) ([]byte, error) {
	for _, c := range r.Pool() {
		if c.Len > module.MaxChunk {
			return nil, fmt.Errorf("encode recipe: %w: a chunk of %d bytes, at most %d", ErrTooLarge,
				c.Len, module.MaxChunk)
		}
	}
	raw, err := r.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode recipe: %w", err)
	}
	if len(raw) > MaxRecipe {
		return nil, fmt.Errorf("encode recipe: %w: %d bytes, at most %d", ErrTooLarge,
			len(raw), MaxRecipe)
	}
	return raw, nil
}

// dictionaryID returns the id by which the two sides compare their dictionaries.
func dictionaryID(dict []byte) []byte {
	sum := sha256.Sum256(dict)
	return sum[:8]
}

// windowFor returns the power of two, at least 1 KiB, that covers n bytes.
func windowFor(n int) int {
	w := zstd.MinWindowSize
	for w < n && w < zstd.MaxWindowSize {
		w *= 2
	}
	return w
}

func noBase(root merkle.Hash, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoBase) {
		return fmt.Errorf("%w: %s", ErrNoBase, root)
	}
	return fmt.Errorf("read recipe %s: %w", root, err)
}
