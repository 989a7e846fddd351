package capsule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/merkle"
)

// Chain answers questions about the block chain of the verifier's network. Implementations are
// safe for concurrent use.
type Chain interface {
	// HeaderHash returns the header hash of the block at a height. A height that the chain has
	// not reached is fs.ErrNotExist.
	HeaderHash(ctx context.Context, height uint64) (merkle.Hash, error)
	// HeightAt returns the height of the newest block at a Unix time.
	HeightAt(ctx context.Context, unix uint64) (uint64, error)
}

// entropyStep: entropy is taken from blocks whose heights are multiples of this, so that a
// validator can choose once in so many blocks.
const entropyStep = 8

// VerifyOptions has what a verifier knows.
type VerifyOptions struct {
	// Refs has the places at which the verifier knows the capsule: those with this hash in
	// manifests under roots that it trusts, for the datastore that it asks about. Inclusion must
	// be at one of them; a capsule hash alone is never enough. Roots are not zero. It is not
	// needed for challenges of type PlotOwnership.
	Refs []Ref
	// Trust, when not nil, is asked about the root of the proof as well, and for the number of
	// capsules.
	Trust RootTrust
	// PlotSince returns the height of the chain at which this plot id was first announced with
	// its key, and whether it was. Without it no result is Bound.
	PlotSince func(plotID merkle.Hash) (height uint64, ok bool)
	// Chain, when not nil, is held against the entropy and the anchor of the plot.
	Chain Chain
}

// Result is what a bundle that verifies has shown.
type Result struct {
	Plot PlotIdentity
	Ref  Ref // where the capsule was shown to be; zero for PlotOwnership

	// Bound is set when the plot was announced before the entropy was known, its difficulty is
	// at most MaxDifficulty and, with a Chain, its anchor is a block of the chain. Without it
	// the proof holds, but the prover may have searched for a plot id that suits it: no reward
	// may rest on it.
	Bound bool
	// Unbound says why Bound is not set.
	Unbound string
	// EntropyUnchecked is set in beacon mode when no Chain was there to check the entropy.
	EntropyUnchecked bool
}

// VerifyBundle is ParseBundle and Bundle.Verify.
func VerifyBundle(
	ctx context.Context, raw []byte, c *Challenge, o *VerifyOptions,
) (*Result, error) {
	b, err := ParseBundle(raw)
	if err != nil {
		return nil, &ProofError{"bundle", err}
	}
	return b.Verify(ctx, c, o)
}

