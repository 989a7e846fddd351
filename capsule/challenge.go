package capsule

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
)

// ChallengeType says which proofs a challenge asks for.
type ChallengeType uint8

// The types, with their names in JSON.
const (
	Full              ChallengeType = iota // "full": all proofs; no work when WorkBits is 0
	PlotOwnership                          // "plot_ownership": ownership
	DataInclusion                          // "data_inclusion": ownership and inclusion
	ComputationalWork                      // "computational_work": ownership, inclusion and work
	PhysicalAccess                         // "physical_access": ownership, inclusion and access
)

var challengeNames = [...]string{"full", "plot_ownership", "data_inclusion", "computational_work",
	"physical_access"}

// String returns the name in JSON.
func (t ChallengeType) String() string {
	if int(t) < len(challengeNames) {
		return challengeNames[t]
	}
	return fmt.Sprintf("challenge type %d", uint8(t))
}

// Limits of challenges.
const (
	MaxSamples     = 256 // of an access proof
	DefaultSamples = 20
	MaxWorkBits    = 24 // what a Responder accepts by default
	// MinimalWorkBits is what a challenge in minimal form asks for, where its type needs work.
	MinimalWorkBits = 16

	maxChallengeID   = 64
	maxChallengeJSON = 16 << 10

	challengeTag        = "dig:challenge:v1"
	minimalChallengeTag = "dig:challenge:min:v1"
)

// Challenge is a validator's question to a node. Its canonical bytes are signed; their hash
// binds the answer.
//
// In beacon mode EntropyHeight is the height of a recent block of the chain and Entropy its
// hash. In direct mode EntropyHeight is 0 and Entropy is drawn by the validator, which can then
// favour a node: no reward may rest on the answer.
type Challenge struct {
	ID            string // 1 to 64 of A-Z a-z 0-9 _ -
	Type          ChallengeType
	Validator     auth.NodePublicKey
	Node          auth.NodePublicKey // zero: any node
	PlotID        merkle.Hash        // zero: any plot of the node that holds the capsule
	CapsuleHash   merkle.Hash
	EntropyHeight uint64
	Entropy       merkle.Hash
	IssuedAt      uint64 // Unix seconds, as is ExpiresAt
	ExpiresAt     uint64
	Samples       uint16 // of an access proof
	WorkBits      uint8  // leading zero bits of a work proof
	Signature     auth.NodeSignature

	// Minimal marks the form that has only ID, Type, CapsuleHash and Signature, which is over
	// other bytes. Complete fills in the rest.
	Minimal bool
}

// Canonical returns the bytes that the digest covers, and that the validator signs unless the
// challenge is minimal:
//
//	"dig:challenge:v1" || u8 type || u16 length of id || id || validator (32) || node (32) ||
//	plot id (32) ||
//	capsule hash (32) || u64 entropy height || entropy (32) || u64 issued at || u64 expires at
//	|| u16 samples ||
//	u8 work bits || u8 0
func (c *Challenge) Canonical() []byte {
	b := append(make([]byte, 0, 256), challengeTag...)
	b = append(b, byte(c.Type))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.ID)))
	b = append(b, c.ID...)
	b = append(b, c.Validator[:]...)
	b = append(b, c.Node[:]...)
	b = append(b, c.PlotID[:]...)
	b = append(b, c.CapsuleHash[:]...)
	b = binary.BigEndian.AppendUint64(b, c.EntropyHeight)
	b = append(b, c.Entropy[:]...)
	b = binary.BigEndian.AppendUint64(b, c.IssuedAt)
	b = binary.BigEndian.AppendUint64(b, c.ExpiresAt)
	b = binary.BigEndian.AppendUint16(b, c.Samples)
	return append(b, c.WorkBits, 0)
}

// Digest returns the SHA-256 of the canonical bytes.
func (c *Challenge) Digest() merkle.Hash { return merkle.Sum(c.Canonical()) }

// signed returns the bytes of the signature. Those of the minimal form are
//
//	"dig:challenge:min:v1" || u8 type || u16 length of id || id || capsule hash (32)
func (c *Challenge) signed() []byte {
	if !c.Minimal {
		return c.Canonical()
	}
	b := append(make([]byte, 0, 128), minimalChallengeTag...)
	b = append(b, byte(c.Type))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.ID)))
	b = append(b, c.ID...)
	return append(b, c.CapsuleHash[:]...)
}

// Sign sets Validator, unless c is minimal, and Signature. The error is the signer's or Check's.
func (c *Challenge) Sign(ctx context.Context, by auth.NodeSigner) error {
	if !c.Minimal {
		c.Validator = by.PublicKey()
	}
	if err := c.Check(); err != nil {
		return err
	}
	sig, err := by.Sign(ctx, c.signed())
	if err != nil {
		return fmt.Errorf("sign challenge %s: %w", c.ID, err)
	}
	c.Signature = sig
	return nil
}

