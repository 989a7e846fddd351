package digstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/secretfile"
)

// keyFile is the publisher key: 32 bytes, the seed, mode 0600. See LAYOUT.md 4.3.
const keyFile = "signing_key.bin"

// Signer returns the key that commits here: the one that was adopted, else the store's publisher
// key. It is ErrNoKey where there is neither: a clone has none.
func (s *Store) Signer() (*auth.Key, error) {
	k, err := s.readKey(writerFile)
	if errors.Is(err, ErrNoKey) {
		k, err = s.readKey(keyFile)
	}
	return k, err
}

// readKey reads one of the store's key files; ErrNoKey when it is not there.
func (s *Store) readKey(file string) (*auth.Key, error) {
	name := filepath.Join(s.dir, file)
	seed, err := s.w.readSecret(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store %s: %w (key import brings it)", s.name, ErrNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if len(seed) != auth.SeedSize {
		return nil, corrupt(name, "%d bytes, want a seed of %d", len(seed), auth.SeedSize)
	}
	return auth.NewKey([auth.SeedSize]byte(seed)), nil
}

// ImportKey keeps k as the store's publisher key. Another key that is here already is fs.ErrExist.
// A key that does not sign this store (another one is pinned, or signed the head) is
// auth.ErrForbidden.
func (s *Store) ImportKey(ctx context.Context, k *auth.Key) error {
	l, err := s.lock(ctx)
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
	if err := writeKey(s.w.fs, s.dir, k); err != nil {
		return fmt.Errorf("import key: %w", err)
	}
	return nil
}

// publisher returns the key that signs the store: the one in the head's module, for a head has been
// accepted, or the pinned one, where that was pinned for the head or no head is held; zero when
// neither is known, as where the head was pinned without a key because no signature of it came.
func (s *Store) publisher() (auth.PublicKey, error) {
	p, err := s.readPins()
	if err != nil {
		return p.Publisher, err
	}
	h, err := s.log.Current()
	if err != nil {
		return p.Publisher, err
	}
	head, ok := h.Head()
	if !ok || head.Root == p.Root && !p.Publisher.IsZero() {
		return p.Publisher, nil
	}
	if head.Root == p.Root {
		return s.ownKey()
	}
	key, err := keyIn(s.At(head.Root))
	if err == nil && key.IsZero() || errors.Is(err, ErrCorrupt) && !p.Publisher.IsZero() {
		return p.Publisher, nil
	}
	return key, err
}

// ownKey is the public half of the store's own key; zero when it is not here.
func (s *Store) ownKey() (auth.PublicKey, error) {
	k, err := s.Signer()
	if errors.Is(err, ErrNoKey) {
		return auth.PublicKey{}, nil
	}
	if err != nil {
		return auth.PublicKey{}, err
	}
	return k.PublicKey(), nil
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

// trustedKey is one entry of trusted_keys.json, which the reference's tools read.
type trustedKey struct {
	PublicKey auth.PublicKey `json:"public_key"`
	Label     string         `json:"label"`
}

// writeKey writes trusted_keys.json and then the key itself; a key that is there is fs.ErrExist and
// stays.
func writeKey(fsys diskfs.FS, dir string, k *auth.Key) error {
	pub := k.PublicKey()
	text, err := json.MarshalIndent([]trustedKey{{pub, "dig-host-key-v1:" + pub.String()}}, "", "  ")
	if err != nil {
		return err
	}
	if err := diskfs.WriteFile(fsys, filepath.Join(dir, "trusted_keys.json"), text,
		0o644); err != nil {
		return err
	}
	seed := k.Seed()
	return secretfile.Create(fsys, filepath.Join(dir, keyFile), seed[:])
}
