package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Descriptor is the answer to GET /stores/{id} (remote/PROTOCOL.md 5.1). Zero fields are
// absent.
type Descriptor struct {
	Root       merkle.Hash    // the head
	Size       int64          // bytes of the head's module
	PublicKey  auth.PublicKey // the key that the server verifies pushes with
	PushSig    auth.Signature // of the head; the tagged form if it is known
	Untagged   auth.Signature // the untagged form, if both are known
	Tombstones []auth.Tombstone
}

// descriptorBody is the JSON of a Descriptor, members in the order of remote/PROTOCOL.md 5.1.
type descriptorBody struct {
	CurrentRoot string          `json:"current_root"`
	Size        int64           `json:"size"`
	PublicKey   string          `json:"public_key"`
	PushSig     string          `json:"push_sig"`
	Untagged    string          `json:"push_sig_untagged,omitempty"`
	Tombstones  []TombstoneBody `json:"tombstones"`
}

// MarshalJSON writes the members in the order of remote/PROTOCOL.md 5.1.
func (d *Descriptor) MarshalJSON() ([]byte, error) {
	b := descriptorBody{CurrentRoot: d.Root.String(), Size: d.Size, Tombstones: []TombstoneBody{}}
	if !d.PublicKey.IsZero() {
		b.PublicKey = d.PublicKey.String()
	}
	if !d.PushSig.IsZero() {
		b.PushSig = d.PushSig.String()
	}
	if !d.Untagged.IsZero() {
		b.Untagged = d.Untagged.String()
	}
	for _, t := range d.Tombstones {
		body, err := EncodeTombstone(t)
		if err != nil {
			return nil, err
		}
		b.Tombstones = append(b.Tombstones, body)
	}
	return json.Marshal(b)
}

// UnmarshalJSON reads a descriptor. It ignores unknown members and tombstones that do not decode.
// Tombstones may be missing. A malformed root, key or signature, a negative size or an all-zero
// root is an error.
func (d *Descriptor) UnmarshalJSON(text []byte) error {
	var b descriptorBody
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	var (
		out  Descriptor
		errs [4]error
	)
	out.Root, errs[0] = merkle.ParseHash(b.CurrentRoot)
	out.PublicKey, errs[1] = Optional(b.PublicKey, auth.ParsePublicKey)
	out.PushSig, errs[2] = Optional(b.PushSig, auth.ParseSignature)
	out.Untagged, errs[3] = Optional(b.Untagged, auth.ParseSignature)
	for i, member := range [...]string{"current_root", "public_key", "push_sig", "push_sig_untagged"} {
		if errs[i] != nil {
			return fmt.Errorf("descriptor: %s: %w", member, errs[i])
		}
	}
	if out.Root.IsZero() {
		return errors.New("descriptor: current_root is all zeros")
	}
	if out.Size = b.Size; out.Size < 0 {
		return fmt.Errorf("descriptor: size %d is negative", b.Size)
	}
	for _, body := range b.Tombstones {
		if t, err := body.decode(); err == nil {
			out.Tombstones = append(out.Tombstones, t)
		}
	}
	*d = out
	return nil
}

// TombstoneBody is a tombstone in a descriptor, and the request of POST /stores/{id}/tombstone.
type TombstoneBody struct {
	Record    string `json:"record"`
	Signature string `json:"signature"`
}

// Optional parses a member. The empty string is the zero value.
func Optional[T any](s string, parse func(string) (T, error)) (T, error) {
	if s == "" {
		var zero T
		return zero, nil
	}
	return parse(s)
}

// EncodeTombstone returns the JSON form of a tombstone.
func EncodeTombstone(t auth.Tombstone) (TombstoneBody, error) {
	record, err := t.MarshalBinary()
	if err != nil {
		return TombstoneBody{}, fmt.Errorf("remote: encode tombstone: %w", err)
	}
	return TombstoneBody{hex.EncodeToString(record), t.Sig.String()}, nil
}

// decode reads record and signature; it does not check the signature.
func (b TombstoneBody) decode() (auth.Tombstone, error) {
	record, err := hex.DecodeString(b.Record)
	if err != nil {
		return auth.Tombstone{}, fmt.Errorf("record: %w", err)
	}
	sig, err := auth.ParseSignature(b.Signature)
	if err != nil {
		return auth.Tombstone{}, err
	}
	return auth.ParseTombstone(record, sig)
}
