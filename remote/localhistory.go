package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A localHistory reads the history of a Local on demand. If the Local is a [History], a sync with
// nothing new does not read all of it.
type localHistory struct {
	of   Local
	all  []module.Generation // valid if read
	read bool
}

// lines returns the whole history, oldest first.
func (c *localHistory) lines(ctx context.Context) ([]module.Generation, error) {
	if !c.read {
		all, err := c.of.Generations(ctx)
		if err != nil {
			return nil, fmt.Errorf("remote: read local history: %w", err)
		}
		c.all, c.read = all, true
	}
	return c.all, nil
}

// line finds the line of a root.
func (c *localHistory) line(ctx context.Context,
	root merkle.Hash) (g module.Generation, ok bool, err error) {
	if l, has := c.of.(History); has && !c.read {
		g, err = l.Line(ctx, root)
		if errors.Is(err, fs.ErrNotExist) {
			return g, false, nil
		}
		if err != nil {
			return g, false, fmt.Errorf("remote: read local history: %w", err)
		}
		return g, true, nil
	}
	all, err := c.lines(ctx)
	if i := find(all, root); err == nil && i >= 0 {
		return all[i], true, nil
	}
	return g, false, err
}

// tail returns the last n lines, or all of them if there are fewer, oldest first.
func (c *localHistory) tail(ctx context.Context, n int) ([]module.Generation, error) {
	if l, has := c.of.(History); has && !c.read {
		last, err := l.Tail(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("remote: read local history: %w", err)
		}
		return last, nil
	}
	all, err := c.lines(ctx)
	return all[max(0, len(all)-n):], err
}

// next returns the number of the next line to append.
func (c *localHistory) next(ctx context.Context) (uint64, error) {
	last, err := c.tail(ctx, 1)
	if err != nil || len(last) == 0 {
		return 0, err
	}
	return last[0].Number + 1, nil
}

// appended adds lines that were installed.
func (c *localHistory) appended(lines []module.Generation) {
	if c.read {
		c.all = append(c.all, lines...)
	}
}

// find returns the last index of root in lines, or -1.
func find(lines []module.Generation, root merkle.Hash) int {
	for i, g := range slices.Backward(lines) {
		if g.Root == root {
			return i
		}
	}
	return -1
}

// recurs reports whether the last root of lines also occurs earlier in them.
func recurs(lines []module.Generation) bool {
	last := len(lines) - 1
	return last >= 0 && find(lines[:last], lines[last].Root) >= 0
}
