package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/dig-network/digstore/auth"
)

// config is the user's config.toml, beside the identity key.
type config struct {
	Chain struct {
		Sources  []string `toml:"sources"` // as --chain has them
		Network  string   `toml:"network,omitempty"`
		ChiaRoot string   `toml:"chia_root,omitempty"`
	} `toml:"chain"`
}

// configDir is the folder of the identity key.
func configDir() (string, error) {
	path, err := auth.IdentityPath()
	return filepath.Dir(path), err
}

func configPath() (string, error) {
	dir, err := configDir()
	return filepath.Join(dir, "config.toml"), err
}

// readConfig reads the configuration; none is the empty one.
func readConfig() (*config, error) {
	c := new(config)
	path, err := configPath()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	meta, err := toml.Decode(string(text), c)
	if err == nil && len(meta.Undecoded()) > 0 {
		err = fmt.Errorf("unknown setting %s", meta.Undecoded()[0])
	}
	if err != nil {
		return nil, usage("mend the file, or remove it", "%s: %w", path, err)
	}
	return c, nil
}

// write replaces the configuration.
func (c *config) write() (path string, err error) {
	if path, err = configPath(); err != nil {
		return path, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return path, err
	}
	defer os.Remove(f.Name()) // gone after the rename
	err = toml.NewEncoder(f).Encode(c)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return path, fmt.Errorf("write %s: %w", path, err)
	}
	return path, os.Rename(f.Name(), path)
}
