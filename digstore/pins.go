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
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// pinFile is pins.json: {"publisher","root","generation","proven"}, keys and roots in hex, "" for
// none.
type pinFile struct {
	Publisher  string `json:"publisher"`
	Root       string `json:"root"`
	Generation uint64 `json:"generation"`
	Proven     bool   `json:"proven,omitempty"` // roots.proof has been written
}

func (s *Store) pinsName() string { return filepath.Join(s.dir, "pins.json") }

// readPinFile reads pins.json; zero when there is none.
func (s *Store) readPinFile() (f pinFile, err error) {
	text, err := diskfs.ReadFile(s.w.fs, s.pinsName(), maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read pins: %w", err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, corrupt(s.pinsName(), "%v", err)
	}
	return f, nil
}

func (s *Store) writePinFile(f pinFile) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return diskfs.WriteFile(s.w.fs, s.pinsName(), append(text, '\n'), 0o644)
}

// isProven reports whether roots.proof has been written.
func (s *Store) isProven() (bool, error) {
	f, err := s.readPinFile()
	return f.Proven, err
}

// setProven notes, durably, that roots.proof has been written. The caller holds the lock.
func (s *Store) setProven() error {
	f, err := s.readPinFile()
	if err != nil || f.Proven {
		return err
	}
	f.Proven = true
	return s.writePinFile(f)
}

func (s *Store) readPins() (p module.Pins, err error) {
	f, err := s.readPinFile()
	if err != nil {
		return p, err
	}
	if f.Publisher != "" {
		if p.Publisher, err = auth.ParsePublicKey(f.Publisher); err != nil {
			return p, corrupt(s.pinsName(), "publisher: %v", err)
		}
	}
	if f.Root != "" {
		if p.Root, err = merkle.ParseHash(f.Root); err != nil {
			return p, corrupt(s.pinsName(), "root: %v", err)
		}
	}
	p.Generation = f.Generation
	return p, nil
}

func (s *Store) writePins(p module.Pins) error {
	old, err := s.readPinFile()
	if err != nil {
		return err
	}
	f := pinFile{Generation: p.Generation, Proven: old.Proven}
	if !p.Publisher.IsZero() {
		f.Publisher = p.Publisher.String()
	}
	if !p.Root.IsZero() {
		f.Root = p.Root.String()
	}
	return s.writePinFile(f)
}

// Pins returns what the store remembers of its origins; the zero Pins when nothing.
func (s *Store) Pins(context.Context) (module.Pins, error) { return s.readPins() }

// Pin replaces what the store remembers, durably.
func (s *Store) Pin(ctx context.Context, p module.Pins) error {
	l, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	defer l.Close()
	if old, err := s.readPins(); err == nil && old == p {
		return nil
	}
	if err := s.writePins(p); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return nil
}

// KnownStores remembers which key was believed for which store by first use: the file
// known_stores.json, which lies beside a person's identity key. It may be used by several
// goroutines and processes.
type KnownStores struct {
	path string
	mu   sync.Mutex
}

// OpenKnownStores returns the memory kept at path. The file and its directory are made by the first
// Remember.
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

// Known returns the key that was believed for a store, and whether there is one.
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

// Remember notes the key of a store, durably, in place of an earlier one.
func (k *KnownStores) Remember(ctx context.Context, s auth.StoreID, key auth.PublicKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	fsys := diskfs.OS()
	if err := diskfs.MkdirAll(fsys, filepath.Dir(k.path), 0o700); err != nil {
		return fmt.Errorf("remember store: %w", err)
	}
	w := newWorkspace(filepath.Dir(k.path), nil) // for its way of waiting
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
