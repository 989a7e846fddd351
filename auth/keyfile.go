package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

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
func ReadKey(path string) (*Key, error) {
	// Before it is opened, too: opening a pipe would wait for somebody to write.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if err := checkKeyFile(path, info); err != nil {
		return nil, err
	}
	if err := checkKeyDir(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
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
func checkKeyDir(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
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
func LoadKey(path string) (*Key, error) {
	k, err := ReadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k, err = GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	if err := SaveKey(path, k); errors.Is(err, fs.ErrExist) {
		return ReadKey(path) // somebody else was first
	} else if err != nil {
		return nil, err
	}
	return k, nil
}

// SaveKey keeps k in a new file of mode 0600, synced to disk when it returns. The file appears
// whole or not at all; one that is there already is fs.ErrExist and stays as it is. Missing
// directories are made with mode 0700; one in which other users may write is a *KeyFileError.
func SaveKey(path string, k *Key) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save key file: %w", err)
		}
	}()
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	if err := checkKeyDir(path); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	temp, err := writeTemp(dir, k.Seed())
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	// A link, and not a rename, because it fails where the name is taken.
	if err := os.Link(temp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := createWhole(path, k.Seed()); err != nil { // no links on this file system
			return err
		}
	}
	return syncDir(dir)
}

// makeDir makes dir and the parents it needs, durably: what gained a name is synced.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// writeTemp writes the seed to a new file of mode 0600 in dir, synced, and returns its name.
func writeTemp(dir string, seed [SeedSize]byte) (name string, err error) {
	f, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return "", err
	}
	if err := writeSynced(f, seed); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// createWhole writes the seed to a file that must be new, where links cannot be had. A crash on
// the way can leave a file that is too short, which ReadKey refuses.
func createWhole(path string, seed [SeedSize]byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeSynced(f, seed); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// writeSynced writes the seed, syncs and closes f.
func writeSynced(f *os.File, seed [SeedSize]byte) error {
	_, err := f.Write(seed[:])
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a new name in dir durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