// Verify returns nil error when b answers c. A minimal challenge must be completed: see
// Challenge.Complete. It opens no plot. A bundle that does not hold is a *ProofError, which
// wraps ErrBinding, ErrKey, ErrSignature, ErrPath, ErrWork, ErrAccess or ErrUntrusted. Other
// errors come from the challenge itself (ErrChallenge) or from o.Trust and o.Chain, when they
// could not answer.
//
// It shows retrievability by the holder of the plot's key at that time; not that the holder
// keeps a copy of its own, and nothing about where the bytes were.
func (b *Bundle) Verify(ctx context.Context, c *Challenge, o *VerifyOptions) (*Result, error) {
	if o == nil {
		o = new(VerifyOptions)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Samples == 0 {
		return nil, fmt.Errorf("%w %s: minimal form is not completed", ErrChallenge, c.ID)
	}
	v := &verification{Bundle: b, c: c, digest: c.Digest(), o: o}
	for _, step := range []struct {
		proof string
		check func(context.Context) error
	}{
		{"bundle", v.checkBundle},
		{"ownership", v.checkOwnership},
		{"bundle", v.checkSignature},
		{"inclusion", v.checkInclusion},
		{"work", v.checkWork},
		{"access", v.checkAccess},
		{"access", v.checkEntropy},
	} {
		if err := step.check(ctx); err != nil {
			var unknown *unanswered
			if errors.As(err, &unknown) {
				return nil, unknown.err
			}
			return nil, &ProofError{step.proof, err}
		}
	}
	res := &Result{Plot: b.Ownership.Plot, EntropyUnchecked: c.EntropyHeight > 0 && o.Chain == nil}
	if b.Inclusion != nil {
		res.Ref = b.Inclusion.Ref
	}
	var err error
	if res.Unbound, err = v.unbound(ctx); err != nil {
		return nil, err
	}
	res.Bound = res.Unbound == ""
	return res, nil
}

// unanswered wraps an error that says nothing about the bundle.
type unanswered struct{ err error }

func (u *unanswered) Error() string { return u.err.Error() }

type verification struct {
	*Bundle
	c      *Challenge
	digest merkle.Hash
	o      *VerifyOptions
}

// different returns nil when found is expected.
func different[T comparable](what string, found, expected T) error {
	if found == expected {
		return nil
	}
	return fmt.Errorf("%w: %s is %v, expected %v", ErrBinding, what, found, expected)
}

func (v *verification) checkBundle(context.Context) error {
	if err := different("set of proofs", v.mask(), v.c.mask()); err != nil {
		return err
	}
	if err := different("challenge digest", v.ChallengeDigest, v.digest); err != nil {
		return err
	}
	if err := different("capsule hash", v.CapsuleHash, v.c.CapsuleHash); err != nil {
		return err
	}
	if !v.c.PlotID.IsZero() {
		if err := different("plot id", v.PlotID, v.c.PlotID); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) checkOwnership(context.Context) error {
	plot := v.Ownership.Plot
	if err := different("plot id", v.PlotID, plot.ID()); err != nil {
		return err
	}
	if !v.c.Node.IsZero() {
		if err := different("node key", plot.PublicKey, v.c.Node); err != nil {
			return err
		}
	}
	m := v.Ownership.message(v.digest)
	return plot.PublicKey.Verify(m[:], v.Ownership.Signature)
}

func (v *verification) checkSignature(context.Context) error {
	m, err := v.message()
	if err != nil {
		return err
	}
	return v.Ownership.Plot.PublicKey.Verify(m[:], v.Signature)
}

func (v *verification) checkInclusion(ctx context.Context) error {
	p := v.Inclusion
	if p == nil {
		return nil
	}
	known := false
	for _, ref := range v.o.Refs {
		known = known || ref == p.Ref && !ref.Root.IsZero()
	}
	if !known {
		return fmt.Errorf("%w: capsule %v is not among the %d places that were asked about",
			ErrBinding, p.Ref, len(v.o.Refs))
	}
	if v.o.Trust != nil {
		switch n, err := v.o.Trust.Trusted(ctx, p.Ref.Store, p.Ref.Root); {
		case errors.Is(err, ErrUntrusted):
			return err
		case err != nil:
			return &unanswered{err}
		case n > 0:
			if err := different("number of capsules", p.Capsules, n); err != nil {
				return err
			}
		}
	}
	d := p.descriptor(v.CapsuleHash)
	if err := checkPath(d.Leaf(), p.Ref.Index, p.Capsules, p.Path, p.Ref.Root); err != nil {
		return fmt.Errorf("datastore: %w", err)
	}
	if err := checkPath(d.PlotLeaf(p.Ref.Store), p.LeafIndex, p.LeafCount, p.PlotPath,
		v.Ownership.Plot.Root); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

func (v *verification) checkWork(context.Context) error {
	p := v.Work
	if p == nil {
		return nil
	}
	if p.Bits != v.c.WorkBits {
		return fmt.Errorf("%w: %d bits, expected %d", ErrWork, p.Bits, v.c.WorkBits)
	}
	if err := different("table data hash", p.TableDataHash, v.Inclusion.ChunkRoot); err != nil {
		return err
	}
	if err := different("previous hash", p.PreviousHash, v.digest); err != nil {
		return err
	}
	if err := different("plot seed", p.PlotSeed, v.Ownership.Plot.Seed()); err != nil {
		return err
	}
	n := ZeroBits(p.input(v.CapsuleHash).Hash(p.Nonce))
	if n < int(p.Bits) {
		return fmt.Errorf("%w: nonce %d has %d zero bits, expected at least %d", ErrWork, p.Nonce,
			n, p.Bits)
	}
	if n != int(p.Achieved) {
		return fmt.Errorf("%w: nonce %d has %d zero bits, the proof says %d", ErrWork, p.Nonce, n,
			p.Achieved)
	}
	return nil
}

func (v *verification) checkAccess(context.Context) error {
	p := v.Access
	if p == nil {
		return nil
	}
	d := v.Inclusion.descriptor(v.CapsuleHash)
	for _, err := range []error{
		different("entropy height", p.EntropyHeight, v.c.EntropyHeight),
		different("entropy", p.Entropy, v.c.Entropy),
		different("chunk root", p.ChunkRoot, d.ChunkRoot),
		different("number of chunks", p.Chunks, d.Chunks()),
	} {
		if err != nil {
			return err
		}
	}
	return p.check(newAccessWalk(v.c, v.Ownership.Plot.PublicKey, v.PlotID, d.Chunks()), d)
}

func (v *verification) checkEntropy(ctx context.Context) error {
	if err := checkAnchor(v.c, v.Ownership.Plot); err != nil {
		return err
	}
	err := CheckEntropy(ctx, v.c, v.o.Chain)
	if err != nil && !errors.Is(err, ErrBinding) {
		return &unanswered{err}
	}
	return err
}

// checkAnchor returns nil when, in beacon mode, the entropy is later than the anchor of the plot.
func checkAnchor(c *Challenge, plot PlotIdentity) error {
	if c.EntropyHeight > 0 && c.EntropyHeight <= plot.BlockHeight {
		return fmt.Errorf("%w: entropy height %d is not above the plot's anchor at %d", ErrBinding,
			c.EntropyHeight, plot.BlockHeight)
	}
	return nil
}

// CheckEntropy returns nil when the entropy of c is that of the one block that a validator may
// name: the newest one at IssuedAt whose height is a multiple of 8, with one block of tolerance.
// It checks nothing in direct mode or when chain is nil. Errors wrap ErrBinding, or are the
// chain's.
func CheckEntropy(ctx context.Context, c *Challenge, chain Chain) error {
	if c.EntropyHeight == 0 || chain == nil {
		return nil
	}
	peak, err := chain.HeightAt(ctx, c.IssuedAt)
	if err != nil {
		return fmt.Errorf("find the height of the chain at %d: %w", c.IssuedAt, err)
	}
	newest := func(height uint64) uint64 { return height - height%entropyStep }
	if h := c.EntropyHeight; h != newest(peak) && h != newest(peak+1) && h != newest(max(peak,
		1)-1) {
		return fmt.Errorf("%w: entropy height %d, expected %d", ErrBinding, h, newest(peak))
	}
	hash, err := chain.HeaderHash(ctx, c.EntropyHeight)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: entropy height %d: %w", ErrBinding, c.EntropyHeight, err)
	}
	if err != nil {
		return fmt.Errorf("find block %d: %w", c.EntropyHeight, err)
	}
	return different(fmt.Sprintf("entropy of block %d", c.EntropyHeight), c.Entropy, hash)
}

// unbound returns why no reward may rest on the proof, or "".
func (v *verification) unbound(ctx context.Context) (string, error) {
	plot := v.Ownership.Plot
	switch {
	case v.c.Minimal:
		return "minimal challenge", nil
	case v.c.EntropyHeight == 0:
		return "entropy was drawn by the validator", nil
	case plot.Difficulty > MaxDifficulty:
		return fmt.Sprintf("difficulty %d, at most %d", plot.Difficulty, MaxDifficulty), nil
	case v.o.PlotSince == nil:
		return "announcements of plots are not known", nil
	}
	since, ok := v.o.PlotSince(v.PlotID)
	if !ok {
		return "plot was not announced", nil
	}
	if since >= v.c.EntropyHeight {
		return fmt.Sprintf("plot was announced at height %d, entropy is of %d", since,
			v.c.EntropyHeight), nil
	}
	if v.o.Chain == nil {
		return "", nil
	}
	hash, err := v.o.Chain.HeaderHash(ctx, plot.BlockHeight)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("anchor block %d is not on the chain", plot.BlockHeight), nil
	}
	if err != nil {
		return "", fmt.Errorf("find block %d: %w", plot.BlockHeight, err)
	}
	if hash != plot.BlockHash {
		return fmt.Sprintf("anchor block %d has another hash on the chain", plot.BlockHeight), nil
	}
	return "", nil
}
