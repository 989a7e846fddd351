package capsule

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// RootTrust answers whether a capsule root belongs to a datastore. A node that serves a root is
// never a source of this. Implementations are safe for concurrent use.
type RootTrust interface {
	// Trusted returns nil when root is a generation of the datastore, the current or an older
	// one that is still wanted, with its number of capsules, or 0 when that is not known. A root
	// that is not trusted is ErrUntrusted; other errors mean that the answer is not known now.
	Trusted(ctx context.Context, store auth.StoreID, root merkle.Hash) (capsules uint32, err error)
}

// PinnedRoots is a RootTrust by configuration: the trusted roots of each datastore with their
// numbers of capsules, 0 where the number is not known. It must not be changed while it is used.
type PinnedRoots map[auth.StoreID]map[merkle.Hash]uint32

// Trusted implements RootTrust.
func (p PinnedRoots) Trusted(
	_ context.Context, store auth.StoreID, root merkle.Hash,
) (uint32, error) {
	n, ok := p[store][root]
	if !ok {
		return 0, untrusted(store, root, "not pinned")
	}
	return n, nil
}

func untrusted(store auth.StoreID, root merkle.Hash, reason string) error {
	return fmt.Errorf("%w: root %v of store %v: %s", ErrUntrusted, root, store, reason)
}

const rootTag = "dig:datastore:root:v1"

// RootStatement is a writer's signature over a capsule root, its number of capsules and its
// generation:
//
//	BLS over SHA-256("dig:datastore:root:v1" || store || root || u32 capsules || u64 generation)
//
// It says nothing about which generation is the newest.
type RootStatement struct {
	Store      auth.StoreID
	Root       merkle.Hash
	Capsules   uint32
	Generation uint64
	Writer     auth.PublicKey
	Signature  auth.Signature
}

// SignRoot returns the statement about m as the given generation, signed by a writer of the
// datastore. The error is the signer's.
func SignRoot(
	ctx context.Context, m *Manifest, generation uint64, by auth.Signer,
) (RootStatement, error) {
	s := RootStatement{Store: m.Store, Root: m.Root, Capsules: uint32(len(m.Capsules)),
		Generation: generation, Writer: by.PublicKey()}
	msg := s.message()
	var err error
	if s.Signature, err = by.Sign(ctx, msg[:]); err != nil {
		return RootStatement{}, fmt.Errorf("sign root %v of store %v: %w", s.Root, s.Store, err)
	}
	return s, nil
}

// Check verifies the signature under s.Writer. Whether that key may write the datastore is for
// the caller to know. Errors wrap auth.ErrPublicKey or auth.ErrSignature.
func (s RootStatement) Check() error {
	v, err := auth.NewVerifier(s.Writer)
	if err == nil {
		msg := s.message()
		err = v.Verify(msg[:], s.Signature)
	}
	if err != nil {
		return fmt.Errorf("root statement of store %v, generation %d: %w", s.Store, s.Generation,
			err)
	}
	return nil
}

func (s RootStatement) message() [32]byte {
	b := make([]byte, 0, len(rootTag)+len(s.Store)+len(s.Root)+12)
	b = append(b, rootTag...)
	b = append(b, s.Store[:]...)
	b = append(b, s.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Capsules)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, s.Generation))
}

// Statement returns the root statement that m carries, and whether it carries one. A zero
// Writer, which stands for the owner, is left for the caller to fill in. The statement is not
// checked.
func (m *Manifest) Statement() (RootStatement, bool) {
	return RootStatement{
		Store: m.Store, Root: m.Root, Capsules: uint32(len(m.Capsules)),
		Generation: m.Generation, Writer: m.Writer, Signature: m.Signature,
	}, !m.Signature.IsZero()
}

// SetStatement puts s into m. It fails when s is about another store, root or number of capsules.
func (m *Manifest) SetStatement(s RootStatement) error {
	if s.Store != m.Store || s.Root != m.Root || uint64(s.Capsules) != uint64(len(m.Capsules)) {
		return fmt.Errorf("root statement of store %v, root %v, %d capsules: "+
			"manifest is of store %v, root %v, %d capsules",
			s.Store, s.Root, s.Capsules, m.Store, m.Root, len(m.Capsules))
	}
	m.Generation, m.Writer, m.Signature = s.Generation, s.Writer, s.Signature
	return nil
}

// SignedRoots is a RootTrust that believes root statements of keys that may write the datastore.
type SignedRoots struct {
	// Statement returns a statement about the root, from wherever it was found: it is checked
	// here. Absence is fs.ErrNotExist.
	Statement func(ctx context.Context, store auth.StoreID, root merkle.Hash) (RootStatement, error)
	// CanWrite returns nil when the key may write the datastore, as the chain or the
	// configuration has it. A key that may not is auth.ErrForbidden.
	CanWrite func(ctx context.Context, store auth.StoreID, key auth.PublicKey) error
}

// Trusted implements RootTrust.
func (t *SignedRoots) Trusted(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (uint32, error) {
	s, err := t.Statement(ctx, store, root)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, untrusted(store, root, "no root statement")
	}
	if err != nil {
		return 0, fmt.Errorf("find statement about root %v of store %v: %w", root, store, err)
	}
	if s.Store != store || s.Root != root {
		return 0, untrusted(store, root, fmt.Sprintf("statement is about root %v of store %v",
			s.Root, s.Store))
	}
	if err := s.Check(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	switch err := t.CanWrite(ctx, store, s.Writer); {
	case errors.Is(err, auth.ErrForbidden):
		return 0, fmt.Errorf("%w: root %v of store %v: signed by %v: %w", ErrUntrusted, root, store,
			s.Writer, err)
	case err != nil:
		return 0, fmt.Errorf("find writers of store %v: %w", store, err)
	}
	return s.Capsules, nil
}
