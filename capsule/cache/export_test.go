package cache

import (
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
)

// NewFS is New with L2's files on another file system.
func NewFS(src capsule.Source, o *Options, fsys diskfs.FS) (*Cache, error) {
	d := *o
	d.fs = fsys
	return New(src, &d)
}

// Settle waits until everything that was read has been taken up, and written where L2 is files.
func (c *Cache) Settle() { c.behind.Wait() }
