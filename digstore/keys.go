package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/keydir"
)

// Signer returns the key that commits here: the adopted one, else that of the publisher. Without
// either it is ErrNoKey: a clone has none.
func (s *Store) Signer() (*auth.Key, error) { return s.keys.Signer() }

// ImportKey keeps k as the store's publisher key. Another key that is here already is fs.ErrExist.
// A key that does not sign this store (another one is pinned, or signed the head) is
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

// publisher returns the key that signs the store: the one in the head's module, for a head has been
// accepted, or the pinned one, where that was pinned for the head or no head is held; zero when
// neither is known, as where the head was pinned without a key because no signature of it came.
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

// keyIn is the publisher key in the module of a generation that was looked for; zero when it is not
// here.
func keyIn(g *Generation, err error) (auth.PublicKey, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return auth.PublicKey{}, nil
	}
	if err != nil {
		return auth.PublicKey{}, err
	}
	return g.PublicKey(), nil
}

// AdoptKey keeps k, durably, as the key that commits here from now on, whichever key signed the
// head. It is for a writer whom the chain authorizes, and for the owner after a writer's generation
// was pulled. Other hosts accept what it signs if the chain lists the key (auth/chain/LINEAGE.md
// 9): see server.Options.Authority and remote.Trust.Anchor.
//
// What is held of the publisher (Pins) stays, so pulls check what they checked before. Another key
// that is here already is fs.ErrExist; the same one is adopted.
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
