package chain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Static is a [Source] with the coins and blocks that were added to it, for tests and
// recorded data. It is safe for concurrent use.
type Static struct {
	mu      sync.Mutex
	name    string // of the network
	records map[merkle.Hash]CoinRecord
	spends  map[merkle.Hash]CoinSpend
	hints   map[merkle.Hash][]merkle.Hash
	blocks  []Block // by ascending height
}

var (
	_ Source        = (*Static)(nil)
	_ ChildSource   = (*Static)(nil)
	_ HintSource    = (*Static)(nil)
	_ PuzzleSource  = (*Static)(nil)
	_ NetworkSource = (*Static)(nil)
)

// NewStatic returns an empty chain of a network of that name, such as [Mainnet].
func NewStatic(network string) *Static { return &Static{name: network} }

// Add adds a coin with hints. It replaces a coin with the same id.
func (s *Static) Add(rec CoinRecord, hints ...merkle.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rec.Coin.ID()
	if s.records == nil {
		s.records, s.hints = make(map[merkle.Hash]CoinRecord), make(map[merkle.Hash][]merkle.Hash)
	}
	s.records[id] = rec
	for _, h := range hints {
		s.hints[h] = append(s.hints[h], id)
	}
}

// Spend adds the spend of a coin in the block at that height, and updates the coin's record.
func (s *Static) Spend(sp CoinSpend, height uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sp.Coin.ID()
	if s.spends == nil {
		s.spends = make(map[merkle.Hash]CoinSpend)
	}
	s.spends[id] = sp
	if rec, ok := s.records[id]; ok {
		rec.Spent = height
		s.records[id] = rec
	}
}

// Grow appends blocks in ascending height.
func (s *Static) Grow(blocks ...Block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks = append(s.blocks, blocks...)
}

// Cut removes the blocks and coins from a height on, and the spends in these blocks. It is the
// first half of a reorganization.
func (s *Static) Cut(height uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.blocks) > 0 && s.blocks[len(s.blocks)-1].Height >= height {
		s.blocks = s.blocks[:len(s.blocks)-1]
	}
	for id, rec := range s.records {
		switch {
		case rec.Confirmed >= height:
			delete(s.records, id)
			delete(s.spends, id)
		case rec.Spent >= height:
			rec.Spent = 0
			s.records[id] = rec
			delete(s.spends, id)
		}
	}
}

// String returns the name of the source.
func (s *Static) String() string { return "the static source" }

// CoinRecord implements [Source].
func (s *Static) CoinRecord(_ context.Context, id merkle.Hash) (*CoinRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.records[id]
	if !ok {
		return nil, nil
	}
	return &rec, nil
}

// CoinSpend implements [Source].
func (s *Static) CoinSpend(_ context.Context, id merkle.Hash, height uint32) (*CoinSpend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp, ok := s.spends[id]
	if !ok || s.records[id].Spent != height {
		return nil, nil
	}
	return &sp, nil
}

// Peak implements [Source].
func (s *Static) Peak(context.Context) (*Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.blocks) == 0 {
		return nil, fmt.Errorf("%w: the static source has no blocks", ErrUnavailable)
	}
	b := s.blocks[len(s.blocks)-1]
	return &b, nil
}

// BlockAt implements [Source].
func (s *Static) BlockAt(_ context.Context, height uint32) (*Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blocks {
		if b.Height == height {
			return &b, nil
		}
	}
	return nil, nil
}

// Network implements [NetworkSource].
func (s *Static) Network(context.Context) (string, error) { return s.name, nil }

// Children implements [ChildSource].
func (s *Static) Children(_ context.Context, parents []merkle.Hash) ([]CoinRecord, error) {
	return s.find(true, func(rec CoinRecord) bool { return slices.Contains(parents, rec.Coin.Parent) })
}

// ByPuzzleHash implements [PuzzleSource].
func (s *Static) ByPuzzleHash(_ context.Context, puzzleHash merkle.Hash,
	includeSpent bool) ([]CoinRecord, error) {
	return s.find(includeSpent, func(rec CoinRecord) bool { return rec.Coin.PuzzleHash == puzzleHash })
}

// ByHint implements [HintSource].
func (s *Static) ByHint(_ context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord,
	error) {
	return s.find(includeSpent, func(rec CoinRecord) bool {
		return slices.Contains(s.hints[hint], rec.Coin.ID())
	})
}

// find returns the records that match, oldest first.
func (s *Static) find(includeSpent bool, match func(CoinRecord) bool) ([]CoinRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []CoinRecord
	for _, rec := range s.records {
		if (includeSpent || rec.Spent == 0) && match(rec) {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b CoinRecord) int {
		return cmp.Or(cmp.Compare(a.Confirmed, b.Confirmed), a.Coin.ID().Compare(b.Coin.ID()))
	})
	return out, nil
}

// A Pinned has roots from a configuration, in place of the chain. It is an Anchor of package
// remote. Its tips have [StatusUnanchored]. It must not be changed while it is used.
type Pinned map[auth.StoreID]merkle.Hash

// CurrentRoot returns the pinned root, or [ErrStoreNotFound].
func (p Pinned) CurrentRoot(_ context.Context, store auth.StoreID) (merkle.Hash, error) {
	root, ok := p[store]
	if !ok {
		return root, fmt.Errorf("store %v: %w: no root is pinned for it", store, ErrStoreNotFound)
	}
	return root, nil
}

// Tip returns the pinned root with [StatusUnanchored]. Nothing else is known.
func (p Pinned) Tip(ctx context.Context, store auth.StoreID) (*Tip, error) {
	root, err := p.CurrentRoot(ctx, store)
	if err != nil {
		return nil, err
	}
	return &Tip{
		State:  State{Store: store, Generation: -1, Metadata: Metadata{Root: root}},
		Status: StatusUnanchored, Trust: TrustPinned, Source: "the configuration",
	}, nil
}
