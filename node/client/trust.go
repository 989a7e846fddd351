package client

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Keys returns a function for Options.Writers. It accepts keys for every datastore, and for each
// datastore the key whose hash is its id (auth.StoreIDFromKey).
func Keys(keys ...auth.PublicKey) func(context.Context, auth.StoreID, auth.PublicKey) error {
	return func(_ context.Context, store auth.StoreID, key auth.PublicKey) error {
		if slices.Contains(keys, key) || auth.StoreIDFromKey(key) == store {
			return nil
		}
		return fmt.Errorf("key %v, datastore %v: %w", key, store, auth.ErrForbidden)
	}
}

// Statement returns the root statement of a generation from the node. It does not verify it; see
// capsule.SignedRoots. If there is none, the error is fs.ErrNotExist.
func (c *Client) Statement(ctx context.Context, store auth.StoreID, root merkle.Hash) (
	capsule.RootStatement, error) {
	left := int64(maxSmall)
	p, err := c.page(ctx, store, root, 0, 1, &left)
	if err == nil && p.Signature.IsZero() {
		err = fmt.Errorf("root statement: %w", fs.ErrNotExist)
	}
	if err != nil {
		return capsule.RootStatement{}, fmt.Errorf("statement about root %v of datastore %v: %w", root,
			store, err)
	}
	return capsule.RootStatement{Store: p.Store, Root: p.Root, Capsules: uint32(p.count),
		Generation: p.Generation, Writer: p.Writer, Signature: p.Signature}, nil
}

// maxStatements is the number of root statements that a client caches.
const maxStatements = 256

// statements caches root statements with valid signatures, so that the capsules of a generation do
// not each request it. They are verified at each use.
type statements struct {
	c  *Client
	mu sync.Mutex
	of map[capsule.Ref]capsule.RootStatement
}

// signedRoots returns the RootTrust of Options.Writers.
func (c *Client) signedRoots() capsule.RootTrust {
	s := &statements{c: c, of: map[capsule.Ref]capsule.RootStatement{}}
	writers := c.opt.Writers
	if writers == nil {
		writers = func(_ context.Context, store auth.StoreID, _ auth.PublicKey) error {
			return fmt.Errorf("no key may write datastore %v: %w", store, auth.ErrForbidden)
		}
	}
	return &capsule.SignedRoots{Statement: s.get, CanWrite: writers}
}

func (s *statements) get(ctx context.Context, store auth.StoreID, root merkle.Hash) (
	capsule.RootStatement, error) {
	key := capsule.Ref{Store: store, Root: root}
	s.mu.Lock()
	known, ok := s.of[key]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	got, err := s.c.Statement(ctx, store, root)
	if err != nil {
		return got, err
	}
	if got.Check() == nil {
		s.remember(key, got)
	}
	return got, nil
}

func (s *statements) remember(key capsule.Ref, got capsule.RootStatement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.of) >= maxStatements {
		clear(s.of)
	}
	s.of[key] = got
}
