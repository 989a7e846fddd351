//go:build unix

package auth_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/auth"
)

// TestKeyFileOfOthers: a key that other users know, or may replace, is not used, and none is
// made where they may.
func TestKeyFileOfOthers(t *testing.T) {
	const nobody = 65534
	for _, c := range []struct {
		name           string
		dir            fs.FileMode
		file           fs.FileMode
		dirOf, ownedBy int // the owner; 0 leaves it
		ok             bool
	}{
		{"ours", 0o700, 0o600, 0, 0, true},
		{"others may look around", 0o755, 0o400, 0, 0, true},
		{"sticky, as /tmp", 0o777 | fs.ModeSticky, 0o600, 0, 0, false},
		{"all may write", 0o777, 0o600, 0, 0, false},
		{"the group may write", 0o770, 0o600, 0, 0, os.Geteuid() != 0 && os.Geteuid() == os.Getegid()},
		{"others may write", 0o702, 0o600, 0, 0, false},
		{"another's file", 0o700, 0o600, 0, nobody, false},
		{"another's folder", 0o700, 0o600, nobody, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.dirOf+c.ownedBy != 0 && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			dir := filepath.Join(t.TempDir(), "identity")
			path, second := filepath.Join(dir, "key"), filepath.Join(dir, "second")
			key, err := auth.LoadKey(path)
			if err != nil {
				t.Fatal(err)
			}
			own := func(path string, uid int) error {
				if uid == 0 {
					return nil
				}
				return os.Chown(path, uid, uid)
			}
			if err := errors.Join(os.Chmod(path, c.file), os.Chmod(dir, c.dir), own(path, c.ownedBy),
				own(dir, c.dirOf)); err != nil {
				t.Fatal(err)
			}
			for _, read := range []func(string) (*auth.Key, error){auth.ReadKey, auth.LoadKey} {
				got, err := read(path)
				if c.ok && (err != nil || got.PublicKey() != key.PublicKey()) ||
					!c.ok && !errors.Is(err, auth.ErrKeyFile) {
					t.Errorf("read: %v", err)
				}
			}
			if c.ownedBy == 0 {
				if err := auth.SaveKey(second, key); (err == nil) != c.ok ||
					err != nil && !errors.Is(err, auth.ErrKeyFile) {
					t.Errorf("save: %v", err)
				}
			}
		})
	}
}
