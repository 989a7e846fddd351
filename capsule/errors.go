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
)
