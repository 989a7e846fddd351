package server

import (
	"io"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Digested is a reader of [Backend.Module] that knows a digest of the module: modules with
// different bytes have different digests. Padding, template and metadata lie outside the root, so a
// generation that was dropped may come back with other bytes. Optional; without it, and where the
// digest is zero, nothing is remembered of a module, and each request reads it anew.
type Digested interface {
	Digest() (merkle.Hash, error)
}

// A ContentKey names the bytes of a module, for what is remembered of them.
type ContentKey struct {
	ID     module.ID
	Size   int64
	Digest merkle.Hash // zero when the reader is not a Digested
}

// Known reports whether the key belongs to these bytes alone, so that what it names may be
// remembered.
func (k ContentKey) Known() bool { return !k.Digest.IsZero() }

// KeyOf returns the key of the module of a generation that was opened; r is at its beginning,
// before and after.
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
