package rpc

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// Fetch reads one resource as [Client.ReadPrivate] does, with one window and one chunk in memory.
// It writes the sealed bytes to scratch, from offset 0, and after they are proven it writes the
// plaintext to w; see [remote.Sealed]. salt is nil for a public store. The caller clears scratch.
func (c *Client) Fetch(ctx context.Context, u urn.URN, salt *urn.Salt, scratch interface {
	io.ReaderAt
	io.WriterAt
}, w io.Writer) error {
	if err := c.fetch(ctx, u, salt, scratch, w); err != nil {
		return fmt.Errorf("rpc: fetch %s: %w", u, err)
	}
	return nil
}

type readerWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

func (c *Client) fetch(ctx context.Context, u urn.URN, salt *urn.Salt, scratch readerWriterAt,
	out io.Writer) error {
	w, err := c.resource(ctx, u)
	if err != nil {
		return err
	}
	sum := sha256.New()
	for !w.done {
		at := w.at
		part, err := w.next(ctx)
		if err != nil {
			return err
		}
		sum.Write(part)
		if _, err := scratch.WriteAt(part, at); err != nil {
			return fmt.Errorf("write sealed bytes: %w", err)
		}
	}
	s := remote.Sealed{Bytes: scratch, Size: w.total,
		Leaf: merkle.Hash(sum.Sum(nil)), ChunkLens: w.lens}
	if err := s.Proof.UnmarshalBinary(w.proof); err != nil {
		return &remote.VerificationError{Check: remote.CheckContent, Err: err}
	}
	return s.Open(ctx, w.root, u.Key(salt), out)
}
