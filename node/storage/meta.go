package storage

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// Origin is how a generation came to the node.
type Origin uint8

// The origins.
const (
	Local  Origin = iota // the operator, through the API or a command
	Push                 // a caller of POST /datastore/push
	Gossip               // announced by a peer
	Repair               // fetched from peers to have more copies
	Fetch                // fetched from peers for a reader
	Module               // a module that was pushed to /stores
	origins
)

// String returns the name of the origin in lower case.
func (o Origin) String() string {
	if o < origins {
		return [...]string{"local", "push", "gossip", "repair", "fetch", "module"}[o]
	}
	return fmt.Sprintf("origin %d", uint8(o))
}

// Meta is the metadata of a generation that a node stores with its manifest.
type Meta struct {
	Origin     Origin
	Unattested bool           // accepted only for a credential: not announced to peers
	Received   uint64         // when it was stored, Unix seconds
	Retain     uint64         // when it may be dropped, Unix seconds; 0: never
	Generation uint64         // counts the generations of the datastore
	Signature  auth.Signature // of the root statement; zero: none
	Writer     auth.PublicKey // the key of Signature; zero without one
	Bribe      merkle.Hash    // the bribe distributor that the push named; zero: none
	Handle     string         // the handle that the push named; empty: none
	Credential string         // the name of the credential of the push; empty: none
}

// The limits of the texts of Meta in bytes.
const (
	maxHandle     = 256
	maxCredential = 256
)

const (
	metaVersion    = 1
	flagUnattested = 1
)

// ErrMeta reports a Meta that is malformed.
var ErrMeta = errors.New("malformed meta of a generation")

// Encode returns the canonical encoding, which Decode reads. Integers are big-endian, a text is a
// u32 length and its bytes, an option is 0, or 1 and the value:
//
//	u8 version = 1 || u8 origin || u8 flags || u64 received || u64 retain || u64 generation ||
//	option(signature(96) || writer(48)) || option(bribe(32)) || handle || credential
//
// Bit 0 of flags is Unattested; the others are 0.
func (m Meta) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var flags byte
	if m.Unattested {
		flags = flagUnattested
	}
	b := []byte{metaVersion, byte(m.Origin), flags}
	b = codec.AppendU64(b, m.Received)
	b = codec.AppendU64(b, m.Retain)
	b = codec.AppendU64(b, m.Generation)
	b = append(b, option(!m.Signature.IsZero()))
	if !m.Signature.IsZero() {
		b = append(append(b, m.Signature[:]...), m.Writer[:]...)
	}
	b = append(b, option(!m.Bribe.IsZero()))
	if !m.Bribe.IsZero() {
		b = append(b, m.Bribe[:]...)
	}
	for _, s := range []string{m.Handle, m.Credential} {
		b = append(codec.AppendU32(b, uint32(len(s))), s...)
	}
	return b, nil
}

func option(there bool) byte {
	if there {
		return 1
	}
	return 0
}

func (m Meta) check() error {
	switch {
	case m.Origin >= origins:
		return fmt.Errorf("%w: %v", ErrMeta, m.Origin)
	case m.Signature.IsZero() != m.Writer.IsZero():
		return fmt.Errorf("%w: a signature and its writer come together", ErrMeta)
	case len(m.Handle) > maxHandle:
		return fmt.Errorf("%w: handle of %d bytes, expected at most %d", ErrMeta, len(m.Handle),
			maxHandle)
	case len(m.Credential) > maxCredential:
		return fmt.Errorf("%w: name of a credential of %d bytes, expected at most %d", ErrMeta,
			len(m.Credential), maxCredential)
	case !utf8.ValidString(m.Handle) || !utf8.ValidString(m.Credential):
		return fmt.Errorf("%w: handle or name of a credential is not UTF-8", ErrMeta)
	}
	return nil
}

// DecodeMeta reads what Meta.Encode has written. Each value has exactly one encoding. Errors match
// ErrMeta.
func DecodeMeta(b []byte) (Meta, error) {
	r := codec.NewReader(b)
	version := r.U8()
	m := Meta{Origin: Origin(r.U8())}
	flags := r.U8()
	m.Unattested = flags&flagUnattested != 0
	m.Received, m.Retain, m.Generation = r.U64(), r.U64(), r.U64()
	if r.Option() {
		r.Fixed(m.Signature[:])
		r.Fixed(m.Writer[:])
		if m.Signature.IsZero() {
			r.Fail(errors.New("zero signature"))
		}
	}
	if r.Option() {
		r.Fixed(m.Bribe[:])
		if m.Bribe.IsZero() {
			r.Fail(errors.New("zero bribe distributor"))
		}
	}
	m.Handle, m.Credential = r.String(), r.String()
	switch err := r.Done(); {
	case err != nil:
		return Meta{}, fmt.Errorf("%w: %w", ErrMeta, err)
	case version != metaVersion:
		return Meta{}, fmt.Errorf("%w: version %d, expected %d", ErrMeta, version, metaVersion)
	case flags&^flagUnattested != 0:
		return Meta{}, fmt.Errorf("%w: flags %#x", ErrMeta, flags)
	}
	if err := m.check(); err != nil {
		return Meta{}, err
	}
	return m, nil
}
