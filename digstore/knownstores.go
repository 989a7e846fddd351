package digstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
)

// KnownStores records which publisher key was accepted for which store at its first use, in the
// file known_stores.json beside the identity key of the user. It may be used by several goroutines
// and processes.
type KnownStores struct {
	path string
	mu   sync.Mutex
}

// OpenKnownStores returns the records in the file at path. The first Remember creates the file and
// its directory.
func OpenKnownStores(path string) *KnownStores { return &KnownStores{path: path} }

func (k *KnownStores) read() (map[string]string, error) {
	known := map[string]string{}
	text, err := diskfs.ReadFile(diskfs.OS(), k.path, maxNames)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read known stores: %w", err)
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return nil, corrupt(k.path, "%v", err)
	}
	return known, nil
}

// Known returns the key that was accepted for a store, and whether there is one.
func (k *KnownStores) Known(_ context.Context, s auth.StoreID) (auth.PublicKey, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, err := k.read()
	if err != nil {
		return auth.PublicKey{}, false, err
	}
	text, ok := known[s.String()]
	if !ok {
		return auth.PublicKey{}, false, nil
	}
	key, err := auth.ParsePublicKey(text)
	if err != nil {
		return auth.PublicKey{}, false, corrupt(k.path, "store %s: %v", s, err)
	}
	return key, true, nil
}

// Remember records the key of a store, durably, in place of an earlier one.
func (k *KnownStores) Remember(ctx context.Context, s auth.StoreID, key auth.PublicKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	fsys := diskfs.OS()
	if err := diskfs.MkdirAll(fsys, filepath.Dir(k.path), 0o700); err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	w := newWorkspace(filepath.Dir(k.path), nil) // for its lock method
	l, err := w.lock(ctx, k.path+".lock")
	if err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	defer l.Close()
	known, err := k.read()
	if err != nil {
		return err
	}
	if known[s.String()] == key.String() {
		return nil
	}
	known[s.String()] = key.String()
	text, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	if err := diskfs.WriteFile(fsys, k.path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	return nil
}
