// Package password keeps passwords as hashes: PBKDF2 with SHA-256 (RFC 8018), a random salt and
// many iterations. A hash is text that stands in a configuration:
//
//	pbkdf2-sha256$600000$<salt>$<hash>
//
// with salt and hash in base64 (RFC 4648, standard alphabet, padded).
package password

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
)

// Limits of a hash, and what Hash uses.
const (
	MinIterations = 210_000
	MaxIterations = 10_000_000
	Iterations    = 600_000 // of a new hash

	saltSize = 16
	hashSize = sha256.Size

	// MaxLength is the length in bytes of the longest password.
	MaxLength = 1024
)

// Errors about passwords.
var (
	ErrFormat   = errors.New("not a password hash")
	ErrMismatch = errors.New("wrong password")
	ErrBusy     = errors.New("too many passwords are being checked")
)

const scheme = "pbkdf2-sha256"

// A Hash is the hash of a password. It prints as its scheme, without salt and hash. Parse and New
// make one.
type Hash struct {
	iterations int
	salt, sum  []byte
}

// New hashes a password with a random salt. It takes a large part of a second. An empty password,
// or one of more than MaxLength bytes, is an error.
func New(password string) (Hash, error) {
	if password == "" || len(password) > MaxLength {
		return Hash{}, fmt.Errorf("hash a password: %d bytes, expected 1 to %d", len(password), MaxLength)
	}
	h := Hash{iterations: Iterations, salt: make([]byte, saltSize)}
	if _, err := rand.Read(h.salt); err != nil {
		return Hash{}, err
	}
	var err error
	h.sum, err = h.derive(password)
	return h, err
}

func (h Hash) derive(password string) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, h.salt, h.iterations, hashSize)
}

// Parse reads a hash. The error wraps ErrFormat and does not have the text.
func Parse(text string) (Hash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != scheme {
		return Hash{}, fmt.Errorf("%w: expected %s$ITERATIONS$SALT$HASH", ErrFormat, scheme)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < MinIterations || n > MaxIterations || strconv.Itoa(n) != parts[1] {
		return Hash{}, fmt.Errorf("%w: expected %d to %d iterations", ErrFormat, MinIterations,
			MaxIterations)
	}
	strict := base64.StdEncoding.Strict()
	salt, saltErr := strict.DecodeString(parts[2])
	sum, sumErr := strict.DecodeString(parts[3])
	lines := strings.ContainsAny(text, "\r\n") // which the decoder skips
	if lines || saltErr != nil || sumErr != nil || len(salt) != saltSize || len(sum) != hashSize {
		return Hash{}, fmt.Errorf("%w: expected %d bytes of salt and %d of hash in base64", ErrFormat,
			saltSize, hashSize)
	}
	return Hash{n, salt, sum}, nil
}

// Text returns the text that Parse reads. It belongs in a file that other users cannot read.
func (h Hash) Text() string {
	return fmt.Sprintf("%s$%d$%s$%s", scheme, h.iterations,
		base64.StdEncoding.EncodeToString(h.salt), base64.StdEncoding.EncodeToString(h.sum))
}

// Format writes the scheme for every verb.
func (h Hash) Format(f fmt.State, _ rune) { fmt.Fprint(f, scheme+"$…") }

// Check returns nil for the password, and else ErrMismatch. The hashes are compared in constant
// time. It takes as long as New.
func (h Hash) Check(password string) error {
	if len(password) > MaxLength || h.sum == nil {
		return ErrMismatch
	}
	sum, err := h.derive(password)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, h.sum) != 1 {
		return ErrMismatch
	}
	return nil
}

// A Checker checks the passwords of requests. It bounds the time that they cost: at most Workers
// checks run at once, and a password that was right is recognized without the iterations from then
// on. It is safe for concurrent use. NewChecker makes one.
type Checker struct {
	hashes  map[string]Hash
	queue   chan struct{} // one for each check, also those that wait
	workers chan struct{} // one for each check that runs
	secret  [32]byte      // of this process

	mu   sync.Mutex
	seen map[string][sha256.Size]byte // by user: keyed hash of the password that was right
}

// Workers is how many checks run at once, and Waiting how many may wait for them.
const (
	Workers = 2
	Waiting = 16
)

// NewChecker returns a Checker for users and their hashes.
func NewChecker(hashes map[string]Hash) *Checker {
	c := &Checker{hashes: maps.Clone(hashes), queue: make(chan struct{}, Workers+Waiting),
		workers: make(chan struct{}, Workers), seen: map[string][sha256.Size]byte{}}
	rand.Read(c.secret[:]) // never fails
	return c
}

// Check returns nil for the password of a user. For another password, and for a user that is not
// known, it returns ErrMismatch after the same time. Where too many checks wait already it returns
// ErrBusy.
func (c *Checker) Check(ctx context.Context, user, password string) error {
	h, known := c.hashes[user]
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write([]byte(password))
	quick := [sha256.Size]byte(mac.Sum(nil))
	if known && c.recognize(user, quick) {
		return nil
	}
	select {
	case c.queue <- struct{}{}:
		defer func() { <-c.queue }()
	default:
		return ErrBusy
	}
	select {
	case c.workers <- struct{}{}:
		defer func() { <-c.workers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !known {
		h = Hash{iterations: Iterations, salt: make([]byte, saltSize), sum: make([]byte, hashSize)}
	}
	if err := h.Check(password); err != nil || !known {
		return ErrMismatch
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[user] = quick
	return nil
}

// recognize reports whether a password is the one that was right for a user before. quick is its
// keyed hash.
func (c *Checker) recognize(user string, quick [sha256.Size]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	right, ok := c.seen[user]
	return ok && hmac.Equal(right[:], quick[:])
}
