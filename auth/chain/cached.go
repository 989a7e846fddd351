package chain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// A Cached is a [Source] that keeps settled spends on disk and does not request them again. It
// forwards all other requests to its source. It can wrap each source of a [Quorum], or the
// Quorum.
//
// A spend is kept once it is SettledDepth deep. To detect deeper reorganizations, Cached
// records the newest block whenever it keeps a spend. Before it first uses the disk, and
// whenever the height of the source's peak decreases, it checks that the latest recorded block
// is still on the chain, and removes the spends above the last one that is.
//
// The directory has a file for each spend, <coin id>-<height>.spend, and the file "blocks". It
// may be removed at any time. Several programs may use it, with the same source.
type Cached struct {
	source  Source
	dir     string
	settled uint32

	mu      sync.Mutex
	checked bool    // marks were read from the directory and checked
	marks   []Block // recorded blocks by ascending height, without times
	peak    Block   // the newest block
}

// maxMarks is how many blocks are recorded. If there are more, every second of the older ones
// is removed.
const maxMarks = 64

var (
	_ Source        = (*Cached)(nil)
	_ ChildSource   = (*Cached)(nil)
	_ HintSource    = (*Cached)(nil)
	_ PuzzleSource  = (*Cached)(nil)
	_ NetworkSource = (*Cached)(nil)
	_ TrustSource   = (*Cached)(nil)
)

// NewCached returns a Cached that keeps the spends of source in a directory. It creates the
// directory when it first writes. A settledDepth of 0 means 32.
func NewCached(source Source, dir string, settledDepth uint32) *Cached {
	if settledDepth == 0 {
		settledDepth = 32
	}
	return &Cached{source: source, dir: dir, settled: settledDepth}
}

// String returns the name of the source.
func (c *Cached) String() string { return nameOf(c.source) }

// Trust returns the Trust of the source.
func (c *Cached) Trust() Trust { return trustOf(c.source) }

// Peak implements [Source].
func (c *Cached) Peak(ctx context.Context) (*Block, error) {
	b, err := c.source.Peak(ctx)
	if err == nil && b != nil {
		c.mu.Lock()
		if b.Height < c.peak.Height {
			c.checked = false
		}
		c.peak = *b
		c.mu.Unlock()
	}
	return b, err
}

// BlockAt implements [Source].
func (c *Cached) BlockAt(ctx context.Context, height uint32) (*Block, error) {
	return c.source.BlockAt(ctx, height)
}

// CoinRecord implements [Source].
func (c *Cached) CoinRecord(ctx context.Context, id merkle.Hash) (*CoinRecord, error) {
	return c.source.CoinRecord(ctx, id)
}

// CoinSpend implements [Source].
func (c *Cached) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*CoinSpend, error) {
	name := filepath.Join(c.dir, fmt.Sprintf("%v-%d%s", id, height, spendSuffix))
	if data, err := regular.ReadFile(name, maxCacheFile); err == nil {
		if err := c.check(ctx); err != nil {
			return nil, err
		}
		sp, err := decodeSpend(data)
		if _, gone := os.Stat(name); gone == nil && err == nil && sp.Coin.ID() == id {
			return sp, nil
		}
	}
	sp, err := c.source.CoinSpend(ctx, id, height)
	if err != nil || sp == nil || sp.Coin.ID() != id {
		return sp, err
	}
	c.mu.Lock()
	deep := depth(c.peak, height) >= c.settled
	c.mu.Unlock()
	if !deep {
		return sp, nil
	}
	data, err := encodeSpend(sp)
	if err == nil {
		err = c.check(ctx)
	}
	if err == nil {
		err = c.markPeak()
	}
	if err == nil {
		err = writeFile(name, data)
	}
	if err != nil {
		return nil, fmt.Errorf("write a spend to %s: %w", c.dir, err)
	}
	return sp, nil
}

// markPeak adds the newest block to the marks.
func (c *Cached) markPeak() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.marks); n > 0 && c.marks[n-1].Height >= c.peak.Height {
		return nil
	}
	c.marks = append(c.marks, Block{Height: c.peak.Height, Hash: c.peak.Hash})
	if len(c.marks) > maxMarks {
		kept := c.marks[:0]
		for i, m := range c.marks {
			if i%2 == 0 || i >= maxMarks/2 {
				kept = append(kept, m)
			}
		}
		c.marks = kept
	}
	data, err := encodeMarks(c.marks)
	if err != nil {
		return err
	}
	if err := writeFile(c.blocks(), data); err != nil {
		return err
	}
	diskfs.RemoveStale(diskfs.OS(), c.dir)
	return nil
}

func (c *Cached) blocks() string { return filepath.Join(c.dir, "blocks") }

