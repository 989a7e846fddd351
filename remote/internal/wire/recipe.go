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

// This file and the others named recipe… are the extension that RECIPES.md specifies: a generation
// travels as its recipe and the chunks that the other side lacks.

const (
	// MaxBases is how many generations are named at most in one request for a recipe.
	MaxBases = 8
	// MaxRecipe is how many bytes the encoding of a recipe may have to travel: 32 MiB, which is some
	// 450,000 resources. Longer ones do not, and the module goes whole.
	MaxRecipe = 32 << 20

	TypeRecipe   = "application/vnd.dig.recipe"
	HeaderRecipe = "X-Dig-Recipe" // on a descriptor: the server takes recipes, and how
	// roots, 64 hex each: what a recipe may be packed against, or is
	HeaderBase   = "X-Dig-Recipe-Base"
	TakesRecipes = "1" // of HeaderRecipe: as RECIPES.md says

	packMagic  = "DIGRCPW1"
	PackHeader = len(packMagic) + len(merkle.Hash{}) + 8 + 4
	// MaxPack is how long a packed recipe may be: zstd adds less than that to what does not compress.
	MaxPack = MaxRecipe + MaxRecipe/128 + 64
	// thorough is from which length on a recipe is packed with the slowest search: only that one still
	// finds what moved in a dictionary of megabytes.
	thorough = 1 << 20
)

// PackRecipe returns the form in which a recipe travels: one zstd frame, for which the encoding of
// base is the dictionary, behind a header of 52 bytes that names base. base may be nil. What two
// generations of a store have in common costs next to nothing then.
//
// A recipe of more than MaxRecipe bytes, or with a chunk longer than module.MaxChunk, is
// [ErrTooLarge]. It takes some 30 ms and 16 MiB for 10,000 resources, and time in proportion for
// more.
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
		if level = zstd.SpeedBetterCompression; len(raw) > thorough {
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

// UnpackRecipe is the inverse of PackRecipe for what a stranger sent: it holds every length to
// MaxRecipe before it makes room for it. base is asked for the recipe that the header names, if it
// names one; its error comes back wrapped, and [ErrNoBase] when it is fs.ErrNotExist or gives
// another dictionary. Anything else that is wrong matches [module.ErrRecipe]. Whether it is the
// generation that is meant, the caller asks.
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
		zstd.WithDecoderMaxWindow(windowMost)}
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
			return nil, fmt.Errorf("%w: %s is written another way here", ErrNoBase, root)
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
		return nil, fmt.Errorf("%w: %d bytes in the frame, %d announced",
			module.ErrRecipe, len(raw), size)
	}
	return raw, nil
}

// windowMost is the largest window that a decoder takes: that of a frame which is its own window.
const windowMost = MaxRecipe

// readPack reads the header of a packed recipe, and that of its frame, which have to agree.
func readPack(b []byte) (base merkle.Hash, size int, err error) {
	bad := func(format string, args ...any) (merkle.Hash, int, error) {
		return base, 0, fmt.Errorf("%w: %s", module.ErrRecipe, fmt.Sprintf(format, args...))
	}
	if len(b) < PackHeader || string(b[:len(packMagic)]) != packMagic {
		return bad("no packed recipe of a known version")
	}
	base = merkle.Hash(b[8:])
	n := binary.BigEndian.Uint32(b[48:])
	if n > MaxRecipe {
		return bad("%d bytes announced, at most %d", n, MaxRecipe)
	}
	if base.IsZero() && binary.BigEndian.Uint64(b[40:]) != 0 {
		return bad("a dictionary of no generation")
	}
	var frame zstd.Header
	switch err := frame.Decode(b[PackHeader:]); {
	case err != nil:
		return bad("%v", err)
	case frame.Skippable, frame.DictionaryID != 0:
		return bad("a frame of another kind")
	case !frame.HasFCS || frame.FrameContentSize != uint64(n):
		return bad("the frame does not say that it has the %d bytes announced", n)
	case !frame.SingleSegment && frame.WindowSize > windowMost:
		return bad("a window of %d bytes, at most %d", frame.WindowSize, windowMost)
	}
	return base, int(n), nil
}

// encodeRecipe returns the encoding of a recipe, unless it is too long to travel.
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

// dictionaryID is by what the two sides know that they have the same dictionary.
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
