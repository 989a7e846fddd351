package capsule

import (
	"errors"

	"github.com/dig-network/digstore/auth"
)

// Errors about content and manifests. Absence is fs.ErrNotExist.
var (
	// ErrContentMismatch: bytes do not have the size, hash or chunk root of their descriptor.
	ErrContentMismatch = errors.New("capsule content mismatch")
	// ErrCapsuleTooLarge: content above MaxSize bytes.
	ErrCapsuleTooLarge = errors.New("capsule too large")
	// ErrManifest: a manifest is malformed or contradicts itself. See ManifestError.
	ErrManifest = errors.New("manifest")
	// ErrUntrusted: no source of trust vouches for a root.
	ErrUntrusted = errors.New("root is not trusted")
	// ErrPath: a Merkle path has the wrong shape or folds to another root.
	ErrPath = errors.New("merkle path")
	// ErrKey: a node, plot or validator key is unusable. It is auth.ErrPublicKey.
	ErrKey = auth.ErrPublicKey

	// ErrChallenge: a challenge is malformed (HTTP 400).
	ErrChallenge = errors.New("challenge")
	// ErrUnsupported: a challenge asks for what this node does not do, or for more than it does
	// (HTTP 422). It comes with ErrChallenge.
	ErrUnsupported = errors.New("unsupported or out of limits")
	// ErrUnknownValidator: the validator is not one that may ask (HTTP 403).
	ErrUnknownValidator = errors.New("unknown validator")
	// ErrExpired: a challenge is not fresh (HTTP 410).
	ErrExpired = errors.New("challenge expired")
	// ErrReplay: the validator has used this challenge id for another challenge (HTTP 409).
	ErrReplay = errors.New("challenge id was used for another challenge")
	// ErrPanic: making a proof panicked, as in a Worker (HTTP 500).
	ErrPanic = errors.New("panic")
	// ErrNotReady: the capsule is held but in no plot yet (HTTP 503).
	ErrNotReady = errors.New("capsule is in no plot yet")

	// ErrProof: a bundle does not prove what was asked. The errors below come with it. See
	// ProofError.
	ErrProof = errors.New("proof")
	// ErrBinding: a value is not the one that the challenge, another proof or the verifier asks
	// for.
	ErrBinding = errors.New("proof is bound to another value")
	// ErrSignature: a signature does not verify. It is auth.ErrSignature.
	ErrSignature = auth.ErrSignature
	// ErrWork: a work proof does not have the bits that it should have.
	ErrWork = errors.New("work does not hold")
	// ErrAccess: the samples of an access proof are not those that the challenge leads to.
	ErrAccess = errors.New("access samples do not hold")
	// ErrBundle: a bundle is malformed.
	ErrBundle = errors.New("malformed proof bundle")
)

// ProofError says which of the proofs of a bundle failed. It matches ErrProof.
type ProofError struct {
	Proof string // "bundle", "ownership", "inclusion", "work" or "access"
	Err   error
}

// Error implements error.
func (e *ProofError) Error() string { return "check " + e.Proof + " proof: " + e.Err.Error() }

// Is reports whether target is ErrProof.
func (e *ProofError) Is(target error) bool { return target == ErrProof }

// Unwrap returns Err.
func (e *ProofError) Unwrap() error { return e.Err }
