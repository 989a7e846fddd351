package remotetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"time"

	"golang.org/x/crypto/chacha20"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// A Guest answers requests for one module like the reference's guest program (remote/PROTOCOL.md
// 8.4), without executing anything. Tests compare answers of hosts and of that program with it. It
// may be used concurrently if the module's reader may.
type Guest struct {
	Module *module.Module
	Now    func() time.Time // for requests with a time window. nil: time.Now
}

// Content answers an encoded [module.ContentRequest] with an encoded [module.ContentResponse]: the
// resource, or a decoy if the key is missing, the module requires a token, or the time is outside
// the window of the request. It ignores the range of a request. It repeats the root of a request,
// but the proof is always that of the module. It fails only if the request does not decode; an
// option tag other than 1 means that the option is absent.
func (g Guest) Content(ctx context.Context, request []byte) ([]byte, error) {
	var req module.ContentRequest
	if err := req.UnmarshalBinary(withoutOddTags(request, hashSize, pairSize, textSize,
		pairSize)); err != nil {
		return nil, err
	}
	root := g.root(req.Root)
	res, err := g.find(req.Key)
	if err != nil {
		return nil, err
	}
	if w := req.Window; w != nil {
		if now := g.now(); now < w[0] || now > w[1] {
			res = nil
		}
	}
	if res == nil {
		return server.GuestDecoy(req.Key, root).MarshalBinary()
	}
	proof, err := res.Proof()
	if err != nil {
		return nil, err
	}
	sealed, err := io.ReadAll(readerWithContext{ctx, res.Sealed()})
	if err != nil {
		return nil, err
	}
	answer := module.ContentResponse{Sealed: sealed, Proof: proof, Root: root,
		ChunkLens: chunkLens(res)}
	return answer.MarshalBinary()
}

// Proof answers an encoded [module.ProofRequest] with an encoded [module.ProofPrelude]. It is a
// decoy if Content would return one.
func (g Guest) Proof(ctx context.Context, request []byte) ([]byte, error) {
	var req module.ProofRequest
	if err := req.UnmarshalBinary(withoutOddTags(request, hashSize)); err != nil {
		return nil, err
	}
	root := g.root(req.Root)
	res, err := g.find(req.Key)
	if err != nil {
		return nil, err
	}
	if res == nil {
		hidden := keystream(seed(req.Key, "digstore-decoy-proof-v1"), 256)
		return (&module.ProofPrelude{
			Root:             root,
			OutputCommitment: merkle.Sum(append([]byte("digstore-decoy-output-v1"), req.Key[:]...)),
			ServingDigest:    merkle.Sum(append([]byte("digstore-decoy-serving-v1"), hidden...)),
		}).MarshalBinary()
	}
	served := sha256.New()
	if _, err := io.Copy(served, readerWithContext{ctx, res.Sealed()}); err != nil {
		return nil, err
	}
	indices, err := g.chunkIndices(req.Key)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	digest.Write(req.Key[:])
	binary.Write(digest, binary.BigEndian, indices)
	digest.Write(req.Nonce[:])
	return (&module.ProofPrelude{Root: root, OutputCommitment: merkle.Hash(served.Sum(nil)),
		ServingDigest: merkle.Hash(digest.Sum(nil))}).MarshalBinary()
}

// chunkIndices returns the indexes in the pool of the chunks of a resource, from the key table.
func (g Guest) chunkIndices(key merkle.Hash) ([]uint32, error) {
	s, err := g.Module.Section(module.SectionKeyTable)
	if err != nil {
		return nil, err
	}
	table, err := io.ReadAll(s)
	if err != nil {
		return nil, err
	}
	for table = table[min(4, len(table)):]; len(table) > 0; { // after the count
		var row module.KeyTableRow
		if err := row.UnmarshalBinary(table); err != nil {
			return nil, err
		}
		if row.Key == key {
			return row.ChunkIndices, nil
		}
		b, err := row.MarshalBinary()
		if err != nil {
			return nil, err
		}
		table = table[len(b):]
	}
	return nil, fs.ErrNotExist
}

// find returns the resource of key, or nil if there is none or it requires a token.
func (g Guest) find(key merkle.Hash) (*module.Resource, error) {
	info, err := g.Module.AuthInfo()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && info.RequiresJWT {
		return nil, nil
	}
	res, err := g.Module.Find(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return res, err
}

func (g Guest) root(asked *merkle.Hash) merkle.Hash {
	if asked != nil {
		return *asked
	}
	return g.Module.ID().Root
}

func (g Guest) now() uint64 {
	now := time.Now
	if g.Now != nil {
		now = g.Now
	}
	return uint64(max(0, now().Unix()))
}

type readerWithContext struct {
	ctx context.Context
	r   io.Reader
}

func (r readerWithContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func chunkLens(r *module.Resource) []uint32 {
	lens := make([]uint32, len(r.Chunks()))
	for i, c := range r.Chunks() {
		lens[i] = c.Len
	}
	return lens
}

const (
	hashSize = len(merkle.Hash{})
	pairSize = 16 // of two u64
	textSize = -1 // of u32 length || bytes
)

// withoutOddTags returns a request in which option tags other than 0 and 1 are replaced by 0. The
// options, of the given sizes, follow the key.
func withoutOddTags(request []byte, sizes ...int) []byte {
	b := bytes.Clone(request)
	at := hashSize
	for _, size := range sizes {
		if at >= len(b) {
			break
		}
		tag := b[at]
		at++
		if tag != 1 {
			b[at-1] = 0
			continue
		}
		if size == textSize {
			if len(b)-at < 4 {
				break
			}
			size = 4 + int(binary.BigEndian.Uint32(b[at:]))
		}
		if size < 0 || size > len(b)-at {
			break
		}
		at += size
	}
	return b
}

// seed returns H(key || tag), and keystream n bytes of ChaCha20 with a zero nonce
// (remote/PROTOCOL.md 8.4).
func seed(key merkle.Hash, tag string) merkle.Hash {
	return merkle.Sum(append(key[:len(key):len(key)], tag...))
}

func keystream(key merkle.Hash, n int) []byte {
	b := make([]byte, n)
	c, err := chacha20.NewUnauthenticatedCipher(key[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic(err) // key and nonce have the right lengths
	}
	c.XORKeyStream(b, b)
	return b
}
