package server

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A DecoyKind selects the response for a retrieval key that a generation does not have. A miss is
// never an error. The client detects it when the proof fails or decryption fails.
type DecoyKind uint8

// The kinds of decoys.
const (
	// DecoyKeyed copies the length, the chunk lengths and the path shape of a resource of the same
	// generation, chosen by the key. Its bytes and siblings derive from a secret, and a hit costs the
	// same work. Only checking the proof reveals it (remote/PROTOCOL.md 8.4).
	DecoyKeyed DecoyKind = iota
	// DecoyReference is the decoy of the reference node: a power of two of bytes from a public
	// formula, and no proof. It hides nothing.
	DecoyReference
	// DecoyGuest is the decoy of the reference's guest program, also a public formula
	// (remote/PROTOCOL.md 8.4).
	DecoyGuest
)

// decoys makes decoys. Safe for concurrent use.
type decoys struct {
	kind   DecoyKind
	secret []byte

	leaves *lru.Cache[decoyID, merkle.Hash]
}

// decoyID identifies the decoy of a key in a generation, for one secret.
type decoyID struct {
	root, key merkle.Hash
	size      int64
}

// keptLeaves is how many leaves of decoys are cached, so that a decoy that is read in ranges is
// hashed once.
const keptLeaves = 4096

func newDecoys(kind DecoyKind, secret []byte) decoys {
	if len(secret) == 0 {
		secret = make([]byte, 32)
		rand.Read(secret) // never fails
	}
	return decoys{kind: kind, secret: slices.Clone(secret),
		leaves: newLRU[decoyID, merkle.Hash](keptLeaves)}
}

// makeDecoy returns the resource or the decoy that is served for key from an acquired module.
func (d *decoys) makeDecoy(v *indexedModule, key merkle.Hash) (*SealedResource, error) {
	at, hit := slices.BinarySearchFunc(v.keys, key, merkle.Hash.Compare)
	hit = hit && !v.gated
	switch {
	case d.kind == DecoyKeyed && len(v.keys) > 0:
		return d.keyed(v, key, at, hit)
	case hit:
		return genuine(v, key)
	case d.kind == DecoyGuest:
		return guestDecoy(key, v.id.Root), nil
	}
	return referenceDecoy(key, v.id.Root), nil
}

// genuine returns the resource of a key that the module has.
func genuine(v *indexedModule, key merkle.Hash) (*SealedResource, error) {
	res, err := v.mod.Find(key)
	if err != nil {
		return nil, err
	}
	proof, err := res.Proof()
	if err != nil {
		return nil, err
	}
	c := &SealedResource{Root: v.id.Root, Proof: &proof, ChunkLens: chunkLens(res),
		size: res.SealedSize()}
	c.read = func(p []byte, off int64) error { return readSealed(res, p, off) }
	return c, nil
}

// keyed returns the requested resource, or a decoy with the shape of another one. It does the same
// work for both: it reads the resource's bytes, generates and hashes the decoy's bytes, and
// generates siblings. Only the choice of the result differs.
func (d *decoys) keyed(v *indexedModule, key merkle.Hash, at int, hit bool) (*SealedResource,
	error) {
	root := v.id.Root
	pick := d.derive("shape", key, root)
	if place := int(binary.BigEndian.Uint64(pick[:]) % uint64(len(v.keys))); !hit {
		at = place
	}
	res, err := v.mod.At(at)
	if err != nil {
		return nil, err
	}
	proof, err := res.Proof()
	if err != nil {
		return nil, err
	}
	c := &SealedResource{Root: root, ChunkLens: chunkLens(res), size: res.SealedSize()}
	bytes := newStream(d.derive("bytes", key, root))
	siblings := newStream(d.derive("siblings", key, root))
	fake := merkle.Proof{Leaf: d.leaf(decoyID{root, key, c.size}, bytes),
		Path: slices.Clone(proof.Path), Root: root}
	for i := range fake.Path {
		siblings.read(fake.Path[i].Hash[:], int64(i*len(fake.Path[i].Hash)))
	}
	c.Proof = &proof
	if !hit {
		c.Proof = &fake
	}
	c.read = func(p []byte, off int64) error {
		scratch := copyBuffers.Get().(*[]byte)
		defer copyBuffers.Put(scratch)
		for len(p) > 0 {
			n := min(len(p), len(*scratch))
			sealed, made := p[:n], (*scratch)[:n]
			if !hit {
				sealed, made = made, sealed
			}
			if err := readSealed(res, sealed, off); err != nil {
				return err
			}
			bytes.read(made, off)
			p, off = p[n:], off+int64(n)
		}
		return nil
	}
	return c, nil
}

// derive returns a key for one purpose from the secret, a retrieval key and a root.
func (d *decoys) derive(purpose string, key, root merkle.Hash) (out [32]byte) {
	h := hmac.New(sha256.New, d.secret)
	h.Write(key[:])
	h.Write(root[:])
	io.WriteString(h, purpose)
	h.Sum(out[:0])
	return out
}

// leaf returns the hash of a whole decoy.
func (d *decoys) leaf(id decoyID, s stream) merkle.Hash {
	if known, ok := d.leaves.Get(id); ok {
		return known
	}
	h := sha256.New()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for off := int64(0); off < id.size; {
		p := (*buf)[:min(id.size-off, int64(len(*buf)))]
		s.read(p, off)
		h.Write(p)
		off += int64(len(p))
	}
	var leaf merkle.Hash
	h.Sum(leaf[:0])
	d.leaves.Add(id, leaf)
	return leaf
}

// A stream is a pseudo-random byte stream with random access: AES-256 in counter mode. The protocol
// names HMAC-SHA-256 over a counter. Without the secret the two are indistinguishable, and AES
// takes a thirtieth of the time.
type stream struct{ block cipher.Block }

func newStream(key [32]byte) stream {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	return stream{block}
}

// read fills p with the bytes at off.
func (s stream) read(p []byte, off int64) {
	var iv, skipped [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(off/aes.BlockSize))
	ctr := cipher.NewCTR(s.block, iv[:])
	skip := skipped[:off%aes.BlockSize]
	ctr.XORKeyStream(skip, skip)
	clear(p)
	ctr.XORKeyStream(p, p)
}

// referenceDecoy returns the reference node's decoy (remote/PROTOCOL.md 8.4): 256 << (key[0] mod 8)
// bytes, no proof.
func referenceDecoy(key, root merkle.Hash) *SealedResource {
	b := make([]byte, 0, 256<<(key[0]%8))
	for n := uint32(0); len(b) < cap(b); n++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(slices.Clip(key[:]), n))
		b = append(b, sum[:]...)
	}
	return inMemory(b, root, nil, []uint32{uint32(len(b))})
}

// inMemory returns a SealedResource over b.
func inMemory(b []byte, root merkle.Hash, proof *merkle.Proof, lens []uint32) *SealedResource {
	c := &SealedResource{Root: root, Proof: proof, ChunkLens: lens, size: int64(len(b))}
	c.read = func(p []byte, off int64) error {
		copy(p, b[off:])
		return nil
	}
	return c
}

func chunkLens(r *module.Resource) []uint32 {
	lens := make([]uint32, len(r.Chunks()))
	for i, c := range r.Chunks() {
		lens[i] = c.Len
	}
	return lens
}

// readSealed fills p with sealed bytes of a resource at off.
func readSealed(r *module.Resource, p []byte, off int64) error {
	if n, err := r.Sealed().ReadAt(p, off); n < len(p) {
		return fmt.Errorf("read sealed bytes: %w", err)
	}
	return nil
}
