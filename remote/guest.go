package remote

import (
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/crypto/chacha20"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Guest answers for one module as the reference's guest program does (store-format §12), without executing
// anything: for hosts of that program, and to be held against it. Its decoys are a public formula. Safe for concurrent
// use if the module's reader is.
type Guest struct {
	Module *module.Module
	Now    func() time.Time // for requests that name a time window. nil: time.Now
}

// Content answers an encoded [module.ContentRequest] with an encoded [module.ContentResponse]: the resource, or a
// decoy for a key that is not there, for a module that wants a token, and outside the window of the request. The
// range of a request is ignored, and a root that it names is repeated: the proof is that of the module in any case. The
// only error of the request is that it does not decode.
func (g Guest) Content(ctx context.Context, request []byte) ([]byte, error) {
	var req module.ContentRequest
	if err := req.UnmarshalBinary(request); err != nil {
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
		return guestResponse(req.Key, root).MarshalBinary()
	}
	proof, err := res.Proof()
	if err != nil {
		return nil, err
	}
	sealed, err := io.ReadAll(readerWithContext{ctx, res.Sealed()})
	if err != nil {
		return nil, err
	}
	answer := module.ContentResponse{Sealed: sealed, Proof: proof, Root: root, ChunkLens: chunkLens(res)}
	return answer.MarshalBinary()
}

// Proof answers an encoded [module.ProofRequest] with an encoded [module.ProofPrelude], a decoy where Content has one.
func (g Guest) Proof(ctx context.Context, request []byte) ([]byte, error) {
	var req module.ProofRequest
	if err := req.UnmarshalBinary(request); err != nil {
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
	digest := sha256.New()
	digest.Write(req.Key[:])
	for row, err := range tableRows(g.Module) {
		if err != nil {
			return nil, err
		}
		if row.Key == req.Key {
			binary.Write(digest, binary.BigEndian, row.ChunkIndices)
			break
		}
	}
	digest.Write(req.Nonce[:])
	return (&module.ProofPrelude{Root: root, OutputCommitment: merkle.Hash(served.Sum(nil)),
		ServingDigest: merkle.Hash(digest.Sum(nil))}).MarshalBinary()
}

// find is the resource of key; nil when there is none, or nobody may see it.
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

// Sizes of guest decoys in bytes.
const (
	guestSmallest  = 1024
	guestLargest   = 256 << 10
	guestOneChunk  = 64 << 10
	guestLeastPart = 32 << 10
)

// guestResponse is the guest's decoy for a key (store-format 12.3).
func guestResponse(key, root merkle.Hash) *module.ContentResponse {
	size := guestSize(key)
	step := seed(key, "digstore-decoy-step-v1")
	return &module.ContentResponse{
		Sealed: keystream(seed(key, "digstore-decoy-bytes-v1"), size),
		Proof: merkle.Proof{Leaf: seed(key, "digstore-decoy-leaf-v1"),
			Path: []merkle.Step{{Hash: step, Left: step[0]&1 == 1}}, Root: root},
		Root:      root,
		ChunkLens: guestLens(key, size),
	}
}

func guestDecoy(key, root merkle.Hash) *Content {
	r := guestResponse(key, root)
	return inMemory(r.Sealed, root, &r.Proof, r.ChunkLens)
}

// guestSize is log-uniform over eight octaves.
func guestSize(key merkle.Hash) int {
	s := seed(key, "digstore-decoy-size-v1")
	v := binary.BigEndian.Uint64(s[:])
	lo := uint64(guestSmallest) << (v >> 61)
	hi := min(2*lo, guestLargest)
	return int(min(max(lo+(v&0xffffffff)*(hi-lo)>>32, guestSmallest), guestLargest))
}

func guestLens(key merkle.Hash, size int) []uint32 {
	if size <= guestOneChunk {
		return []uint32{uint32(size)}
	}
	random := keystream(seed(key, "digstore-decoy-chunklens-v1"), 4*(size/guestOneChunk+2))
	var lens []uint32
	rest := uint32(size)
	for rest > guestOneChunk {
		c := guestLeastPart + binary.BigEndian.Uint32(random)%guestOneChunk
		random = random[4:]
		if rest < c+guestLeastPart {
			c = rest
		}
		lens, rest = append(lens, c), rest-c
	}
	if rest > 0 {
		lens = append(lens, rest)
	}
	return lens
}

// seed is H(key || tag).
func seed(key merkle.Hash, tag string) merkle.Hash {
	return merkle.Sum(append(key[:len(key):len(key)], tag...))
}

// keystream is n bytes of ChaCha20 under a zero nonce.
func keystream(key merkle.Hash, n int) []byte {
	c, err := chacha20.NewUnauthenticatedCipher(key[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic(fmt.Sprintf("chacha20: %v", err)) // key and nonce have their lengths
	}
	var s cipher.Stream = c
	b := make([]byte, n)
	s.XORKeyStream(b, b)
	return b
}
