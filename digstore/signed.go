package digstore

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Head returns the root of the newest generation with the signatures that are known; a zero root if
// the store has no generation. If the key is here, missing signatures are made for the answer;
// nothing is written.
func (s *Store) Head(ctx context.Context) (auth.SignedRoot, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return auth.SignedRoot{}, err
	}
	g, ok := h.Head()
	if !ok {
		pins, err := s.dir.Pins.Read()
		if err != nil {
			return auth.SignedRoot{}, err
		}
		head := auth.SignedRoot{Store: s.set.id, PublicKey: pins.Publisher}
		if key, err := s.Signer(); err == nil && head.PublicKey.IsZero() {
			head.PublicKey = key.PublicKey()
		}
		return head, nil
	}
	return s.SignedRoot(ctx, g.Root)
}

// SignedRoot is Head for one generation of the history. A root that is not in the history is
// fs.ErrNotExist.
func (s *Store) SignedRoot(ctx context.Context, root merkle.Hash) (auth.SignedRoot, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return auth.SignedRoot{}, err
	}
	if _, ok, err := h.Find(root); err != nil {
		return auth.SignedRoot{}, err
	} else if !ok {
		return auth.SignedRoot{}, fmt.Errorf("store %s: root %s: %w", s.name, root, fs.ErrNotExist)
	}
	r, err := s.dir.Signatures.Read(root)
	if err != nil {
		return r, err
	}
	if r.PublicKey, err = s.publisherOf(root); err != nil || r.PublicKey.IsZero() {
		return r, err
	}
	if !r.Tagged.IsZero() && !r.Untagged.IsZero() {
		return r, nil
	}
	key, err := s.Signer()
	if err != nil || key.PublicKey() != r.PublicKey {
		return r, nil
	}
	return s.signInMemory(ctx, root, key)
}

// publisherOf returns the key in the module of a generation; zero if it is neither held nor pinned.
// The pins of a clone have the key of the head, so a pull with nothing new need not read the
// recipe.
func (s *Store) publisherOf(root merkle.Hash) (auth.PublicKey, error) {
	pins, err := s.dir.Pins.Read()
	if err != nil || pins.Root == root && !pins.Publisher.IsZero() {
		return pins.Publisher, err
	}
	if pins.Root == root { // it came without a signature, so the key in its module is not trusted
		return s.keys.SignerID()
	}
	return keyIn(s.At(root))
}

// signInMemory makes both signatures of a root, and stores the last ones in memory. It is for
// readers, which write nothing. KeepSigned stores signatures on disk.
func (s *Store) signInMemory(ctx context.Context, root merkle.Hash,
	key auth.Signer) (auth.SignedRoot, error) {
	s.mu.Lock()
	made := s.made
	s.mu.Unlock()
	if made.Root == root && made.PublicKey == key.PublicKey() {
		return made, nil
	}
	made, err := signRoot(ctx, s.set.id, root, key)
	if err != nil {
		return made, err
	}
	s.mu.Lock()
	s.made = made
	s.mu.Unlock()
	return made, nil
}

func signRoot(ctx context.Context, id auth.StoreID, root merkle.Hash,
	key auth.Signer) (auth.SignedRoot, error) {
	r, err := auth.SignRoot(ctx, id, root, key)
	if err != nil {
		return r, fmt.Errorf("sign root %s: %w", root, err)
	}
	return r, nil
}

// KeepSigned stores the signatures of a generation of the history, durably. The caller has verified
// them.
func (s *Store) KeepSigned(ctx context.Context, r auth.SignedRoot) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("keep signatures: %w", err)
	}
	defer l.Close()
	return s.dir.Signatures.Write(r)
}
