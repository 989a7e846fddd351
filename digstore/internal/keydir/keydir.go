// Package keydir keeps the keys of a store in its directory (LAYOUT.md 4.3 and 4.4).
package keydir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/legacy"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/secretfile"
)

const (
	// publisherFile is the key of the publisher: the seed, mode 0600.
	publisherFile = "signing_key.bin"
	// writerFile is an adopted key. It is used before the key of the publisher, and may be the same.
	writerFile = "writer_key.bin"
)

// ErrNoKey says that the store has no key.
var ErrNoKey = errors.New("no publisher key")

// A Dir reads and writes the keys of one store.
type Dir struct {
	// FS is the file system, Path the directory of the store.
	FS   diskfs.FS
	Path string
	// Name is the name of the store, for errors.
	Name string
	// ReadSecret reads a file that no other user can read. A missing file is fs.ErrNotExist.
	ReadSecret func(path string) ([]byte, error)
}

// Signer returns the key that signs commits: the adopted key, or else the publisher's. Without
// either the error is ErrNoKey.
func (d *Dir) Signer() (*auth.Key, error) {
	k, err := d.read(writerFile)
	if errors.Is(err, ErrNoKey) {
		k, err = d.read(publisherFile)
	}
	return k, err
}

// Publisher returns the key of the publisher. The error is ErrNoKey if there is none.
func (d *Dir) Publisher() (*auth.Key, error) { return d.read(publisherFile) }

func (d *Dir) read(file string) (*auth.Key, error) {
	name := filepath.Join(d.Path, file)
	seed, err := d.ReadSecret(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store %s: %w", d.Name, ErrNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if len(seed) != auth.SeedSize {
		return nil, damage.In(name, "%d bytes, want a seed of %d", len(seed), auth.SeedSize)
	}
	return auth.NewKey([auth.SeedSize]byte(seed)), nil
}

// SignerID returns the public key of Signer; zero if there is none.
func (d *Dir) SignerID() (auth.PublicKey, error) { return public(d.Signer()) }

// AdoptedID returns the public key of the adopted key; zero if there is none.
func (d *Dir) AdoptedID() (auth.PublicKey, error) { return public(d.read(writerFile)) }

func public(k *auth.Key, err error) (auth.PublicKey, error) {
	if errors.Is(err, ErrNoKey) {
		return auth.PublicKey{}, nil
	}
	if err != nil {
		return auth.PublicKey{}, err
	}
	return k.PublicKey(), nil
}

// Adopt stores, durably, a key that signs commits in place of the publisher's. If there is an
// adopted key, the error is fs.ErrExist.
func (d *Dir) Adopt(k *auth.Key) error {
	seed := k.Seed()
	return secretfile.Create(d.FS, filepath.Join(d.Path, writerFile), seed[:])
}

// Write stores the key of the publisher, durably, in the directory of a store, and lists it in
// trusted_keys.json. It does not replace a key: the error is fs.ErrExist.
func Write(fsys diskfs.FS, dir string, k *auth.Key) error {
	pub := k.PublicKey()
	text, err := json.MarshalIndent(
		[]legacy.TrustedKey{{PublicKey: pub, Label: "dig-host-key-v1:" + pub.String()}}, "", "  ")
	if err != nil {
		return err
	}
	if err := diskfs.WriteFile(fsys, filepath.Join(dir, legacy.KeysFile), text, 0o644); err != nil {
		return err
	}
	seed := k.Seed()
	return secretfile.Create(fsys, filepath.Join(dir, publisherFile), seed[:])
}

// Exists reports whether a directory has a file that may hold a key.
func Exists(fsys diskfs.FS, dir string) (bool, error) {
	for _, file := range []string{publisherFile, writerFile} {
		_, err := fsys.Lstat(filepath.Join(dir, file))
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}