// Verify checks the signature under a validator's key: c.Validator in the full form, which must
// be equal to validator. Errors wrap ErrKey, ErrUnknownValidator or ErrSignature.
func (c *Challenge) Verify(validator auth.NodePublicKey) error {
	if c.Validator != validator && !(c.Minimal && c.Validator.IsZero()) {
		return fmt.Errorf("challenge %s: %w: found %v, expected %v", c.ID, ErrUnknownValidator,
			c.Validator, validator)
	}
	if err := validator.Verify(c.signed(), c.Signature); err != nil {
		return fmt.Errorf("challenge %s: %w", c.ID, err)
	}
	return nil
}

// Complete returns c with the members that the minimal form leaves out, as the node and the
// validator fill them in alike: the entropy is the SHA-256 of the signature, which must be there
// already, times are 0, 20 samples, 16 work bits where the type needs work. A challenge in full
// form is returned as it is.
func (c *Challenge) Complete(validator, node auth.NodePublicKey) *Challenge {
	if !c.Minimal {
		return c
	}
	d := &Challenge{
		ID: c.ID, Type: c.Type, CapsuleHash: c.CapsuleHash, Signature: c.Signature, Minimal: true,
		Validator: validator, Node: node, Entropy: merkle.Sum(c.Signature[:]),
		Samples: DefaultSamples,
	}
	if c.Type == Full || c.Type == ComputationalWork {
		d.WorkBits = MinimalWorkBits
	}
	return d
}

// Check returns nil when the members are well-formed. It looks at no clock and no signature.
// Errors wrap ErrChallenge; an unknown type or samples and bits out of range wrap
// ErrUnsupported; keys that are none ErrKey.
func (c *Challenge) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w %.64q: %w", ErrChallenge, c.ID, fmt.Errorf(format, args...))
	}
	if n := len(c.ID); n == 0 || n > maxChallengeID {
		return bad("challenge_id of %d characters, expected 1 to %d", n, maxChallengeID)
	}
	for _, r := range []byte(c.ID) {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' ||
			r == '-') {
			return bad("challenge_id has character %q, expected letters, digits, _ and -", r)
		}
	}
	if int(c.Type) >= len(challengeNames) {
		return bad("%w: %v", ErrUnsupported, c.Type)
	}
	if c.Minimal && c.Samples == 0 { // not completed
		return nil
	}
	if err := c.Validator.Check(); err != nil {
		return bad("validator_id: %w", err)
	}
	if !c.Node.IsZero() {
		if err := c.Node.Check(); err != nil {
			return bad("node_key: %w", err)
		}
	}
	if c.ExpiresAt < c.IssuedAt {
		return bad("expires_at %d is before issued_at %d", c.ExpiresAt, c.IssuedAt)
	}
	if c.Samples < 1 || c.Samples > MaxSamples {
		return bad("%w: %d samples, expected 1 to %d", ErrUnsupported, c.Samples, MaxSamples)
	}
	return nil
}

// Times of challenges, in seconds.
const (
	maxSkew      = 30  // how far issued_at may lie ahead of the node's clock
	maxLife      = 120 // from issued_at to expires_at
	expiryGrace  = 60  // after expires_at, before a challenge is expired
	replayMemory = 120 // after expires_at, until an answer is forgotten
)

// CheckTime returns nil when c is fresh at the Unix time now: issued at most 30 s ahead of it,
// living at most 120 s, and at most 60 s past its expiry. A minimal challenge has no times.
// Errors wrap ErrExpired.
func (c *Challenge) CheckTime(now uint64) error {
	switch {
	case c.Minimal:
		return nil
	case c.IssuedAt > now+maxSkew:
		return fmt.Errorf("challenge %s: %w: issued at %d, now is %d", c.ID, ErrExpired, c.IssuedAt,
			now)
	case c.ExpiresAt-c.IssuedAt > maxLife:
		return fmt.Errorf("challenge %s: %w: lives %d s, at most %d s", c.ID, ErrExpired,
			c.ExpiresAt-c.IssuedAt, maxLife)
	case now > expiryGrace && now-expiryGrace > c.ExpiresAt:
		return fmt.Errorf("challenge %s: %w: at %d, now is %d", c.ID, ErrExpired, c.ExpiresAt, now)
	}
	return nil
}

// mask returns the proofs that the answer must have.
func (c *Challenge) mask() uint16 {
	switch c.Type {
	case PlotOwnership:
		return maskOwnership
	case DataInclusion:
		return maskOwnership | maskInclusion
	case ComputationalWork:
		return maskOwnership | maskInclusion | maskWork
	case PhysicalAccess:
		return maskOwnership | maskInclusion | maskAccess
	}
	if c.WorkBits == 0 {
		return maskOwnership | maskInclusion | maskAccess
	}
	return maskOwnership | maskInclusion | maskWork | maskAccess
}

