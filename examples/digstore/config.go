package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/regular"
)

// config is the user's config.toml, beside the identity key.
type config struct {
	Chain struct {
		Sources  []string `toml:"sources"` // as in --chain
		Network  string   `toml:"network,omitempty"`
		ChiaRoot string   `toml:"chia_root,omitempty"`
	} `toml:"chain"`
	Safe struct {
		// Directories are folders whose .dig may belong to another user; "*" means all.
		Directories []string `toml:"directories,omitempty"`
	} `toml:"safe,omitempty"`
	ContentRoots []contentRoot `toml:"content_roots,omitempty"`
}

// contentRoot is a folder outside of the workspace's folder that the workspace may
// publish.
type contentRoot struct {
	Workspace string `toml:"workspace"` // absolute, links resolved
	Folder    string `toml:"folder"`
}

// contentRoots returns the folders outside of a workspace's folder that it may publish.
func (c *config) contentRoots(workspace string) (list []string) {
	for _, r := range c.ContentRoots {
		if r.Workspace == realPath(workspace) {
			list = append(list, r.Folder)
		}
	}
	return list
}

// realPath makes the path of a folder that exists absolute, and resolves the links in it.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
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

// readConfig reads the configuration, which is empty if there is no file.
func readConfig() (*config, error) {
	c := new(config)
	path, err := configPath()
	if err != nil {
		return c, nil // no configuration folder, for example because HOME is not set
	}
	text, err := regular.ReadFile(path, maxSmallFile)
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
		return nil, usage("correct the file, or remove it", "%s: %w", path, err)
	}
	return c, nil
}

// write replaces the configuration.
func (c *config) write() (path string, err error) {
	if path, err = configPath(); err != nil {
		return path, err
	}
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(c); err != nil {
		return path, err
	}
	fsys := diskfs.OS()
	if err := diskfs.MkdirAll(fsys, filepath.Dir(path), 0o700); err != nil {
		return path, err
	}
	if err := diskfs.WriteShared(fsys, path, text.Bytes(), 0o600); err != nil {
		return path, err
	}
	diskfs.RemoveStale(fsys, filepath.Dir(path))
	return path, nil
}
