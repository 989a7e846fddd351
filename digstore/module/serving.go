package module

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// A ContentRequest asks a guest for content. Its decoder refuses option tags other
// than 0 and 1; a guest takes them for 0.
type ContentRequest struct {
	Key    merkle.Hash
	Root   *merkle.Hash
	Range  *[2]uint64 // start, end; ignored by guests
	JWT    *[]byte
	Window *[2]uint64 // not before, not after, in Unix seconds
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (c *ContentRequest) MarshalBinary() ([]byte, error) { return marshal(c) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (c *ContentRequest) UnmarshalBinary(b []byte) error { return unmarshal(b, c) }

func (c *ContentRequest) encode(w *codec.Writer) {
	w.Fixed(c.Key[:])
	encodeOptionalHash(w, c.Root)
	encodeOptionalPair(w, c.Range)
	w.Option(c.JWT != nil)
	if c.JWT != nil {
		w.Bytes(*c.JWT)
	}
	encodeOptionalPair(w, c.Window)
}

func (c *ContentRequest) decode(r *codec.Reader) {
	*c = ContentRequest{}
	r.Fixed(c.Key[:])
	c.Root = decodeOptionalHash(r)
	c.Range = decodeOptionalPair(r)
	if r.Option() {
		jwt := append([]byte{}, r.Bytes()...)
		c.JWT = &jwt
	}
	c.Window = decodeOptionalPair(r)
}

// A ContentResponse is the answer of a guest: sealed bytes and their proof. Check it
// with merkle.Proof.Check against a root from another source.
type ContentResponse struct {
	Sealed    []byte // aliases the input when decoded
	Proof     merkle.Proof
	Root      merkle.Hash
	ChunkLens []uint32 // lengths of the chunks in Sealed; empty: one chunk
}

// MarshalBinary returns the encoding of FORMAT.md 10, chunk lengths
// included even when there are none.
func (c *ContentResponse) MarshalBinary() ([]byte, error) { return marshal(c) }

// UnmarshalBinary reads the encoding of FORMAT.md 10. The chunk
// lengths may be missing, as in an early version.
func (c *ContentResponse) UnmarshalBinary(b []byte) error { return unmarshal(b, c) }

func (c *ContentResponse) encode(w *codec.Writer) {
	w.Bytes(c.Sealed)
	proof, err := c.Proof.MarshalBinary()
	if err != nil {
		w.Fail(err)
	}
	w.Fixed(proof)
	w.Fixed(c.Root[:])
	encodeU32s(w, c.ChunkLens)
}

func (c *ContentResponse) decode(r *codec.Reader) {
	*c = ContentResponse{Sealed: r.Bytes()}
	r.Fixed(c.Proof.Leaf[:])
	for n := r.Count(33); n > 0 && r.Err() == nil; n-- {
		var s merkle.Step
		r.Fixed(s.Hash[:])
		s.Left = r.Bool()
		c.Proof.Path = append(c.Proof.Path, s)
	}
	r.Fixed(c.Proof.Root[:])
	r.Fixed(c.Root[:])
	if r.Len() > 0 {
		c.ChunkLens = decodeU32s(r)
	}
}

// A ProofRequest asks a guest for a proof prelude.
type ProofRequest struct {
	Key   merkle.Hash
	Root  *merkle.Hash
	Nonce [32]byte
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (p *ProofRequest) MarshalBinary() ([]byte, error) { return marshal(p) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (p *ProofRequest) UnmarshalBinary(b []byte) error { return unmarshal(b, p) }

func (p *ProofRequest) encode(w *codec.Writer) {
	w.Fixed(p.Key[:])
	encodeOptionalHash(w, p.Root)
	w.Fixed(p.Nonce[:])
}

func (p *ProofRequest) decode(r *codec.Reader) {
	*p = ProofRequest{}
	r.Fixed(p.Key[:])
	p.Root = decodeOptionalHash(r)
	r.Fixed(p.Nonce[:])
}

// A ProofPrelude is a commitment to an answer (FORMAT.md 10.2).
type ProofPrelude struct {
	Root             merkle.Hash
	OutputCommitment merkle.Hash // SHA-256 of the sealed bytes that were served
	ServingDigest    merkle.Hash // SHA-256 of key, chunk indices and nonce
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (p *ProofPrelude) MarshalBinary() ([]byte, error) { return marshal(p) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (p *ProofPrelude) UnmarshalBinary(b []byte) error { return unmarshal(b, p) }

func (p *ProofPrelude) encode(w *codec.Writer) {
	w.Fixed(p.Root[:])
	w.Fixed(p.OutputCommitment[:])
	w.Fixed(p.ServingDigest[:])
}

func (p *ProofPrelude) decode(r *codec.Reader) {
	*p = ProofPrelude{}
	r.Fixed(p.Root[:])
	r.Fixed(p.OutputCommitment[:])
	r.Fixed(p.ServingDigest[:])
}

// A PathWalk is the position of a guest in a resource. It is in no file.
type PathWalk struct {
	Key          merkle.Hash
	ChunkIndices []uint32
	Cursor       uint64
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (p *PathWalk) MarshalBinary() ([]byte, error) { return marshal(p) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (p *PathWalk) UnmarshalBinary(b []byte) error { return unmarshal(b, p) }

func (p *PathWalk) encode(w *codec.Writer) {
	w.Fixed(p.Key[:])
	encodeU32s(w, p.ChunkIndices)
	w.U64(p.Cursor)
}

func (p *PathWalk) decode(r *codec.Reader) {
	*p = PathWalk{}
	r.Fixed(p.Key[:])
	p.ChunkIndices = decodeU32s(r)
	p.Cursor = r.U64()
}

// An AttestationChallenge asks a host for an attestation. The signed message is
// "digstore:attest:v1" and the encoding.
type AttestationChallenge struct {
	Nonce     [32]byte
	Store     auth.StoreID
	Timestamp uint64 // Unix seconds
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (a *AttestationChallenge) MarshalBinary() ([]byte, error) { return marshal(a) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (a *AttestationChallenge) UnmarshalBinary(b []byte) error { return unmarshal(b, a) }

func (a *AttestationChallenge) encode(w *codec.Writer) {
	w.Fixed(a.Nonce[:])
	w.Fixed(a.Store[:])
	w.U64(a.Timestamp)
}

func (a *AttestationChallenge) decode(r *codec.Reader) {
	*a = AttestationChallenge{}
	r.Fixed(a.Nonce[:])
	r.Fixed(a.Store[:])
	a.Timestamp = r.U64()
}

// An AttestationResponse is the answer to an AttestationChallenge.
type AttestationResponse struct {
	HostKey    auth.PublicKey
	InstanceID [32]byte
	Signature  auth.Signature
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (a *AttestationResponse) MarshalBinary() ([]byte, error) { return marshal(a) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (a *AttestationResponse) UnmarshalBinary(b []byte) error { return unmarshal(b, a) }

func (a *AttestationResponse) encode(w *codec.Writer) {
	w.Fixed(a.HostKey[:])
	w.Fixed(a.InstanceID[:])
	w.Fixed(a.Signature[:])
}

func (a *AttestationResponse) decode(r *codec.Reader) {
	*a = AttestationResponse{}
	r.Fixed(a.HostKey[:])
	r.Fixed(a.InstanceID[:])
	r.Fixed(a.Signature[:])
}

func encodeOptionalHash(w *codec.Writer, h *merkle.Hash) {
	w.Option(h != nil)
	if h != nil {
		w.Fixed(h[:])
	}
}

func decodeOptionalHash(r *codec.Reader) *merkle.Hash {
	if !r.Option() {
		return nil
	}
	h := new(merkle.Hash)
	r.Fixed(h[:])
	return h
}

func encodeOptionalPair(w *codec.Writer, p *[2]uint64) {
	w.Option(p != nil)
	if p != nil {
		w.U64(p[0])
		w.U64(p[1])
	}
}

func decodeOptionalPair(r *codec.Reader) *[2]uint64 {
	if !r.Option() {
		return nil
	}
	return &[2]uint64{r.U64(), r.U64()}
}
