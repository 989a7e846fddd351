package digstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
)

// DefaultMaxSize is the default limit of the plaintext of one generation, in bytes.
const DefaultMaxSize = 128_000_000

// maxConfig bounds every small file that is read whole.
const maxConfig = 4 << 20

// configFile has the settings of a store.
const configFile = "config.toml"

// saltFile has the salt of a private store in hex, for tools of the reference implementation. It
// may be missing, and must agree with config.toml.
const saltFile = "secret_salt.hex"

// config is config.toml of a store (LAYOUT.md 4.1).
type config struct {
	StoreID     string `toml:"store_id"`
	DataDir     string `toml:"data_dir"`
	MaxSize     int64  `toml:"max_size"`
	Visibility  string `toml:"visibility"`
	SecretSalt  string `toml:"secret_salt,omitempty"`
	Label       string `toml:"label,omitempty"`
	Description string `toml:"description,omitempty"`
	Listed      *bool  `toml:"listed,omitempty"`
}

// settings are the content of config.toml, checked.
type settings struct {
	id      auth.StoreID
	salt    *urn.Salt // nil: public
	maxSize int64
	label   string
	about   string
	listed  *bool // nil: the head decides
}

// readConfig reads the settings of the store in dir. If they contain a salt, the file is a secret.
func (w *Workspace) readConfig(dir string) (settings, error) {
	var set settings
	name := filepath.Join(dir, configFile)
	text, err := smallfile.Read(w.fs, name)
	if err != nil {
		return set, fmt.Errorf("read store settings: %w", err)
	}
	var c config
	if err := toml.Unmarshal(text, &c); err != nil {
		return set, corrupt(name, "%v", err)
	}
	if set.id, err = auth.ParseStoreID(c.StoreID); err != nil {
		return set, corrupt(name, "store_id: %v", err)
	}
	set.maxSize, set.label, set.about, set.listed = c.MaxSize, c.Label, c.Description, c.Listed
	if set.maxSize <= 0 {
		set.maxSize = DefaultMaxSize
	}
	switch c.Visibility {
	case "public":
	case "private":
		if set.salt, err = urn.ParseSalt(c.SecretSalt); err != nil {
			return set, corrupt(name, "secret_salt: expected 64 hex digits")
		}
		if err := w.checkSecret(name); err != nil {
			return set, fmt.Errorf("read store settings: %w", err)
		}
		beside, err := w.readSecret(filepath.Join(dir, saltFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return set, fmt.Errorf("read secret salt: %w", err)
		}
		if err == nil {
			other, err := urn.ParseSalt(string(bytes.TrimSpace(beside)))
			if err != nil || *other != *set.salt {
				return set, corrupt(name, "secret_salt differs from the file secret_salt.hex")
			}
		}
	default:
		return set, corrupt(name, "visibility: expected public or private, found %q", c.Visibility)
	}
	return set, nil
}

func (s settings) write(fsys diskfs.FS, dir string) error {
	c := config{StoreID: s.id.String(), DataDir: dir, MaxSize: s.maxSize, Visibility: "public",
		Label: s.label, Description: s.about, Listed: s.listed}
	if s.salt != nil {
		c.Visibility, c.SecretSalt = "private", s.salt.Hex()
	}
	if err := writeTOML(fsys, filepath.Join(dir, configFile), c); err != nil {
		return fmt.Errorf("write store settings: %w", err)
	}
	if s.salt == nil {
		return nil
	}
	if err := diskfs.WriteFile(fsys, filepath.Join(dir, saltFile), []byte(s.salt.Hex()),
		0o600); err != nil {
		return fmt.Errorf("write secret salt: %w", err)
	}
	return nil
}

const (
	maxName   = 200 // bytes of a store's name
	nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
)

// checkName returns an error for a name that cannot be the directory of a store (LAYOUT.md 3.1).
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.Trim(name, nameChars) != "" ||
		name == "." || name == ".." {
		return fmt.Errorf(
			"store name %.200q: want at most %d letters, digits, dots, hyphens and underscores: %w", name,
			maxName, fs.ErrInvalid)
	}
	return nil
}

// checkNewName is checkName for a new store, whose name every system must accept for a directory:
// names of devices, which Windows has in every directory, and names that end in a dot, which
// Windows drops, are errors.
func checkNewName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if strings.HasPrefix(name, removedPrefix) {
		return fmt.Errorf("store name %q: %s begins the names of removed stores: %w", name,
			removedPrefix, fs.ErrInvalid)
	}
	if isDevice(name) || strings.HasSuffix(name, ".") || isSettingsName(name) {
		return fmt.Errorf("store name %q: some systems cannot have such a directory: %w",
			name, fs.ErrInvalid)
	}
	return nil
}

func writeTOML(fsys diskfs.FS, name string, v any) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	return diskfs.WriteFile(fsys, name, b.Bytes(), 0o600)
}