// MarshalJSON returns the body of POST /validation/challenge. A minimal challenge has the four
// members of that form. It fails when Check does.
func (c *Challenge) MarshalJSON() ([]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	b := append(append([]byte(`{"challenge_id":"`), c.ID...), '"')
	b = appendHex(append(b, `,"capsule_hash":`...), c.CapsuleHash[:])
	b = append(append(append(b, `,"challenge_type":"`...), c.Type.String()...), '"')
	b = appendHex(append(b, `,"validator_signature":`...), c.Signature[:])
	if c.Minimal {
		return append(b, '}'), nil
	}
	b = appendHex(append(b, `,"validator_id":`...), c.Validator[:])
	b = appendHex(append(b, `,"node_key":`...), c.Node[:])
	b = appendHex(append(b, `,"plot_id":`...), c.PlotID[:])
	b = strconv.AppendUint(append(b, `,"entropy_height":`...), c.EntropyHeight, 10)
	b = appendHex(append(b, `,"entropy":`...), c.Entropy[:])
	b = strconv.AppendUint(append(b, `,"issued_at":`...), c.IssuedAt, 10)
	b = strconv.AppendUint(append(b, `,"expires_at":`...), c.ExpiresAt, 10)
	b = strconv.AppendUint(append(b, `,"samples":`...), uint64(c.Samples), 10)
	b = strconv.AppendUint(append(b, `,"work_bits":`...), uint64(c.WorkBits), 10)
	return append(b, '}'), nil
}

// UnmarshalJSON is ParseChallenge. It leaves c alone when it fails.
func (c *Challenge) UnmarshalJSON(text []byte) error {
	got, err := ParseChallenge(text)
	if err != nil {
		return err
	}
	*c = *got
	return nil
}

// ParseChallenge reads the body of POST /validation/challenge under the same strict rules as
// ReadManifest and checks it: see Check. A body with none of the additional members is minimal;
// one with some of them is refused. Errors wrap ErrChallenge.
func ParseChallenge(text []byte) (*Challenge, error) {
	c := new(Challenge)
	if err := c.read(strictjson.NewReader(bytes.NewReader(text), maxChallengeJSON)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Challenge) read(r *strictjson.Reader) error {
	extra := 0
	var samples, bits uint64
	counted := func(read func(*strictjson.Reader) error) func(*strictjson.Reader) error {
		return func(r *strictjson.Reader) error {
			extra++
			return read(r)
		}
	}
	full := []strictjson.Member{
		{Name: "validator_id", Read: counted(readHash(c.Validator[:]))},
		{Name: "node_key", Read: counted(readHash(c.Node[:]))},
		{Name: "plot_id", Read: counted(readHash(c.PlotID[:]))},
		{Name: "entropy_height", Read: counted(readUint(&c.EntropyHeight, math.MaxUint64))},
		{Name: "entropy", Read: counted(readHash(c.Entropy[:]))},
		{Name: "issued_at", Read: counted(readUint(&c.IssuedAt, math.MaxInt64))},
		{Name: "expires_at", Read: counted(readUint(&c.ExpiresAt, math.MaxInt64))},
		{Name: "samples", Read: counted(readUint(&samples, math.MaxUint16))},
		{Name: "work_bits", Read: counted(readUint(&bits, math.MaxUint8))},
	}
	err := r.Object(append([]strictjson.Member{
		{Name: "challenge_id", Required: true, Read: func(r *strictjson.Reader) (err error) {
			c.ID, err = r.Text(maxChallengeID)
			return err
		}},
		{Name: "capsule_hash", Required: true, Read: readHash(c.CapsuleHash[:])},
		{Name: "challenge_type", Required: true, Read: c.readType},
		{Name: "validator_signature", Required: true, Read: readHash(c.Signature[:])},
	}, full...))
	if err != nil {
		return err
	}
	if err := r.End(); err != nil {
		return err
	}
	switch extra {
	case 0:
		c.Minimal = true
	case len(full):
		c.Samples, c.WorkBits = uint16(samples), uint8(bits)
	default:
		return fmt.Errorf("found %d of the %d additional members, expected all or none", extra,
			len(full))
	}
	return nil
}

func (c *Challenge) readType(r *strictjson.Reader) error {
	s, err := r.Text(64)
	if err != nil {
		return err
	}
	for t, name := range challengeNames {
		if s == name {
			c.Type = ChallengeType(t)
			return nil
		}
	}
	return fmt.Errorf("%w: challenge type %q", ErrUnsupported, s)
}
