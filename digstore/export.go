package digstore

import (
	"context"
	"fmt"
	"io"

	"github.com/dig-network/digstore/merkle"
)

// Export writes a generation as a plain .dig module, bit for bit what was committed or received,
// and returns its length. The generation is verified before the first byte is written. Damage on
// the disk is module.ErrVerify or ErrCorrupt.
func (s *Store) Export(ctx context.Context, root merkle.Hash, w io.Writer,
	progress func(done, total int64)) (int64, error) {
	g, err := s.At(root)
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	if err := g.mod.Verify(ctx); err != nil {
		return 0, fmt.Errorf("export %s: %w", root, err)
	}
	r := g.mod.Reader()
	total, done := r.Size(), int64(0)
	buf := make([]byte, 1<<20)
	if progress != nil {
		progress(0, total)
	}
	for {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return done, fmt.Errorf("export %s: %w", root, werr)
			}
			done += int64(n)
			if progress != nil {
				progress(done, total)
			}
		}
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, fmt.Errorf("export %s: %w", root, err)
		}
	}
}
