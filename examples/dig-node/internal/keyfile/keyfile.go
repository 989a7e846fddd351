// Package keyfile reads and makes the secret files of a node: its key and its control token. Both
// are one line of 64 hexadecimal digits in a file of mode 0600.
package keyfile

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/mkdirall"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/internal/secretfile"
)

// The names of the files in the data folder.
const (
	KeyName   = "node_key"
	TokenName = "control-token"
)

const (
	size    = 32   // bytes of a secret
	maxFile = 1024 // bytes
)

// ErrMalformed is wrapped by errors about a file with something else than a secret.
var ErrMalformed = errors.New("expected 64 hexadecimal digits")

// read reads a secret. The file must be private: not readable, and not replaceable, by others.
func read(path string) (secret [size]byte, err error) {
	f, err := regular.Open(path)
	if err != nil {
		return secret, err
	}
	info, err := f.Stat()
	f.Close()
	if err != nil {
		return secret, err
	}
	if err := secretfile.CheckFile(path, info); err != nil {
		return secret, err
	}
	dir, err := (secretfile.Disk{}).Stat(filepath.Dir(path))
	if err != nil {
		return secret, err
	}
	if err := secretfile.CheckDir(filepath.Dir(path), dir); err != nil {
		return secret, err
	}
	text, err := regular.ReadFile(path, maxFile)
	if err != nil {
		return secret, err
	}
	b, err := hex.DecodeString(strings.Trim(string(text), " \t\r\n"))
	if err != nil || len(b) != size {
		return secret, fmt.Errorf("read %s: %w", path, ErrMalformed)
	}
	return [size]byte(b), nil
}

// create writes a secret to a new file. A file that is there is fs.ErrExist, and stays.
func create(path string, secret [size]byte) error {
	disk := secretfile.Disk{}
	if err := mkdirall.MkdirAll(disk, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	info, err := disk.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := secretfile.CheckDir(filepath.Dir(path), info); err != nil {
		return err
	}
	return secretfile.Create(disk, path, []byte(hex.EncodeToString(secret[:])+"\n"))
}

// load reads a secret, or makes a random one. made says which.
func load(path string) (secret [size]byte, made bool, err error) {
	secret, err = read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if _, err := rand.Read(secret[:]); err != nil {
		return secret, false, err
	}
	err = create(path, secret)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		secret, err = read(path)
		return secret, false, err
	}
	return secret, err == nil, err
}

// ReadKey reads the node key in a data folder. A missing file is fs.ErrNotExist. A file that other
// users may read or replace is a *secretfile.AccessError.
func ReadKey(dir string) (*auth.NodeKey, error) {
	seed, err := read(filepath.Join(dir, KeyName))
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	return auth.NewNodeKey(seed), nil
}

// LoadKey reads the node key in a data folder, or makes one there. made says which.
func LoadKey(dir string) (key *auth.NodeKey, made bool, err error) {
	seed, made, err := load(filepath.Join(dir, KeyName))
	if err != nil {
		return nil, false, fmt.Errorf("node key: %w", err)
	}
	return auth.NewNodeKey(seed), made, nil
}

// A Token is a secret that administers a node. It prints as a mask. Its text form is 64
// hexadecimal digits.
type Token struct{ secret [size]byte }

// ReadToken reads the control token in a data folder, as ReadKey does. It never makes one.
func ReadToken(dir string) (Token, error) {
	secret, err := read(filepath.Join(dir, TokenName))
	if err != nil {
		return Token{}, fmt.Errorf("control token: %w", err)
	}
	return Token{secret}, nil
}

// LoadToken reads the control token in a data folder, or makes one there. made says which.
func LoadToken(dir string) (t Token, made bool, err error) {
	secret, made, err := load(filepath.Join(dir, TokenName))
	if err != nil {
		return Token{}, false, fmt.Errorf("control token: %w", err)
	}
	return Token{secret}, made, nil
}

// NewToken makes a random token.
func NewToken() Token {
	var t Token
	rand.Read(t.secret[:]) // never fails
	return t
}

// Text returns the token as it is sent: 64 lower-case hexadecimal digits.
func (t Token) Text() string { return hex.EncodeToString(t.secret[:]) }

// Sum returns the SHA-256 of Text.
func (t Token) Sum() [32]byte { return sha256.Sum256([]byte(t.Text())) }

// Is reports whether a text is the token, in digits of either letter case. It compares in constant
// time. The zero token is none.
func (t Token) Is(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && t != Token{} && subtle.ConstantTimeCompare(b, t.secret[:]) == 1
}

// Format writes a mask for every verb.
func (t Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, "(hidden)") }
