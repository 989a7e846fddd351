package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/internal/mkdirall"
	"github.com/dig-network/digstore/internal/secretfile"
)

// ErrKeyFile is wrapped by errors about a file that exists and is not a valid key file.
var ErrKeyFile = errors.New("key file refused")

// KeyFileError reports why a key file was refused. It wraps ErrKeyFile.
type KeyFileError struct {
	Path string
	Why  string // what is wrong with the file, and how to correct it
}

// Error implements error.
func (e *KeyFileError) Error() string { return fmt.Sprintf("key file %s: %s", e.Path, e.Why) }

// Unwrap returns ErrKeyFile.
func (e *KeyFileError) Unwrap() error { return ErrKeyFile }

// ReadKey reads a key file: exactly 32 bytes, the seed (remote/PROTOCOL.md 3.8). A missing file is
// fs.ErrNotExist. A file of another length, or one that is not regular, is a *KeyFileError. On
// systems with Unix permissions it is also a *KeyFileError if another user owns the file, if group
// or others may read or write it, or if they may replace it in its directory.
func ReadKey(path string) (*Key, error) { return readKey(secretfile.Disk{}, path) }

func readKey[F secretfile.File](fsys secretfile.FS[F], path string) (*Key, error) {
	// Check the file before it is opened: opening a pipe would block.
	info, err := fsys.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if err := checkKeyFile(path, info); err != nil {
		return nil, err
	}
	if err := checkKeyDir(fsys, path); err != nil {
		return nil, err
	}
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if err := checkKeyFile(path, info); err != nil {
		return nil, err
	}
	var b [SeedSize + 1]byte // one byte more, to detect a longer file
	defer clear(b[:])
	n, err := io.ReadFull(f, b[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if n != SeedSize {
		return nil, &KeyFileError{path, fmt.Sprintf("want %d bytes, found %d; "+
			"restore it from a backup or, if it never had a key, remove it", SeedSize, info.Size())}
	}
	return NewKey([SeedSize]byte(b[:])), nil
}

// checkKeyFile refuses a file that is not regular, or that other users may read or change.
func checkKeyFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &KeyFileError{path, "not a regular file"}
	}
	return refused(path, secretfile.CheckFile(path, info))
}

// checkKeyDir refuses a directory in which other users may replace the key file.
func checkKeyDir[F secretfile.File](fsys secretfile.FS[F], path string) error {
	dir := filepath.Dir(path)
	info, err := fsys.Stat(dir)
	if err != nil {
		return fmt.Errorf("check the directory of the key file: %w", err)
	}
	return refused(path, secretfile.CheckDir(dir, info))
}

// refused converts a *secretfile.AccessError to a *KeyFileError.
func refused(path string, err error) error {
	var access *secretfile.AccessError
	if !errors.As(err, &access) {
		return err
	}
	why := access.Problem
	if access.Path != path {
		why = access.Error()
	}
	return &KeyFileError{path, fmt.Sprintf(
		"%s; check that no other user has read or changed it, then run: %s", why, access.Fix)}
}

// LoadKey reads the key file at path as ReadKey does. If there is none, it makes a new key and
// writes it there. If two processes do so at the same time, both return the same key. Missing
// directories are made with mode 0700. An existing file is never overwritten.
func LoadKey(path string) (*Key, error) { return loadKey(secretfile.Disk{}, path) }

func loadKey[F secretfile.File](fsys secretfile.FS[F], path string) (*Key, error) {
	k, err := readKey(fsys, path)
	if err == nil {
		secretfile.Sweep(fsys, path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k, err = GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	err = saveKey(fsys, path, k)
	if errors.Is(err, fs.ErrExist) { // another process wrote it first
		return readKey(fsys, path)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// SaveKey writes k to a new file with mode 0600 and syncs it to disk. The file is created
// completely or not at all. If it exists, SaveKey returns fs.ErrExist and does not change it.
// Missing directories are made with mode 0700. A directory in which other users may write is a
// *KeyFileError.
func SaveKey(path string, k *Key) error { return saveKey(secretfile.Disk{}, path, k) }

func saveKey[F secretfile.File](fsys secretfile.FS[F], path string, k *Key) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save key file: %w", err)
		}
	}()
	if err := mkdirall.MkdirAll(fsys, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := checkKeyDir(fsys, path); err != nil {
		return err
	}
	seed := k.Seed()
	defer clear(seed[:])
	return secretfile.Create(fsys, path, seed[:])
}

// IdentityPath returns the path of the user's identity key (remote/PROTOCOL.md 3.8). It is
// $DIG_IDENTITY_DIR/identity_key.bin if that variable is not empty, or else dig/identity_key.bin in
// os.UserConfigDir, where a relative XDG_CONFIG_HOME is ignored. It reads no file. The directory
// also has the user's other files, such as known_stores.json.
func IdentityPath() (string, error) {
	const file = "identity_key.bin"
	if dir := os.Getenv("DIG_IDENTITY_DIR"); dir != "" {
		return filepath.Join(dir, file), nil
	}
	config, err := os.UserConfigDir()
	if err != nil && isRelative(os.Getenv("XDG_CONFIG_HOME")) {
		var home string
		home, err = os.UserHomeDir()
		config = filepath.Join(home, ".config")
	}
	if err != nil {
		return "", fmt.Errorf("find the directory of the identity key: %w; set DIG_IDENTITY_DIR", err)
	}
	return filepath.Join(config, "dig", file), nil
}

func isRelative(path string) bool { return path != "" && !filepath.IsAbs(path) }
