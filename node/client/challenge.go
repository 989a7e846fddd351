package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// maxAnswer is the limit of the answer of a challenge in bytes: a bundle in hexadecimal digits, and
// room for the other members.
const maxAnswer = 2*capsule.MaxBundle + 64<<10

// A Question has the parameters of a challenge.
type Question struct {
	Type    capsule.ChallengeType
	Capsule merkle.Hash        // its hash
	Node    auth.NodePublicKey // zero: any node
	Plot    merkle.Hash        // zero: any plot of the node that has the capsule
	// Samples of an access proof. 0: capsule.DefaultSamples.
	Samples uint16
	// WorkBits of a work proof, from 1. 0: capsule.MinimalWorkBits, if the type needs work.
	WorkBits uint8
	// Lifetime is the time until the challenge expires, at most 2 minutes. 0: one minute.
	Lifetime time.Duration
	// EntropyHeight and Entropy are a block of the chain. A zero height is direct mode, with random
	// entropy: the answer must not decide about rewards.
	EntropyHeight uint64
	Entropy       merkle.Hash
}

// NewChallenge makes a challenge with a random id, signed by a validator at the time of the
// client's clock. The error is the signer's or that of capsule.Challenge.Check.
func (c *Client) NewChallenge(ctx context.Context, q Question, by auth.NodeSigner) (
	*capsule.Challenge, error) {
	life := q.Lifetime
	if life <= 0 {
		life = time.Minute
	}
	now := c.opt.Now()
	ch := &capsule.Challenge{ID: rand.Text(), Type: q.Type, Node: q.Node, PlotID: q.Plot,
		CapsuleHash: q.Capsule, EntropyHeight: q.EntropyHeight, Entropy: q.Entropy,
		IssuedAt: uint64(max(0, now.Unix())), ExpiresAt: uint64(max(0, now.Add(life).Unix())),
		Samples: q.Samples, WorkBits: q.WorkBits}
	if q.EntropyHeight == 0 {
		rand.Read(ch.Entropy[:]) // never fails
	}
	if ch.Samples == 0 {
		ch.Samples = capsule.DefaultSamples
	}
	needsWork := q.Type == capsule.Full || q.Type == capsule.ComputationalWork
	if ch.WorkBits == 0 && needsWork {
		ch.WorkBits = capsule.MinimalWorkBits
	}
	return ch, ch.Sign(ctx, by)
}

// An Answer is the answer of a node to a challenge. Its bundle has been verified.
type Answer struct {
	Bundle *capsule.Bundle
	Result *capsule.Result
	// Generation is the time to make the proofs, as reported by the node.
	Generation time.Duration
	// Elapsed is the time from the first byte of the challenge to the last byte of the answer. It
	// includes dialing if no connection was open.
	Elapsed time.Duration
	Late    bool // Elapsed is above Deadline
}

// Challenge sends a signed challenge, POST /validation/challenge, and verifies the answer with o,
// which must know where the capsule is: see capsule.VerifyOptions. validator is the key that
// signed; it is needed for the minimal form and may be zero otherwise.
//
// Challenge does not retry, because a retry would give the node more time. The same challenge may
// be sent again and gets the same answer. Errors are a *StatusError, among them fs.ErrNotExist (the
// node does not have the capsule), capsule.ErrNotReady, ErrExpired and ErrUnknownValidator; one
// that wraps capsule.ErrProof, ErrProtocol; or the error that ended the exchange.
func (c *Client) Challenge(ctx context.Context, ch *capsule.Challenge,
	validator auth.NodePublicKey, o *capsule.VerifyOptions) (*Answer, error) {
	a, err := c.challenge(ctx, ch, validator, o)
	if err != nil {
		return nil, fmt.Errorf("challenge %s: %w", ch.ID, err)
	}
	return a, nil
}

func (c *Client) challenge(ctx context.Context, ch *capsule.Challenge,
	validator auth.NodePublicKey, o *capsule.VerifyOptions) (*Answer, error) {
	text, err := json.Marshal(ch)
	if err != nil {
		return nil, err
	}
	var got struct {
		Proof  string `json:"proof"`
		Millis uint32 `json:"generation_time_ms"`
		Plot   string `json:"plot_id"`
	}
	began := time.Now()
	err = c.readOnce(ctx, exchange{method: http.MethodPost, path: "/validation/challenge",
		body: bytesBody(text), size: int64(len(text)), kind: "application/json",
		via: c.proofs}, maxAnswer, func(r io.Reader) error { return into(&got)(r) })
	elapsed := time.Since(began)
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(got.Proof, "0x"))
	if err != nil {
		return nil, protocolf("member proof: %w", err)
	}
	b, err := capsule.ParseBundle(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", capsule.ErrProof, err)
	}
	plot, err := merkle.ParseHash(strings.TrimPrefix(got.Plot, "0x"))
	if err != nil || plot != b.PlotID {
		return nil, protocolf("member plot_id is %q, the bundle is about plot %v",
			printable(got.Plot), b.PlotID)
	}
	if ch.Minimal && b.Ownership != nil {
		ch = ch.Complete(validator, b.Ownership.Plot.PublicKey)
	}
	res, err := b.Verify(ctx, ch, o)
	if err != nil {
		return nil, err
	}
	return &Answer{Bundle: b, Result: res, Elapsed: elapsed, Late: elapsed > Deadline(ch),
		Generation: time.Duration(got.Millis) * time.Millisecond}, nil
}

// Deadline returns how long the answer to a challenge may take, round trips not included: half a
// second, 30 ms for each sample of an access proof, and 8 times the mean time of its work at 2.5
// million hashes a second.
func Deadline(c *capsule.Challenge) time.Duration {
	d := 500 * time.Millisecond
	if c.Type == capsule.Full || c.Type == capsule.PhysicalAccess {
		d += time.Duration(c.Samples) * 30 * time.Millisecond
	}
	if c.Type == capsule.Full || c.Type == capsule.ComputationalWork {
		hashes := 8 * float64(uint64(1)<<min(c.WorkBits, 40))
		d += time.Duration(hashes / 2.5e6 * float64(time.Second))
	}
	return d
}
