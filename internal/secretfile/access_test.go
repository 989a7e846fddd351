//go:build unix

package secretfile_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/secretfile"
)

// file is a file or directory of any owner.
type file struct {
	mode     fs.FileMode
	uid, gid int
}

func (f file) Name() string       { return "x" }
func (f file) Size() int64        { return 0 }
func (f file) Mode() fs.FileMode  { return f.mode }
func (f file) ModTime() time.Time { return time.Time{} }
func (f file) IsDir() bool        { return f.mode.IsDir() }
func (f file) Sys() any           { return nil }
func (f file) Owner() (int, int)  { return f.uid, f.gid }

func TestCheck(t *testing.T) {
	me := os.Geteuid()
	other := me + 12345
	for _, c := range []struct {
		name  string
		check func(string, fs.FileInfo) error
		file  file
		fix   string // "": accepted
	}{
		{"own file", secretfile.CheckFile, file{0o600, me, other}, ""},
		{"own file, read only", secretfile.CheckFile, file{0o400, me, other}, ""},
		{"root's file", secretfile.CheckFile, file{0o600, 0, 0}, ""},
		{"another user's file", secretfile.CheckFile, file{0o600, other, me}, "sudo chown "},
		{"readable by the group", secretfile.CheckFile, file{0o640, me, other}, "chmod 600 "},
		{"readable by the user's own group", secretfile.CheckFile, file{0o640, me, me}, "chmod 600 "},
		{"readable by others", secretfile.CheckFile, file{0o604, me, other}, "chmod 600 "},
		{"executable by others", secretfile.CheckFile, file{0o601, me, other}, "chmod 600 "},

		{"own directory", secretfile.CheckDir, file{0o755, me, other}, ""},
		{"root's directory", secretfile.CheckDir, file{0o755, 0, 0}, ""},
		{"another user's directory", secretfile.CheckDir, file{0o755, other, me}, "sudo chown "},
		{"writable by others", secretfile.CheckDir, file{0o702, me, me}, "chmod go-w "},
		{"writable by others, sticky", secretfile.CheckDir, file{0o777 | fs.ModeSticky, me, me}, "chmod go-w "},
		{"writable by a group", secretfile.CheckDir, file{0o775, me, other}, "chmod go-w "},
		{"writable by root's group", secretfile.CheckDir, file{0o775, 0, 0}, "chmod go-w "},
	} {
		err := c.check("some dir/x", c.file)
		var access *secretfile.AccessError
		if c.fix == "" && err == nil {
			continue
		}
		if c.fix == "" || !errors.As(err, &access) || access.Path != "some dir/x" ||
			!strings.HasPrefix(access.Fix, c.fix) || !strings.HasSuffix(access.Fix, " 'some dir/x'") {
			t.Errorf("%s: %v (%+v), expected the fix %q", c.name, err, access, c.fix)
		}
	}
}

// A directory may be writable by the private group of its owner, as umask 002 makes it.
func TestPrivateGroup(t *testing.T) {
	me := os.Geteuid()
	err := secretfile.CheckDir("x", file{0o775, me, me})
	if (err == nil) != (me != 0) {
		t.Errorf("user %d: %v", me, err)
	}
}

// What Fix holds is one word for a shell.
func TestQuote(t *testing.T) {
	for _, name := range []string{"a", "/a/b-c", "it's", "$HOME", "a\nb", "`id`", `"`, `\`, "~", "a b",
		"*"} {
		err := secretfile.CheckFile(name, file{mode: 0o644, uid: os.Geteuid()})
		var access *secretfile.AccessError
		if !errors.As(err, &access) {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", strings.Replace(access.Fix, "chmod 600", "printf %s",
			1)).Output()
		if err != nil || string(out) != name {
			t.Errorf("%q: the shell reads %q, %v", name, out, err)
		}
	}
}
