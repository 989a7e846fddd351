package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/evidence"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/receive"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// The methods in this file, with Head, SignedRoot, Line and Tail, make a Store a remote.Local: a
// client pulls into it and pushes from it.

// Install decomposes the module in r as it arrives, calls check on the module that the store can
// give back, and only then makes it visible. lines are the history lines that follow those of the
// store. The last one is the generation in r; those before it are recorded as not held. For a
// generation whose line is there but which is not held, lines is just that line. If the generation
// is held already and comes again, further down the history, nothing is read from r: check is given
// what is held. head carries the signatures that are known for the root.
//
// The error wraps what r or check returned; nothing is visible then. What arrived before r failed
// is kept: Held returns how much, and the next Install of the root is given a reader that starts
// there. A generation that is held already is fs.ErrExist. The lock is taken only at the end, so
// other writers do not wait for the transfer.
func (s *Store) Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	r io.Reader, check func(*module.Module) error) error {
	return receive.Install(ctx, s.dir, receive.Pull{Lines: lines, Head: head, Check: check}, r)
}

// Assemble is Install for a generation that comes as a recipe and chunks. It calls a.Fetch once,
// which calls put for every chunk that MissingChunks names, in any order. Several goroutines may
// call put. It returns module.ErrVerify for bytes that are not those of the chunk. A chunk that is
// neither put nor held is fs.ErrNotExist.
//
// The module that check is given need not read what it has in common with a.Base, nor what put has
// just hashed, and reads everything else. Errors and the lock are those of Install. What came
// before a.Fetch failed is kept.
func (s *Store) Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	a module.Assembly, check func(*module.Module) error) error {
	return receive.Assemble(ctx, s.dir, receive.Pull{Lines: lines, Head: head, Check: check}, a)
}

// Has reports whether the module of a generation of the history is held. It looks for the files of
// the generation and reads none of them. A generation whose files are missing although it was not
// dropped is ErrCorrupt.
func (s *Store) Has(_ context.Context, root merkle.Hash) (bool, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return false, err
	}
	line, ok, err := h.Find(root)
	if !ok || err != nil {
		return false, err
	}
	held, err := s.dir.Has(root)
	if held || err != nil {
		return held, err
	}
	if err := s.dir.NotHeld(line); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return false, nil
}

// Held returns how many leading bytes of the module of root are kept from an Install that failed.
// The next Install of that root is given a reader that starts there.
func (s *Store) Held(_ context.Context, root merkle.Hash) (int64, error) {
	return incoming.Held(s.w.fs, s.dir.Partial(root), s.dir.Packs)
}

// Discard removes what is kept from an Install or Assemble of root that failed. It is no error if
// nothing is kept.
func (s *Store) Discard(ctx context.Context, root merkle.Hash) error {
	if err := receive.Discard(ctx, s.dir, root); err != nil {
		return fmt.Errorf("discard: %w", err)
	}
	return nil
}

// Recipe returns the recipe of a generation. One that is not held, or lies in the form of the
// reference implementation, is fs.ErrNotExist. The recipe must not be changed.
func (s *Store) Recipe(_ context.Context, root merkle.Hash) (*module.Recipe, error) {
	return receive.Confirmed(s.dir, root)
}

// MissingChunks returns the places in r.Pool() of the chunks that are not here, ascending, each
// chunk once. What an Assemble of the same root has received before it failed is here. A length
// that is not that of the chunk is module.ErrVerify. A gc of another process may remove chunks
// until Assemble has begun. Then Assemble returns fs.ErrNotExist, and MissingChunks names the
// chunks for the next attempt.
func (s *Store) MissingChunks(ctx context.Context, r *module.Recipe) ([]int, error) {
	missing, err := receive.Missing(ctx, s.dir, r)
	if err != nil {
		return nil, fmt.Errorf("look for chunks: %w", err)
	}
	return missing, nil
}

// Pins returns what the store remembers of its origins; the zero Pins if nothing.
func (s *Store) Pins(context.Context) (module.Pins, error) { return s.dir.Pins.Read() }

// Pin replaces what the store remembers of its origins, durably.
func (s *Store) Pin(ctx context.Context, p module.Pins) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	defer l.Close()
	if old, err := s.dir.Pins.Read(); err == nil && old == p {
		return nil
	}
	if err := s.dir.Pins.Write(p); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return nil
}

// Tombstones returns the tombstones of this store that verify under the key of the publisher. Any
// other id is fs.ErrNotExist.
func (s *Store) Tombstones(_ context.Context, id auth.StoreID) ([]auth.Tombstone, error) {
	if id != s.set.id {
		return nil, fmt.Errorf("tombstones of store %s: expected store %s: %w", id, s.set.id,
			fs.ErrNotExist)
	}
	out, err := s.tombstones.All(s.publisher)
	if errors.Is(err, ErrIrregular) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	return out, nil
}

// Revoke keeps a tombstone of this store, durably, in place of one of the same scope and root. The
// caller has checked its signature.
func (s *Store) Revoke(ctx context.Context, t auth.Tombstone) error {
	if t.Store != s.set.id {
		return fmt.Errorf("revoke: tombstone: expected store %s, found %s: %w", s.set.id,
			t.Store, fs.ErrNotExist)
	}
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	defer l.Close()
	if err := s.tombstones.Put(t); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// checkRevoked returns auth.ErrRevoked if a valid tombstone names the store or that root; with a
// zero root, if one names the store.
func (s *Store) checkRevoked(root merkle.Hash) error {
	list, err := s.Tombstones(context.Background(), s.set.id)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.WholeStore() {
			return fmt.Errorf("store %s: %w", s.name, auth.ErrRevoked)
		}
		if t.Root == root {
			return fmt.Errorf("root %s: %w", root, auth.ErrRevoked)
		}
	}
	return nil
}

// PutEvidence stores, durably, a document of at most 256 KiB about the misbehavior of an origin,
// and returns the path of its file. The same bytes are stored once. Of more than 32 documents the
// oldest are removed.
func (s *Store) PutEvidence(ctx context.Context, doc []byte) (name string, err error) {
	if err := evidence.CheckSize(doc); err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	defer l.Close()
	if name, err = s.evidence.Put(doc, s.w.now()); err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	return name, nil
}

// Evidence returns the documents that PutEvidence has kept, oldest first.
func (s *Store) Evidence(context.Context) ([][]byte, error) {
	docs, err := s.evidence.All()
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	return docs, nil
}
