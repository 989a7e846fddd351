package digstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/internal/secretfile"
)

// DecoySecret returns the 32 random bytes from which a server of this workspace derives decoys, so
// that they are the same after a restart. The first call makes them and stores them in a file of
// mode 0600.
func (w *Workspace) DecoySecret() ([]byte, error) {
	name := filepath.Join(w.dot, "decoy_secret.bin")
	secret := make([]byte, 32)
	for {
		kept, err := w.readSecret(name)
		if err == nil && len(kept) != len(secret) {
			return nil, corrupt(name, "%d bytes, want %d", len(kept), len(secret))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return kept, err
		}
		if _, err := io.ReadFull(w.rand, secret); err != nil {
			return nil, fmt.Errorf("make decoy secret: %w", err)
		}
		if err := secretfile.Create(w.fs, name, secret); !errors.Is(err, fs.ErrExist) {
			return secret, err
		}
	}
}
