package capsule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Limits of a Responder and of its memory of answers.
const (
	maxValidators   = 64      // keys that a minimal challenge is tried with
	maxAnswers      = 1 << 16 // challenges that are remembered
	maxAnswerBytes  = 256 << 20
	minimalDeadline = 60 * time.Second
	minimalMemory   = 24 * time.Hour
)

// Responder answers challenges for a node: it checks that they are allowed, signed, fresh and
// not replayed before it proves. Its fields may be changed until the first call of a method. It
// is safe for concurrent use.
type Responder struct {
	Prover *Prover // required

	// Validators are the keys that may ask. Empty: every key whose signature verifies may, in
	// full form only. At most 64 of them can ask in minimal form.
	Validators []auth.NodePublicKey
	// NoMinimal refuses challenges in minimal form.
	NoMinimal bool
	// MaxWorkBits is the most work that is done for a challenge; not positive means the constant
	// MaxWorkBits.
	MaxWorkBits int
	// Limit, when not nil, is called with the key that verified, before anything is looked up.
	// Its error is returned as it is.
	Limit func(validator auth.NodePublicKey) error
	// Chain, when not nil, is held against the entropy of challenges.
	Chain Chain
	// Held, when not nil, reports whether the node has a capsule outside of plots. A challenge
	// for it is then ErrNotReady rather than fs.ErrNotExist.
	Held func(ctx context.Context, hash merkle.Hash) (bool, error)

	mu      sync.Mutex
	answers map[answerKey]*answer
	order   []answerKey // in the order in which they came
	size    int         // bytes of the bundles that are kept
	cleaned uint64      // Unix time
}

type answerKey struct {
	validator auth.NodePublicKey
	id        string
}

// answer is an answer that is being made or was made. Done is closed when the rest is set.
type answer struct {
	digest merkle.Hash
	forget uint64 // Unix time
	done   chan struct{}
	bundle *Bundle
	err    error

	size    int  // under the responder's lock, as is dropped
	dropped bool // the bundle is not kept
}