// check checks once that the latest mark is still on the chain, and removes the spends above
// the last mark that is.
func (c *Cached) check(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checked {
		return nil
	}
	data, err := regular.ReadFile(c.blocks(), maxCacheFile)
	if err == nil {
		c.marks = decodeMarks(data) // none if the file is damaged; then all spends are removed
	}
	n := len(c.marks)
	for n > 0 {
		found, err := blockAt(ctx, c.source, c.marks[n-1].Height)
		if err != nil {
			return err
		}
		if found != nil && found.Hash == c.marks[n-1].Hash {
			break
		}
		n--
	}
	if n < len(c.marks) || n == 0 {
		var above uint32
		if n > 0 {
			above = c.marks[n-1].Height
		}
		if err := c.drop(above); err != nil {
			return err
		}
		c.marks = slices.Clip(c.marks[:n])
	}
	c.checked = true
	return nil
}

const spendSuffix = ".spend"

// drop removes the spends above a height.
func (c *Cached) drop(above uint32) error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, f := range files {
		name, ours := strings.CutSuffix(f.Name(), spendSuffix)
		_, digits, cut := strings.Cut(name, "-")
		height, err := strconv.ParseUint(digits, 10, 32)
		if !ours || !cut || err != nil || uint32(height) <= above && above != 0 {
			continue
		}
		err = diskfs.OS().Remove(filepath.Join(c.dir, f.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Network implements [NetworkSource].
func (c *Cached) Network(ctx context.Context) (string, error) {
	if s, ok := c.source.(NetworkSource); ok {
		return s.Network(ctx)
	}
	return "", errors.ErrUnsupported
}

// Children implements [ChildSource].
func (c *Cached) Children(ctx context.Context, parents []merkle.Hash) ([]CoinRecord, error) {
	if s, ok := c.source.(ChildSource); ok {
		return s.Children(ctx, parents)
	}
	return nil, errors.ErrUnsupported
}

// ByHint implements [HintSource].
func (c *Cached) ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord,
	error) {
	if s, ok := c.source.(HintSource); ok {
		return s.ByHint(ctx, hint, includeSpent)
	}
	return nil, errors.ErrUnsupported
}

// ByPuzzleHash implements [PuzzleSource].
func (c *Cached) ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash,
	includeSpent bool) ([]CoinRecord, error) {
	if s, ok := c.source.(PuzzleSource); ok {
		return s.ByPuzzleHash(ctx, puzzleHash, includeSpent)
	}
	return nil, errors.ErrUnsupported
}

// A file of the cache has its content and the SHA-256 of the content. A spend: parent, puzzle
// hash, amount u64, puzzle and solution as bytes. The marks: a Vec of height u32 and hash.

func sealed(w *codec.Writer) ([]byte, error) {
	b, err := w.Done()
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), err
}

// unsealed returns a reader of the content. If the checksum is wrong the reader is empty, so
// reading fails.
func unsealed(b []byte) *codec.Reader {
	n := len(b) - sha256.Size
	if n < 0 || sha256.Sum256(b[:n]) != [32]byte(b[n:]) {
		return codec.NewReader(nil)
	}
	return codec.NewReader(b[:n])
}

func encodeSpend(sp *CoinSpend) ([]byte, error) {
	w := codec.NewWriter(make([]byte, 0, len(sp.Puzzle)+len(sp.Solution)+128))
	w.Fixed(sp.Coin.Parent[:])
	w.Fixed(sp.Coin.PuzzleHash[:])
	w.U64(sp.Coin.Amount)
	w.Bytes(sp.Puzzle)
	w.Bytes(sp.Solution)
	return sealed(w)
}

func decodeSpend(b []byte) (*CoinSpend, error) {
	r := unsealed(b)
	var sp CoinSpend
	r.Fixed(sp.Coin.Parent[:])
	r.Fixed(sp.Coin.PuzzleHash[:])
	sp.Coin.Amount = r.U64()
	sp.Puzzle, sp.Solution = r.Bytes(), r.Bytes()
	return &sp, r.Done()
}

func encodeMarks(marks []Block) ([]byte, error) {
	w := codec.NewWriter(nil)
	w.Count(len(marks))
	for _, m := range marks {
		w.U32(m.Height)
		w.Fixed(m.Hash[:])
	}
	return sealed(w)
}

func decodeMarks(b []byte) []Block {
	r := unsealed(b)
	var marks []Block
	for range r.Count(4 + 32) {
		m := Block{Height: r.U32()}
		r.Fixed(m.Hash[:])
		marks = append(marks, m)
	}
	if r.Done() != nil {
		return nil
	}
	return marks
}
