package digstore

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/digstore/internal/gc"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// GCOptions select the generations to keep. The head is always kept. nil keeps every generation,
// and GC removes only what none of them needs.
type GCOptions struct {
	// Keep is the number of newest generations to keep; 0, with no Roots, means all.
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
	// depend on chunks that nothing else needs. So if it is not 0, no pack was removed, and the
	// next GC removes them.
	Transfers int
}

// GC drops generations, and the chunks that only they use. Their lines stay in the history, as not
// held. Kept generations stay readable throughout, even if GC is interrupted: GC first copies the
// chunks that are needed and rewrites recipes that are built on dropped ones, and then removes
// files. While generations are being received it removes no pack.
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
