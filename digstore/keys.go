package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/keydir"
)

// Signer returns the key that commits: the adopted key, else the publisher key. Without either it
// is ErrNoKey; a clone has none.
func (s *Store) Signer() (*auth.Key, error) { return s.keys.Signer() }

// ImportKey stores k as the publisher key. If the store has another key here, it is fs.ErrExist. A
// key that does not sign this store, because another one is pinned or signed the head, is
// auth.ErrForbidden.
func (s *Store) ImportKey(ctx context.Context, k *auth.Key) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("import key: %w", err)
	}
	defer l.Close()
	old, err := s.Signer()
	if err == nil {
		if old.PublicKey() == k.PublicKey() {
			return nil
		}
		return fmt.Errorf("import key: store %s has the key %v: %w", s.name, old, fs.ErrExist)
	}
	if !errors.Is(err, ErrNoKey) {
		return fmt.Errorf("import key: %w", err)
	}
	want, err := s.publisher()
	if err != nil {
		return fmt.Errorf("import key: %w", err)
	}
	if !want.IsZero() && want != k.PublicKey() {
		return fmt.Errorf("import key: store %s is signed by another key (%08x, not %08x): %w", s.name,
			want.Fingerprint(), k.PublicKey().Fingerprint(), auth.ErrForbidden)
	}
	if err := keydir.Write(s.w.fs, s.dir.Path, k); err != nil {
		return fmt.Errorf("import key: %w", err)
	}
	return nil
}

// publisher returns the key that signs the store; zero if it is unknown. It is the key in the
// module of the head, because a head has been accepted. If no head is held, or the pins are for the
// head, it is the pinned key, which is zero if the head was pinned without a signature.
func (s *Store) publisher() (auth.PublicKey, error) {
	p, err := s.dir.Pins.Read()
	if err != nil {
		return p.Publisher, err
	}
	h, err := s.dir.Log.Current()
	if err != nil {
		return p.Publisher, err
	}
	head, ok := h.Head()
	if !ok || head.Root == p.Root && !p.Publisher.IsZero() {
		return p.Publisher, nil
	}
	if head.Root == p.Root {
		return s.keys.SignerID()
	}
	key, err := keyIn(s.At(head.Root))
	if err == nil && key.IsZero() || errors.Is(err, ErrCorrupt) && !p.Publisher.IsZero() {
		return p.Publisher, nil
	}
	return key, err
}

// keyIn returns the publisher key in the module of a generation; zero if the generation was not
// found.
func keyIn(g *Generation, err error) (auth.PublicKey, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return auth.PublicKey{}, nil
	}
	if err != nil {
		return auth.PublicKey{}, err
	}
	return g.PublicKey(), nil
}

// AdoptKey stores k, durably, as the key that commits here from now on, whichever key signed the
// head. It is for a writer that the chain authorizes, and for the owner after the generation of a
// writer was pulled. Other hosts accept its signatures if the chain lists the key
// (auth/chain/LINEAGE.md 9): see server.Options.Authority and remote.Trust.Anchor.
//
// The pins do not change, so pulls check what they checked before. If the store has another key
// here, it is fs.ErrExist; the same key is adopted.
func (s *Store) AdoptKey(ctx context.Context, k *auth.Key) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("adopt key: %w", err)
	}
	defer l.Close()
	switch old, err := s.Signer(); {
	case err == nil && old.PublicKey() != k.PublicKey():
		return fmt.Errorf("adopt key: store %s has the key %v: %w", s.name, old, fs.ErrExist)
	case err != nil && !errors.Is(err, ErrNoKey):
		return fmt.Errorf("adopt key: %w", err)
	}
	switch adopted, err := s.keys.AdoptedID(); {
	case err != nil:
		return fmt.Errorf("adopt key: %w", err)
	case adopted == k.PublicKey():
		return nil
	}
	if err := s.keys.Adopt(k); err != nil {
		return fmt.Errorf("adopt key: %w", err)
	}
	return nil
}
