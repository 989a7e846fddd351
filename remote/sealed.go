package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// A Sealed is a resource as it came from a host: believed in nothing.
type Sealed struct {
	Bytes     io.ReaderAt // the sealed bytes, from offset 0 on
	Size      int64       // how many there are
	Leaf      merkle.Hash // SHA-256 of them, computed by the reader
	Proof     merkle.Proof
	ChunkLens []uint32 // of the chunks, in order; none: one chunk
}

// Open writes the plaintext to w, when it is the resource that k opens in the generation root,
// whole: the leaf proves to root, the chunk lengths add up, and each chunk opens. Anything else is
// a [*VerificationError] of [CheckContent], a decoy included: by this it is told. One chunk is in
// memory at a time. An error of proof or lengths leaves w untouched; a chunk that does not open
// ends with what came before it written, which is the resource's own.
func (s *Sealed) Open(ctx context.Context, root merkle.Hash, k *urn.Key, w io.Writer) error {
	bad := func(err error) error { return &VerificationError{Check: CheckContent, Err: err} }
	if err := s.Proof.Check(s.Leaf, root); err != nil {
		return bad(fmt.Errorf("no such resource, or forged content: %w", err))
	}
	lens := s.ChunkLens
	if len(lens) == 0 {
		if s.Size != int64(uint32(s.Size)) {
			return bad(fmt.Errorf("one chunk of %d bytes", s.Size))
		}
		lens = []uint32{uint32(s.Size)}
	}
	var sum, longest int64
	for _, n := range lens {
		sum, longest = sum+int64(n), max(longest, int64(n))
	}
	if sum != s.Size {
		return bad(fmt.Errorf("chunks of %d bytes together, the content has %d", sum, s.Size))
	}
	sealed := make([]byte, longest) // at most what came
	var plain []byte
	at := int64(0)
	for i, n := range lens {
		if err := ctx.Err(); err != nil {
			return err
		}
		if got, err := s.Bytes.ReadAt(sealed[:n], at); got < int(n) {
			return fmt.Errorf("remote: read back sealed bytes: %w", noEOF(err))
		}
		var err error
		if plain, err = k.Open(plain[:0], sealed[:n]); err != nil {
			if len(s.ChunkLens) == 0 && s.Size > surelyOne {
				return bad(fmt.Errorf("open %d bytes as one chunk: %w", s.Size, ErrNoChunkLengths))
			}
			return bad(fmt.Errorf("open chunk %d of %d: %w", i, len(lens), err))
		}
		if _, err := w.Write(plain); err != nil {
			return fmt.Errorf("remote: write content: %w", err)
		}
		at += int64(n)
	}
	return nil
}

// surelyOne is the most sealed bytes that no chunker cuts.
const surelyOne = 4 << 10

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// OpenContent returns the plaintext of what a server answered, held to the same as with
// [Sealed.Open]; r.Root, which came with it, counts for nothing.
func OpenContent(r *module.ContentResponse, root merkle.Hash, k *urn.Key) ([]byte, error) {
	s := Sealed{Bytes: bytes.NewReader(r.Sealed), Size: int64(len(r.Sealed)),
		Leaf: merkle.Sum(r.Sealed), Proof: r.Proof, ChunkLens: r.ChunkLens}
	var plain bytes.Buffer
	plain.Grow(len(r.Sealed))
	if err := s.Open(context.Background(), root, k, &plain); err != nil {
		return nil, err
	}
	return plain.Bytes(), nil
}

// Fetch reads one resource as [Client.Content] does, with a part and a chunk of it in memory at a
// time: the sealed bytes go to scratch, usually an [*os.File], from its offset 0 on, and the
// plaintext to w when all of them have been proven; see [Sealed.Open]. The caller clears scratch.
func (c *Client) Fetch(ctx context.Context, root merkle.Hash, name string, salt *urn.Salt,
	scratch interface {
		io.ReaderAt
		io.WriterAt
	}, w io.Writer) error {
	sum, size := sha256.New(), int64(0)
	proof, lens, err := c.contentParts(ctx, root, urn.RetrievalKey(c.url.Store, name), c.maxModule(),
		func(at int64, part []byte) error {
			sum.Write(part)
			size = at + int64(len(part))
			if _, err := scratch.WriteAt(part, at); err != nil {
				return fmt.Errorf("remote: store sealed bytes: %w", err)
			}
			return nil
		})
	if err != nil {
		return err
	}
	s := Sealed{Bytes: scratch, Size: size, Leaf: merkle.Hash(sum.Sum(nil)),
		Proof: proof, ChunkLens: lens}
	return s.Open(ctx, root, urn.NewKey(c.url.Store, name, salt), w)
}
