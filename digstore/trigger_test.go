package digstore_test

import (
	"sync/atomic"

	"github.com/dig-network/digstore/internal/diskfs"
)

// A trigger calls act once, before the at-th operation on a disk. Operations may be concurrent.
type trigger struct {
	act       func()
	at, calls atomic.Int64
	fired     atomic.Bool
}

// on returns disk with the trigger.
func (g *trigger) on(disk diskfs.FS) diskfs.FS {
	return diskfs.Before(disk, func(string, string) error {
		if g.calls.Add(1) == g.at.Load() {
			g.fired.Store(true)
			g.act()
		}
		return nil
	})
}
