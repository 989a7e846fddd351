package module

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// A ChiaBlockRef names a block of the chain, as proof of freshness.
type ChiaBlockRef struct {
	HeaderHash merkle.Hash
	Height     uint32
	Timestamp  uint64 // unix seconds
}

// MarshalBinary returns the 44 bytes of FORMAT.md 10.
func (c *ChiaBlockRef) MarshalBinary() ([]byte, error) { return marshal(c) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (c *ChiaBlockRef) UnmarshalBinary(b []byte) error { return unmarshal(b, c) }

func (c *ChiaBlockRef) encode(w *codec.Writer) {
	w.Fixed(c.HeaderHash[:])
	w.U32(c.Height)
	w.U64(c.Timestamp)
}

func (c *ChiaBlockRef) decode(r *codec.Reader) {
	*c = ChiaBlockRef{}
	r.Fixed(c.HeaderHash[:])
	c.Height = r.U32()
	c.Timestamp = r.U64()
}

// A PublicInput is the public input of an execution proof.
type PublicInput struct {
	Nonce [32]byte
	Block ChiaBlockRef
}

// MarshalBinary returns the 76 bytes of FORMAT.md 10.
func (p *PublicInput) MarshalBinary() ([]byte, error) { return marshal(p) }

// UnmarshalBinary reads exactly 76 bytes; bytes that follow are an error.
func (p *PublicInput) UnmarshalBinary(b []byte) error { return UnmarshalStrict(b, p) }

func (p *PublicInput) encode(w *codec.Writer) {
	w.Fixed(p.Nonce[:])
	p.Block.encode(w)
}

func (p *PublicInput) decode(r *codec.Reader) {
	*p = PublicInput{}
	r.Fixed(p.Nonce[:])
	p.Block.decode(r)
}

// An ExecutionProof states that a guest program returned an output. This package has
// its encoding and no prover. Existing provers make mock proofs, which prove nothing.
type ExecutionProof struct {
	ProgramHash   merkle.Hash
	PublicInput   []byte // a PublicInput
	PublicOutput  merkle.Hash
	Proof         []byte
	Block         ChiaBlockRef
	NodeKey       auth.PublicKey
	NodeSignature auth.Signature
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (e *ExecutionProof) MarshalBinary() ([]byte, error) { return marshal(e) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (e *ExecutionProof) UnmarshalBinary(b []byte) error { return unmarshal(b, e) }

func (e *ExecutionProof) encode(w *codec.Writer) {
	w.Fixed(e.ProgramHash[:])
	w.Bytes(e.PublicInput)
	w.Fixed(e.PublicOutput[:])
	w.Bytes(e.Proof)
	e.Block.encode(w)
	w.Fixed(e.NodeKey[:])
	w.Fixed(e.NodeSignature[:])
}

func (e *ExecutionProof) decode(r *codec.Reader) {
	*e = ExecutionProof{}
	r.Fixed(e.ProgramHash[:])
	e.PublicInput = append([]byte(nil), r.Bytes()...)
	r.Fixed(e.PublicOutput[:])
	e.Proof = append([]byte(nil), r.Bytes()...)
	e.Block.decode(r)
	r.Fixed(e.NodeKey[:])
	r.Fixed(e.NodeSignature[:])
}

// A ProofResponse is an ExecutionProof and the root of the generation.
type ProofResponse struct {
	Proof ExecutionProof
	Root  merkle.Hash
}

// MarshalBinary returns the encoding of FORMAT.md 10.
func (p *ProofResponse) MarshalBinary() ([]byte, error) { return marshal(p) }

// UnmarshalBinary reads the encoding of FORMAT.md 10.
func (p *ProofResponse) UnmarshalBinary(b []byte) error { return unmarshal(b, p) }

func (p *ProofResponse) encode(w *codec.Writer) {
	p.Proof.encode(w)
	w.Fixed(p.Root[:])
}

func (p *ProofResponse) decode(r *codec.Reader) {
	p.Proof.decode(r)
	p.Root = merkle.Hash{}
	r.Fixed(p.Root[:])
}
