package incoming

import (
	"context"
	"fmt"
	"sync"

	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Parts is a generation that is received as a recipe and chunks.
type Parts struct {
	// To receives the chunks. nil: they are only checked.
	To *Transfer
	// Recipe is the recipe of the generation.
	Recipe *module.Recipe
	// Fetch calls put for each chunk, with its index in the pool of the recipe.
	Fetch func(put func(i int, sealed []byte) error) error
	// Base is the recipe of a verified generation; nil: none. Parts that both recipes share are not
	// verified again.
	Base *module.Recipe
	// More has further chunks of Base, outside of the store; nil: none.
	More *packdir.Alone
	// Resumable keeps the received chunks if the transfer fails.
	Resumable bool

	mu sync.Mutex
}

// Accept fetches the chunks, calls check on the module, and makes the pack durable. check may be
// nil. If the id of the module is not id, the error is module.ErrVerify.
func (p *Parts) Accept(ctx context.Context, id module.ID,
	check func(*module.Module) error) error {
	err := p.Fetch(func(i int, sealed []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return p.Put(i, sealed)
	})
	if err == nil {
		err = p.complete(ctx)
	}
	if err != nil {
		p.To.keep = p.To.pack.Flush() == nil && p.Resumable
		return err
	}
	if err := p.To.pack.EndChunks(); err != nil {
		return err
	}
	came := func(c module.Chunk) bool { return p.To.pack.Has(c.ID) }
	if err := CheckModule(p.Recipe.WithVerified(p.Base, came), p.To, id, check); err != nil {
		return err
	}
	return p.To.Seal()
}

// Put stores chunk i of the pool. It keeps no reference to sealed. If sealed is not the chunk, the
// error is module.ErrVerify. Several goroutines may call it.
func (p *Parts) Put(i int, sealed []byte) error {
	pool := p.Recipe.Pool()
	if i < 0 || i >= len(pool) {
		return fmt.Errorf("chunk %d of %d: %w", i, len(pool), module.ErrVerify)
	}
	c := pool[i]
	if int64(len(sealed)) != int64(c.Len) {
		return fmt.Errorf("chunk %s has %d bytes, want %d: %w",
			c.ID, len(sealed), c.Len, module.ErrVerify)
	}
	if got := merkle.Sum(sealed); got != c.ID {
		return fmt.Errorf("chunk %s has the hash %s: %w", c.ID, got, module.ErrVerify)
	}
	if p.To == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if had, err := p.have(c); had || err != nil {
		return err
	}
	return p.To.pack.Add(c.ID, sealed)
}

// have reports whether the store or the transfer has a chunk.
func (p *Parts) have(c module.Chunk) (bool, error) {
	if p.To.packs != nil {
		if had, err := p.To.packs.Holds(c); had || err != nil {
			return had, err
		}
	}
	return p.To.pack.Has(c.ID), nil
}

// complete copies the missing chunks from More, and returns an error if one is not there either.
func (p *Parts) complete(ctx context.Context) error {
	var buf []byte
	for i, c := range p.Recipe.Pool() {
		if p.To.pack.Has(c.ID) {
			continue
		}
		if had, err := p.have(c); err != nil {
			return err
		} else if had {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sealed, ok, err := p.More.Read(c, buf)
		if err == nil && !ok {
			err = packdir.Missing(c)
		}
		if err == nil {
			err = p.Put(i, sealed)
		}
		if err != nil {
			return err
		}
		buf = sealed[:0]
	}
	return nil
}
