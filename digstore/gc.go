package digstore

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/digstore/internal/gc"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// GCOptions say which generations are kept. The head always is. With nil every generation is kept,
// and only what none of them needs is removed.
type GCOptions struct {
	// Keep is how many of the newest generations are kept; 0, with no Roots, means all.
	Keep int
	// Roots are further generations that are kept.
	Roots []merkle.Hash
	// Progress is called with bytes of chunks copied and to be copied.
	Progress func(done, total int64)
}

// A GCReport says what GC removed.
type GCReport struct {
	Dropped []module.Generation // no longer held
	Freed   int64               // bytes of packs
	// Transfers is the number of generations that were being received at the same time. They may
	// depend on chunks that nothing else needs, so with one or more no pack was removed. The next
	// GC removes them.
	Transfers int
}

// GC drops generations, and the chunks that only they use. Their lines stay in the history, as not
// held. Everything that is kept can be read at any time, also if GC is interrupted: what is needed
// of a pack is copied to a new one, and recipes that are built on dropped ones are rewritten,
// before anything is removed. While generations are being received no pack is removed.
func (s *Store) GC(ctx context.Context, o *GCOptions) (*GCReport, error) {
	if o == nil {
		o = &GCOptions{}
	}
	l, h, err := s.dir.LockHead(ctx)
	if err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	defer l.Close()
	report, err := gc.Run(ctx, s.dir, h, gc.Options(*o))
	if err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	return (*GCReport)(report), nil
}
