package chaintest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

// A Chain is a blockchain in memory. It is a [chain.Source] with every optional interface. Any
// number of goroutines may read it while one writes.
type Chain struct {
	options Options

	mu      sync.Mutex
	blocks  []chain.Block // by height
	coins   map[merkle.Hash]*coin
	order   []merkle.Hash // coin ids in order of creation
	open    bool          // the newest block accepts more spends
	branch  uint32        // number of reorganizations
	minted  uint32        // number of coins without a parent on the chain
	calls   map[string]int
	network string
}

// Options are settings of a Chain. nil means the defaults.
type Options struct {
	// Network is the name of the network; default chain.Mainnet.
	Network string
	// Now returns the time of a new block; default time.Now.
	Now func() time.Time
}

// A coin is the chain's data of one coin.
type coin struct {
	chain.CoinRecord
	hint   merkle.Hash
	hinted bool
	spend  *chain.CoinSpend
}

// New returns a chain of one block without coins. options may be nil.
func New(options *Options) *Chain {
	c := &Chain{coins: map[merkle.Hash]*coin{}, calls: map[string]int{}}
	if options != nil {
		c.options = *options
	}
	if c.options.Now == nil {
		c.options.Now = time.Now
	}
	if c.network = c.options.Network; c.network == "" {
		c.network = chain.Mainnet
	}
	c.block(true)
	return c
}

// block adds a block and returns its height.
func (c *Chain) block(transactions bool) uint32 {
	height := uint32(len(c.blocks))
	b := chain.Block{Height: height}
	var seed [40]byte
	binary.BigEndian.PutUint32(seed[:], height)
	binary.BigEndian.PutUint32(seed[4:], c.branch)
	for i := len(c.blocks) - 1; i >= 0; i-- {
		if last := c.blocks[i]; last.Time != 0 {
			b.PrevTransaction = last.Height
			break
		}
	}
	if height > 0 {
		copy(seed[8:], c.blocks[height-1].Hash[:])
	}
	if transactions {
		b.Time = uint64(c.options.Now().Unix())
	}
	b.Hash = sha256.Sum256(seed[:])
	c.blocks = append(c.blocks, b)
	return height
}

// Farm adds n blocks without spends. Two in three have no transactions, and thus no time.
func (c *Chain) Farm(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.block(len(c.blocks)%3 == 0)
	}
}

// Together calls f and puts all its changes into one block.
func (c *Chain) Together(f func()) {
	c.mu.Lock()
	c.block(true)
	c.open = true
	c.mu.Unlock()
	f()
	c.mu.Lock()
	c.open = false
	c.mu.Unlock()
}

// Height returns the height of the newest block.
func (c *Chain) Height() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint32(len(c.blocks) - 1)
}

// Reorg removes every block above height with its coins and spends, and adds one other block. The
// caller calls [Store.Rewind] for stores that were spent in the removed blocks.
func (c *Chain) Reorg(height uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks = c.blocks[:height+1]
	c.branch++
	maps.DeleteFunc(c.coins, func(_ merkle.Hash, k *coin) bool { return k.Confirmed > height })
	kept := c.order[:0]
	for _, id := range c.order {
		if k := c.coins[id]; k != nil {
			kept = append(kept, id)
			if k.Spent > height {
				k.Spent, k.spend = 0, nil
			}
		}
	}
	c.order = kept
	c.block(true)
}

// Coin adds a coin without a parent on the chain.
func (c *Chain) Coin(puzzleHash merkle.Hash, amount uint64) chain.Coin {
	return c.coin(puzzleHash, amount, nil)
}

// Hinted is like Coin, for a coin with a hint.
func (c *Chain) Hinted(puzzleHash merkle.Hash, amount uint64, hint merkle.Hash) chain.Coin {
	return c.coin(puzzleHash, amount, &hint)
}

func (c *Chain) coin(puzzleHash merkle.Hash, amount uint64, hint *merkle.Hash) chain.Coin {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minted++
	k := chain.Coin{Parent: merkle.Sum(binary.BigEndian.AppendUint32([]byte("chaintest "), c.minted)),
		PuzzleHash: puzzleHash, Amount: amount}
	c.add(k, hint, c.next())
	return k
}

// next returns the height of the block for the next spend.
func (c *Chain) next() uint32 {
	if c.open {
		return uint32(len(c.blocks) - 1)
	}
	return c.block(true)
}

func (c *Chain) add(k chain.Coin, hint *merkle.Hash, height uint32) {
	r := &coin{CoinRecord: chain.CoinRecord{Coin: k, Confirmed: height, Time: c.blocks[height].Time}}
	if hint != nil {
		r.hint, r.hinted = *hint, true
	}
	id := k.ID()
	c.coins[id] = r
	c.order = append(c.order, id)
}

// Spend records the spend of an unspent coin on the chain and adds the coins made, each with the
// hint if it is not nil. It does not check that the spend makes these coins, so a test can make a
// false chain.
func (c *Chain) Spend(sp *chain.CoinSpend, made []chain.Coin, hint *merkle.Hash) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.coins[sp.Coin.ID()]
	if k == nil || k.Spent != 0 {
		return fmt.Errorf("chaintest: coin %v is not there to be spent", sp.Coin.ID())
	}
	height := c.next()
	k.Spent, k.spend = height, sp
	for _, m := range made {
		c.add(m, hint, height)
	}
	return nil
}
