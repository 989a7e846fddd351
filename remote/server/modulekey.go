package server

import (
	"io"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Digested is a reader of [Backend.Module] that knows a digest of the module: modules with
// different bytes have different digests. The root does not cover padding, template and metadata,
// so a generation that is dropped and received again may have different bytes. Digested is
// optional. Without it, or with a zero digest, a module is not cached and each request parses it
// again.
type Digested interface {
	Digest() (merkle.Hash, error)
}

// A ContentKey identifies the bytes of a module, as a cache key.
type ContentKey struct {
	ID     module.ID
	Size   int64
	Digest merkle.Hash // zero when the reader is not a Digested
}

// Known reports whether the key identifies the bytes uniquely, so that they may be cached.
func (k ContentKey) Known() bool { return !k.Digest.IsZero() }

// KeyOf returns the key of an open module. r is at offset 0 before and after.
func KeyOf(id module.ID, r io.ReadSeeker) (ContentKey, error) {
	k := ContentKey{ID: id}
	var err error
	if d, ok := r.(Digested); ok {
		if k.Digest, err = d.Digest(); err != nil {
			return k, err
		}
	}
	if k.Size, err = r.Seek(0, io.SeekEnd); err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	return k, err
}
