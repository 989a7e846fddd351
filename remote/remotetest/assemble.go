package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

var (
	_ remote.Assembler     = (*Memory)(nil)
	_ server.RecipeBackend = (*Stores)(nil)
)

// Recipe implements [remote.Assembler].
func (m *Memory) Recipe(_ context.Context, root merkle.Hash) (*module.Recipe, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r, ok := m.held[root]; ok && m.line(root) >= 0 {
		return r, nil
	}
	return nil, m.absent(root)
}

// known is like Recipe but also returns recipes of pending generations.
func (m *Memory) known(root merkle.Hash) (*module.Recipe, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r, ok := m.held[root]; ok {
		return r, nil
	}
	return nil, m.absent(root)
}

// MissingChunks implements [remote.Assembler].
func (m *Memory) MissingChunks(_ context.Context, r *module.Recipe) ([]int, error) {
	var lacking []int
	seen := make(map[merkle.Hash]bool)
	for i, c := range r.Pool() {
		had, err := m.chunks.holds(c)
		if err != nil {
			return nil, fmt.Errorf("look for chunks in store %s: %w", m.id, err)
		}
		if !had && !seen[c.ID] {
			lacking = append(lacking, i)
		}
		seen[c.ID] = true
	}
	return lacking, nil
}

// holds reports whether a chunk is held. The error is [module.ErrVerify] when the held chunk has
// another length.
func (p *pool) holds(c module.Chunk) (bool, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, ok := p.byID[c.ID]
	if ok && r.Size() != 4+int64(c.Len) {
		return false, fmt.Errorf("chunk %s has %d bytes, the recipe says %d: %w", c.ID, r.Size()-4,
			c.Len, module.ErrVerify)
	}
	return ok, nil
}

// Assemble implements [remote.Assembler]. If Fetch fails, the chunks received are kept.
func (m *Memory) Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	a module.Assembly, check func(*module.Module) error) error {
	r := a.Recipe
	if len(lines) == 0 || lines[len(lines)-1].Root != r.Root() {
		return errors.New("assemble: the last line of history given is not that of the recipe")
	}
	if held := m.heldAgain(lines); held != nil {
		return m.installHeld(lines, head, held, check)
	}
	chunks, err := m.gather(ctx, a, check)
	if err != nil {
		return fmt.Errorf("assemble generation %s of store %s: %w", r.Root(), m.id, err)
	}
	return m.commit(lines, head, r, chunks)
}

// gather fetches the missing chunks of a generation and calls check on its module. It returns the
// fetched chunks.
func (m *Memory) gather(ctx context.Context, a module.Assembly,
	check func(*module.Module) error) (*pool, error) {
	r, base := a.Recipe, a.Base
	var known *module.Recipe
	if !base.IsZero() {
		var err error
		if known, err = m.known(base); err != nil {
			return nil, err
		}
	}
	came := &pool{byID: make(map[merkle.Hash]*bytes.Reader)}
	err := a.Fetch(func(i int, sealed []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i < 0 || i >= len(r.Pool()) {
			return fmt.Errorf("chunk %d of %d: %w", i, len(r.Pool()), module.ErrVerify)
		}
		c := r.Pool()[i]
		if got := merkle.Sum(sealed); got != c.ID || len(sealed) != int(c.Len) {
			return fmt.Errorf("chunk %s of %d bytes: %s of %d came: %w", c.ID, c.Len, got,
				len(sealed), module.ErrVerify)
		}
		return came.put(c, sealed)
	})
	if err != nil {
		m.chunks.take(came)
		return nil, err
	}
	all := module.ChunkSource(both{came, m.chunks})
	for _, c := range r.Pool() {
		if _, _, err := all.Chunk(c); err != nil {
			return nil, err
		}
	}
	mod, err := r.WithVerified(known, func(c module.Chunk) bool {
		had, _ := came.holds(c)
		return had
	}).Module(all)
	if err == nil && check != nil {
		err = check(mod)
	}
	return came, err
}

// both combines two pools.
type both struct{ first, second *pool }

// Chunk implements [module.ChunkSource].
func (b both) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if r, off, err := b.first.Chunk(c); err == nil {
		return r, off, nil
	}
	return b.second.Chunk(c)
}

// Recipe implements [server.RecipeBackend].
func (b *Stores) Recipe(_ context.Context, s auth.StoreID,
	root merkle.Hash) (*module.Recipe, error) {
	m, err := b.Store(s)
	if err != nil {
		return nil, err
	}
	return m.known(root)
}

// ReceiveRecipe implements [server.RecipeBackend].
func (b *Stores) ReceiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	head := p.Head
	m, err := b.Store(head.Store)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = NewMemory(head.Store, b.now), nil
	}
	if err != nil {
		return err
	}
	chunks, err := m.gather(ctx, a, check)
	if err != nil {
		return fmt.Errorf("receive generation %s of store %s: %w", head.Root, head.Store, err)
	}
	b.mu.Lock()
	if have, ok := b.byID[head.Store]; ok {
		m = have
	}
	b.byID[head.Store] = m
	b.mu.Unlock()
	return m.receive(a.Recipe, chunks, p)
}
