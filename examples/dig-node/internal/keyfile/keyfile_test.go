package keyfile_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
	"github.com/dig-network/digstore/internal/secretfile"
)

func TestKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	if _, err := keyfile.ReadKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
	k, made, err := keyfile.LoadKey(dir)
	if err != nil || !made {
		t.Fatal(err, made)
	}
	again, made, err := keyfile.LoadKey(dir)
	if err != nil || made || again.PublicKey() != k.PublicKey() {
		t.Errorf("the key changed: %v, %v", made, err)
	}
	seed := k.Seed()
	text, err := os.ReadFile(filepath.Join(dir, keyfile.KeyName))
	if err != nil || string(text) != hex.EncodeToString(seed[:])+"\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(dir, keyfile.KeyName))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// The key of the documentation.
func TestVector(t *testing.T) {
	dir := t.TempDir()
	for _, form := range []string{"%s\n", "%s", " \t%s\r\n"} {
		text := fmt.Sprintf(form, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
		if err := os.WriteFile(filepath.Join(dir, keyfile.KeyName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := keyfile.ReadKey(dir)
		if err != nil || k.ID() != "dig103a107bff3ce10be" {
			t.Errorf("%q: got %v, %v", form, k, err)
		}
	}
}

func TestRefuse(t *testing.T) {
	good := strings.Repeat("ab", 32)
	for name, text := range map[string]string{
		"empty": "", "short": good[2:], "long": good + "ab", "no hex": "x" + good[1:],
		"two lines": good[:32] + "\n" + good[32:], "raw": strings.Repeat("x", 32),
		"endless": strings.Repeat(" ", 2000) + good,
	} {
		dir := t.TempDir()
		for _, file := range []string{keyfile.KeyName, keyfile.TokenName} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := keyfile.LoadKey(dir)
		_, _, tokenErr := keyfile.LoadToken(dir)
		if err == nil || tokenErr == nil {
			t.Errorf("%s: got %v, %v", name, err, tokenErr)
		} else if text != "" && strings.Contains(err.Error()+tokenErr.Error(), good[:32]) {
			t.Errorf("%s: the error has the secret: %v", name, err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, keyfile.KeyName)); string(got) != text {
			t.Errorf("%s: the file was changed, %v", name, err)
		}
	}
}

// What other users can read or replace is refused.
func TestAccess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no Unix permissions")
	}
	dir := t.TempDir()
	if _, _, err := keyfile.LoadToken(dir); err != nil {
		t.Fatal(err)
	}
	var access *secretfile.AccessError
	file := filepath.Join(dir, keyfile.TokenName)
	for _, test := range []struct {
		path string
		mode fs.FileMode
	}{{file, 0o644}, {file, 0o660}, {dir, 0o777}} {
		if err := os.Chmod(test.path, test.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.ReadToken(dir); !errors.As(err, &access) {
			t.Errorf("%s with %v: got %v, want an AccessError", test.path, test.mode, err)
		}
		if err := os.Chmod(test.path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A link is followed only to a private file.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte(strings.Repeat("ab", 32)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(file), os.Symlink(other, file)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.ReadToken(dir); !errors.As(err, &access) {
		t.Errorf("a link to a public file: %v", err)
	}
	if err := os.Chmod(other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.ReadToken(dir); err != nil {
		t.Errorf("a link to a private file: %v", err)
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	token, made, err := keyfile.LoadToken(dir)
	if err != nil || !made {
		t.Fatal(err, made)
	}
	read, err := keyfile.ReadToken(dir)
	if err != nil || read.Text() != token.Text() || len(token.Text()) != 64 {
		t.Errorf("got %q, %v", read.Text(), err)
	}
	if !token.Is(token.Text()) || !token.Is(strings.ToUpper(token.Text())) {
		t.Error("the token is not itself")
	}
	other := keyfile.NewToken().Text()
	for _, wrong := range []string{"", "x", other, token.Text() + "00", token.Text()[2:]} {
		if token.Is(wrong) {
			t.Errorf("%q is the token", wrong)
		}
	}
	if (keyfile.Token{}).Is(strings.Repeat("00", 32)) {
		t.Error("the zero token is accepted")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, token); text != "(hidden)" {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

// Processes that start at the same time have one key.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			k, _, err := keyfile.LoadKey(dir)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[k.String()]++
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("got %v", ids)
	}
}
