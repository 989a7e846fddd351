package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/internal/regular"
)

// StateDir returns the folder for node.data_dir where that is empty: the state folder of systemd,
// or else dig-node in that of the user.
func StateDir() (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "dig-node"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state folder: %w", err)
	}
	if dir := stateDir(home); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "dig-node"), err
}

// CheckPaths tries the folders and files of a configuration: folders and the log must be writable,
// or else creatable, and other files readable. It leaves nothing behind.
func (c *Config) CheckPaths() Problems {
	var all Problems
	add := func(key, want string, err error) {
		if err != nil {
			place := c.origins[key].Name
			all = append(all, Problem{key, fmt.Sprintf("%s: %v", want, cause(err)), place})
		}
	}
	if dir := c.Node.DataDir; dir != "" {
		add("node.data_dir", "folder "+dir+" is not writable", writable(dir))
	}
	for _, dir := range c.Storage.PlotsDir {
		add("storage.plots_dir", "folder "+dir.Path+" is not writable", writable(dir.Path))
	}
	if dir := c.Storage.CacheDir; dir != "" {
		add("storage.cache_dir", "folder "+dir+" is not writable", writable(dir))
	}
	if file := c.Monitoring.LogFile; file != "" {
		add("monitoring.log_file", "file "+file+" is not writable", writableFile(file))
	}
	readable := map[string]*string{}
	for key, p := range c.paths() {
		readable[key] = p
	}
	for _, key := range []string{"network.tls.cert_file", "network.tls.key_file", "access.file",
		"handles.file", "rewards.file", "bribes.file"} {
		if name := *readable[key]; name != "" {
			f, err := regular.Open(name)
			add(key, "file "+name+" is not readable", err)
			if err == nil {
				f.Close()
			}
		}
	}
	return all
}

// cause returns the reason of an error about a path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// writable tries whether a file can be made in a folder, or the folder in the nearest one above it
// that exists.
func writable(dir string) error {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is not a folder", dir)
		case err == nil:
			f, err := os.CreateTemp(dir, ".dig-node-check-*")
			if err != nil {
				return err
			}
			return errors.Join(f.Close(), os.Remove(f.Name()))
		case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir:
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// writableFile tries whether a file can be appended to, or made in its folder, which must exist.
func writableFile(name string) error {
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return regular.ErrNotRegular
	case err == nil:
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			f.Close()
		}
		return err
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := filepath.Dir(name)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("folder %s: %w", dir, cause(err))
	}
	return writable(dir)
}
