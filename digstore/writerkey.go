package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/secretfile"
)

// writerFile is a key that commits here without being the one that signed the head: 32 bytes, the
// seed, mode 0600. It lies beside signing_key.bin, which it goes before, and which may hold the
// same key.
const writerFile = "writer_key.bin"

// AdoptKey keeps k, durably, as the key that commits here from now on, whichever key signed the
// head. It is for a writer whom the chain authorizes, and for the owner after a writer's generation
// was pulled. Other hosts accept what it signs if the chain lists the key (auth/chain/LINEAGE.md
// 9): see server.Options.Authority and remote.Trust.Anchor.
//
// What is held of the publisher (Pins) stays, so pulls check what they checked before. Another key
// that is here already is fs.ErrExist; the same one is adopted.
func (s *Store) AdoptKey(ctx context.Context, k *auth.Key) error {
	l, err := s.lock(ctx)
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
	switch adopted, err := s.adopted(); {
	case err != nil:
		return fmt.Errorf("adopt key: %w", err)
	case adopted == k.PublicKey():
		return nil
	}
	seed := k.Seed()
	if err := secretfile.Create(s.w.fs, filepath.Join(s.dir, writerFile), seed[:]); err != nil {
		return fmt.Errorf("adopt key: %w", err)
	}
	return nil
}

// adopted is the public half of the key that AdoptKey has kept; zero when there is none.
func (s *Store) adopted() (auth.PublicKey, error) {
	k, err := s.readKey(writerFile)
	if errors.Is(err, ErrNoKey) {
		return auth.PublicKey{}, nil
	}
	if err != nil {
		return auth.PublicKey{}, err
	}
	return k.PublicKey(), nil
}