// Answer checks c in the order of the errors below, and proves what it asks for:
//
//	ErrChallenge         it is malformed (400), or with ErrUnsupported out of limits (422)
//	ErrUnknownValidator  its key may not ask (403)
//	ErrSignature         (401)
//	the error of Limit   (429)
//	ErrReplay            the validator used the id for another challenge (409)
//	ErrExpired           it is not fresh (410)
//	ErrBinding           its entropy is not the chain's (422)
//	fs.ErrNotExist       another node's key, an unknown plot id, a capsule that is not here (404)
//	ErrNotReady          the capsule is in no plot yet (503)
//	context.DeadlineExceeded  not finished in time (503)
//
// The same challenge again gets the same answer, also while the first is still being made; a
// failure is not remembered. Work on a challenge stops 60 s after it has expired. The bundle
// must not be changed.
func (r *Responder) Answer(ctx context.Context, c *Challenge) (*Bundle, error) {
	r.Prover.init()
	if err := c.Check(); err != nil {
		return nil, err
	}
	validator, err := r.authenticate(c)
	if err != nil {
		return nil, err
	}
	if r.Limit != nil {
		if err := r.Limit(validator); err != nil {
			return nil, err
		}
	}
	c = c.Complete(validator, r.Prover.Key.PublicKey())
	for {
		a, made, err := r.remember(c)
		if err != nil {
			return nil, err
		}
		if made {
			return r.make(ctx, c, a)
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if a.err == nil {
			return a.bundle, nil
		}
		if !errors.Is(a.err, context.Canceled) { // the caller that made it gave up: try again
			return nil, a.err
		}
	}
}

// authenticate returns the key under which c is signed, when it may ask.
func (r *Responder) authenticate(c *Challenge) (auth.NodePublicKey, error) {
	if !c.Minimal {
		if len(r.Validators) > 0 && !r.knows(c.Validator) {
			return c.Validator, fmt.Errorf("challenge %s: %w: %v", c.ID, ErrUnknownValidator,
				c.Validator)
		}
		return c.Validator, c.Verify(c.Validator)
	}
	if r.NoMinimal || len(r.Validators) == 0 {
		return auth.NodePublicKey{}, fmt.Errorf("challenge %s: %w: minimal form", c.ID,
			ErrUnknownValidator)
	}
	for _, v := range r.Validators[:min(len(r.Validators), maxValidators)] {
		if c.Verify(v) == nil {
			return v, nil
		}
	}
	return auth.NodePublicKey{}, fmt.Errorf("challenge %s: minimal form: %w", c.ID, ErrSignature)
}

func (r *Responder) knows(key auth.NodePublicKey) bool {
	for _, v := range r.Validators {
		if v == key {
			return true
		}
	}
	return false
}

// remember returns what is known about c, and whether the caller is to make the answer.
func (r *Responder) remember(c *Challenge) (a *answer, made bool, err error) {
	now := uint64(max(0, r.Prover.Now().Unix()))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clean(now)
	key, digest := answerKey{c.Validator, c.ID}, c.Digest()
	known := r.answers[key]
	if known != nil {
		if known.digest != digest {
			return nil, false, fmt.Errorf("challenge %s: %w", c.ID, ErrReplay)
		}
		if !known.dropped {
			return known, false, nil
		}
	}
	if err := c.CheckTime(now); err != nil {
		return nil, false, err
	}
	if err := r.checkWork(c); err != nil {
		return nil, false, err
	}
	a = &answer{digest: digest, forget: c.ExpiresAt + replayMemory, done: make(chan struct{})}
	if c.Minimal {
		a.forget = now + uint64(minimalMemory/time.Second)
	}
	if r.answers == nil {
		r.answers = make(map[answerKey]*answer)
	}
	if known == nil {
		r.order = append(r.order, key)
	}
	r.answers[key] = a
	return a, true, nil
}

func (r *Responder) checkWork(c *Challenge) error {
	most := r.MaxWorkBits
	if most <= 0 {
		most = MaxWorkBits
	}
	if int(c.WorkBits) > most {
		return fmt.Errorf("%w %s: %w: %d work bits, at most %d", ErrChallenge, c.ID, ErrUnsupported,
			c.WorkBits, most)
	}
	return nil
}

// clean forgets what is too old, once a second. Beyond the limits it drops the bundles that came
// first, whose challenges are still remembered, or forgets what came first and is finished.
func (r *Responder) clean(now uint64) {
	tooMany, tooLarge := len(r.order) >= maxAnswers, r.size > maxAnswerBytes
	if now == r.cleaned && !tooMany && !tooLarge {
		return
	}
	r.cleaned = now
	kept := r.order[:0]
	count, size := maxAnswers, maxAnswerBytes
	if tooMany {
		count = maxAnswers / 8 * 7
	}
	if tooLarge {
		size = maxAnswerBytes / 8 * 7
	}
	left := len(r.order)
	for _, key := range r.order {
		a := r.answers[key]
		if r.size > size && a != nil && a.finished() {
			r.drop(a)
		}
		if a == nil || now > a.forget || left > count && a.finished() {
			if a != nil {
				r.drop(a)
			}
			delete(r.answers, key)
			left--
			continue
		}
		kept = append(kept, key)
	}
	r.order = kept
}

// drop lets go of the bundle of a finished answer.
func (r *Responder) drop(a *answer) {
	r.size -= a.size
	a.size, a.dropped = 0, true
}

func (a *answer) finished() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// make proves, and keeps the answer when it succeeds.
func (r *Responder) make(ctx context.Context, c *Challenge, a *answer) (*Bundle, error) {
	a.bundle, a.err = r.prove(ctx, c)
	size := 0
	if a.err == nil {
		raw, err := a.bundle.MarshalBinary()
		size, a.err = len(raw), err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := (answerKey{c.Validator, c.ID}); r.answers[key] == a {
		if a.err != nil {
			delete(r.answers, key)
		} else {
			a.size = size
			r.size += size
		}
	}
	close(a.done)
	return a.bundle, a.err
}

func (r *Responder) prove(ctx context.Context, c *Challenge) (*Bundle, error) {
	if err := CheckEntropy(ctx, c, r.Chain); err != nil {
		return nil, fmt.Errorf("challenge %s: %w", c.ID, err)
	}
	left := minimalDeadline
	if !c.Minimal {
		end := c.ExpiresAt + expiryGrace
		if end > math.MaxInt64 {
			end = math.MaxInt64
		}
		left = time.Unix(int64(end), 0).Sub(r.Prover.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	b, err := r.Prover.Prove(ctx, c)
	anyPlot := c.PlotID.IsZero() && (c.Node.IsZero() || c.Node == r.Prover.Key.PublicKey())
	if errors.Is(err, fs.ErrNotExist) && anyPlot && r.Held != nil {
		held, herr := r.Held(ctx, c.CapsuleHash)
		if herr != nil {
			return nil, fmt.Errorf("challenge %s: find capsule %v: %w", c.ID, c.CapsuleHash, herr)
		}
		if held {
			return nil, fmt.Errorf("challenge %s: capsule %v: %w", c.ID, c.CapsuleHash, ErrNotReady)
		}
	}
	return b, err
}
