package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/internal/secretfile"
)

// ErrKeyFile is wrapped where a file is there and is not taken as a key file.
var ErrKeyFile = errors.New("key file refused")

// KeyFileError says why a key file was refused. It is ErrKeyFile, and says what to do.
type KeyFileError struct {
	Path string
	Why  string // what is wrong, and what to do about it
}

// Error implements error.
func (e *KeyFileError) Error() string { return fmt.Sprintf("key file %s: %s", e.Path, e.Why) }

// Unwrap returns ErrKeyFile.
func (e *KeyFileError) Unwrap() error { return ErrKeyFile }

// ReadKey reads a key file: exactly 32 raw bytes, the seed (remote/PROTOCOL.md 3.8). It creates nothing;
// a missing file is fs.ErrNotExist. A file of another length, one that is not a regular file and,
// where files have Unix permissions, one that belongs to another user, that group or others may read
// or write, or that lies in a directory where they may replace it, is refused with a *KeyFileError.
func ReadKey(path string) (*Key, error) { return readKey(secretfile.Disk{}, path) }

func readKey[F secretfile.File](fsys secretfile.FS[F], path string) (*Key, error) {
	// Before it is opened, too: opening a pipe would wait for somebody to write.
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
	var b [SeedSize + 1]byte // one more, to see that there is no more
	defer clear(b[:])
	n, err := io.ReadFull(f, b[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if n != SeedSize {
		return nil, &KeyFileError{path, fmt.Sprintf(
			"%d bytes, want exactly %d; restore it from a backup or, if no key was ever in it, remove it", info.Size(), SeedSize)}
	}
	return NewKey([SeedSize]byte(b[:])), nil
}

// checkKeyFile refuses what is no file, or not its owner's alone.
func checkKeyFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &KeyFileError{path, "not a regular file"}
	}
	return refused(path, secretfile.CheckFile(path, info))
}

// checkKeyDir refuses a directory in which other users may put another file in the place of the key file.
func checkKeyDir[F secretfile.File](fsys secretfile.FS[F], path string) error {
	dir := filepath.Dir(path)
	info, err := fsys.Stat(dir)
	if err != nil {
		return fmt.Errorf("check the directory of the key file: %w", err)
	}
	return refused(path, secretfile.CheckDir(dir, info))
}

// refused makes a *KeyFileError of a *secretfile.AccessError.
func refused(path string, err error) error {
	var access *secretfile.AccessError
	if !errors.As(err, &access) {
		return err
	}
	why := access.Problem
	if access.Path != path {
		why = access.Error()
	}
	return &KeyFileError{path, fmt.Sprintf("%s; check that no other user has read or changed it, then run: %s", why, access.Fix)}
}

// LoadKey reads the key file at path as ReadKey does or, when there is none, makes a new key and
// keeps it there. Of two processes that do so at once, both get the key of one of them. Missing
// directories are made with mode 0700. A file that is refused stays as it is: it is never
// overwritten.
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
	if errors.Is(err, fs.ErrExist) { // another process was first
		return readKey(fsys, path)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// SaveKey keeps k in a new file of mode 0600, synced to disk when it returns. The file appears
// whole or not at all; one that is there already is fs.ErrExist and stays as it is. Missing
// directories are made with mode 0700; one in which other users may write is a *KeyFileError.
func SaveKey(path string, k *Key) error { return saveKey(secretfile.Disk{}, path, k) }

func saveKey[F secretfile.File](fsys secretfile.FS[F], path string, k *Key) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save key file: %w", err)
		}
	}()
	if err := secretfile.MkdirAll(fsys, filepath.Dir(path)); err != nil {
		return err
	}
	if err := checkKeyDir(fsys, path); err != nil {
		return err
	}
	seed := k.Seed()
	defer clear(seed[:])
	return secretfile.Create(fsys, path, seed[:])
}

// IdentityPath returns where this user's identity key is kept (remote/PROTOCOL.md 3.8):
// $DIG_IDENTITY_DIR/identity_key.bin when that variable is set and not empty, else
// dig/identity_key.bin in the user's configuration directory as os.UserConfigDir finds it, but for
// a relative XDG_CONFIG_HOME, which counts as unset. It touches no file. The same directory holds
// what else belongs to the person: known_stores.json, session.json.
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
		return "", fmt.Errorf("find the identity key: %w; set DIG_IDENTITY_DIR to the directory to keep it in", err)
	}
	return filepath.Join(config, "dig", file), nil
}

func isRelative(path string) bool { return path != "" && !filepath.IsAbs(path) }
