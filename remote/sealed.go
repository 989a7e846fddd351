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

// A Sealed is a resource as received from a host, not yet verified.
type Sealed struct {
	Bytes     io.ReaderAt // the sealed bytes, from offset 0
	Size      int64       // the number of sealed bytes
	Leaf      merkle.Hash // SHA-256 of the sealed bytes, computed by the client
	Proof     merkle.Proof
	ChunkLens []uint32 // of the chunks, in order; empty: one chunk
}

// Open verifies the resource against the generation root, opens it with k and writes the plaintext
// to w. It checks that the leaf proves to root, that the chunk lengths add up, and that each chunk
// opens. A failed check is a [*VerificationError] of [CheckContent]; a decoy always fails. Open
// holds one chunk in memory at a time. If proof or lengths fail it writes nothing; if a chunk
// fails it has written the verified chunks before it.
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
	sealed := make([]byte, longest) // at most s.Size
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
			if len(s.ChunkLens) == 0 && s.Size > singleChunkMax {
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

// singleChunkMax is the largest sealed size that every chunker keeps in one chunk.
const singleChunkMax = 4 << 10

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// OpenContent returns the plaintext of r, after the checks of [Sealed.Open] against root. It
// ignores r.Root, which is unverified.
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

// Fetch reads one resource like [Client.Content], but holds only one part and one chunk in memory.
// It writes the sealed bytes to scratch, usually an [*os.File], from offset 0, and after verifying
// them the plaintext to w; see [Sealed.Open]. The caller clears scratch.
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
