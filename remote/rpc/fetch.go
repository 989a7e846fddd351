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

// A Scratch keeps sealed bytes until they are believed: an [*os.File], usually.
type Scratch interface {
	io.ReaderAt
	io.WriterAt
}

// maxChunk is how long a chunk may be that Fetch opens, in bytes. Stores are cut into chunks of at most 256 KiB.
const maxChunk = 1 << 28

// Fetch reads one resource as [Client.ReadPrivate] does, with a window and a chunk of it in memory at a time: the sealed
// bytes go to scratch from its offset 0 on, and the plaintext to w when all of them have been proven. salt is nil for a
// public store. An error before that leaves w untouched; a chunk that does not open ends with what came before it
// written, which is the resource's own. The caller clears scratch.
func (c *Client) Fetch(ctx context.Context, u urn.URN, salt *urn.Salt, scratch Scratch, w io.Writer) error {
	if err := c.fetch(ctx, u, salt, scratch, w); err != nil {
		return fmt.Errorf("rpc: fetch %s: %w", u, err)
	}
	return nil
}

func (c *Client) fetch(ctx context.Context, u urn.URN, salt *urn.Salt, scratch Scratch, out io.Writer) error {
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
			return fmt.Errorf("keep sealed bytes: %w", err)
		}
	}
	bad := func(err error) error { return &remote.VerificationError{Check: remote.CheckContent, Err: err} }
	var proof merkle.Proof
	if err := proof.UnmarshalBinary(w.proof); err != nil {
		return bad(err)
	}
	if err := proof.Check(merkle.Hash(sum.Sum(nil)), w.root); err != nil {
		return bad(fmt.Errorf("the generation has no such resource, or the origin forged it: %w", err))
	}
	lens := w.lens
	if len(lens) == 0 {
		lens = []uint32{uint32(w.total)}
	}
	rest := w.total
	for _, n := range lens {
		if rest -= int64(n); rest < 0 || n > maxChunk {
			return bad(fmt.Errorf("a chunk of %d bytes in a content of %d", n, w.total))
		}
	}
	if rest != 0 {
		return bad(fmt.Errorf("the chunks do not add up to the content's %d bytes", w.total))
	}
	key := u.Key(salt)
	var sealed, plain []byte
	at := int64(0)
	for i, n := range lens {
		if int(n) > cap(sealed) {
			sealed = make([]byte, n) // at most what came
		}
		sealed = sealed[:n]
		if _, err := scratch.ReadAt(sealed, at); err != nil && err != io.EOF {
			return fmt.Errorf("read back sealed bytes: %w", err)
		}
		if plain, err = key.Open(plain[:0], sealed); err != nil {
			return bad(fmt.Errorf("open chunk %d of %d: %w", i, len(lens), err))
		}
		if _, err := out.Write(plain); err != nil {
			return err
		}
		at += int64(n)
	}
	return ctx.Err()
}
