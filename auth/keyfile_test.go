package auth_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func unix(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("this system has no Unix permissions")
	}
}

func TestLoadKeyMakesOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "dig")
	path := filepath.Join(dir, "identity_key.bin")
	_, err := auth.ReadKey(path)
	refused(t, err, fs.ErrNotExist)

	k := must(auth.LoadKey(path))
	s := k.Seed()
	if got := must(os.ReadFile(path)); !bytes.Equal(got, s[:]) {
		t.Error("the file does not hold the seed")
	}
	same(t, must(auth.LoadKey(path)).PublicKey(), k.PublicKey())
	same(t, must(auth.ReadKey(path)).PublicKey(), k.PublicKey())
	refused(t, auth.SaveKey(path, auth.NewKey(seed(1))), fs.ErrExist)
	same(t, must(auth.ReadKey(path)).PublicKey(), k.PublicKey())
	same(t, len(must(os.ReadDir(dir))), 1) // nothing temporary stays
	if runtime.GOOS != "windows" {
		same(t, modeOf(t, path), 0o600)
		same(t, modeOf(t, dir), 0o700)
	}
}

// Many first runs at once agree on one key.
func TestLoadKeyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dig", "key.bin")
	keys := make([]*auth.Key, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := auth.LoadKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != nil {
			same(t, k.PublicKey(), keys[0].PublicKey())
		}
	}
	same(t, len(must(os.ReadDir(filepath.Dir(path)))), 1)
}

func TestKeyFilesOfOtherLengths(t *testing.T) {
	for _, n := range []int{0, 1, 31, 33, 64, 1 << 20} {
		path := filepath.Join(t.TempDir(), "key.bin")
		content := bytes.Repeat([]byte{'k'}, n)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, read := range []func(string) (*auth.Key, error){auth.ReadKey, auth.LoadKey} {
			_, err := read(path)
			refused(t, err, auth.ErrKeyFile)
			var e *auth.KeyFileError
			same(t, errors.As(err, &e) && e.Path == path && strings.Contains(e.Why, "want 32 bytes"), true)
		}
		if !bytes.Equal(must(os.ReadFile(path)), content) {
			t.Errorf("a file of %d bytes was changed", n)
		}
	}
}

func TestKeyFilesThatOthersCanUse(t *testing.T) {
	unix(t)
	path := filepath.Join(t.TempDir(), "key.bin")
	k := must(auth.LoadKey(path))
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o644, 0o601, 0o610} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := auth.LoadKey(path)
		refused(t, err, auth.ErrKeyFile)
		same(t, strings.Contains(err.Error(), "chmod 600"), true)
	}
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		same(t, must(auth.LoadKey(path)).PublicKey(), k.PublicKey())
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	unix(t)
	dir := t.TempDir()
	_, err := auth.LoadKey(dir)
	refused(t, err, auth.ErrKeyFile)
	_, err = auth.LoadKey(os.DevNull)
	refused(t, err, auth.ErrKeyFile)

	// A link to a key file is followed, one to nothing is not written through.
	k := must(auth.LoadKey(filepath.Join(dir, "key.bin")))
	for target, name := range map[string]string{"key.bin": "good", "nowhere": "dangling"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, must(auth.LoadKey(filepath.Join(dir, "good"))).PublicKey(), k.PublicKey())
	_, err = auth.LoadKey(filepath.Join(dir, "dangling"))
	refused(t, err, fs.ErrNotExist)
	same(t, len(must(os.ReadDir(dir))), 3)
}

func TestSaveKeyWhereThereIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := auth.SaveKey(filepath.Join(file, "key.bin"), auth.NewKey(seed(1))); err == nil {
		t.Error("saved below a file")
	}
	if _, err := auth.LoadKey(filepath.Join(file, "key.bin")); err == nil {
		t.Error("loaded from below a file")
	}
}

func TestIdentityPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the configuration directory of this system is os.UserConfigDir's")
	}
	for _, c := range []struct{ identity, xdg, want string }{
		{"/keys", "/xdg", "/keys/identity_key.bin"},
		{"keys", "", "keys/identity_key.bin"},
		{"", "/xdg", "/xdg/dig/identity_key.bin"},
		{"", "", "/home/me/.config/dig/identity_key.bin"},
		{"", "relative", "/home/me/.config/dig/identity_key.bin"},
		{"", "../up", "/home/me/.config/dig/identity_key.bin"},
	} {
		t.Setenv("HOME", "/home/me")
		t.Setenv("DIG_IDENTITY_DIR", c.identity)
		t.Setenv("XDG_CONFIG_HOME", c.xdg)
		same(t, must(auth.IdentityPath()), c.want)
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	if path, err := auth.IdentityPath(); err == nil ||
		!strings.Contains(err.Error(), "DIG_IDENTITY_DIR") {
		t.Errorf("without a home: %q, %v", path, err)
	}
}
