package digstore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

// lock takes the lock file at name. It waits for another holder until LockWait has passed or ctx
// ends. Locks order writers in this process and in others. Readers need none.
func (w *Workspace) lock(ctx context.Context, name string) (io.Closer, error) {
	wait := time.Duration(0)
	for {
		l, err := w.fs.TryLock(name)
		if !errors.Is(err, diskfs.ErrLocked) || wait >= w.lockWait {
			return l, err
		}
		const step = 5 * time.Millisecond
		wait += step
		timer := time.NewTimer(step)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(err, context.Cause(ctx))
		case <-timer.C:
		}
	}
}
