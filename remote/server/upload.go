package server

import (
	"bytes"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// peekSize is how many bytes of a module are searched for its key. The head of the data section
// follows the code, which has 750 kB in the largest known template.
const peekSize = 1 << 20

// Limits of the uploads that are searched for their key, before their signature can be checked.
const (
	maxPeeks     = 16               // at the same time
	maxPeeksEach = 2                // of one address, and of one identity
	peekTime     = 30 * time.Second // to read the first peekSize bytes
)

// An upload is the body of a PUT. It fails beyond max or room bytes, and hashes the bytes if a hash
// was declared. Its errors are refusals, which the backend returns to the handler.
type upload struct {
	body   io.Reader
	length int64 // Content-Length; -1: unknown
	max    int64
	room   int64     // bytes that the quota allows; 0: not set
	taken  int64     // bytes read from body
	n      int64     // bytes returned by Read
	hash   hash.Hash // of the bytes returned by Read; nil: none wanted

	ahead bytes.Reader // read by peekKey, not yet returned by Read
}

func newUpload(c *call, max int64) *upload {
	return &upload{body: c.body, length: c.ContentLength, max: max}
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	if u.ahead.Len() > 0 {
		n, _ := u.ahead.Read(p)
		return u.count(p[:n]), nil
	}
	n, err := u.fill(p)
	return u.count(p[:n]), err
}

// count counts and hashes the bytes that Read returns.
func (u *upload) count(p []byte) int {
	u.n += int64(len(p))
	if u.hash != nil {
		u.hash.Write(p)
	}
	return len(p)
}

// fill reads from body, at most one byte more than the limit, to detect an overrun.
func (u *upload) fill(p []byte) (int, error) {
	if room := u.max - u.taken + 1; int64(len(p)) > room {
		p = p[:room]
	}
	n, err := u.body.Read(p)
	if u.taken += int64(n); u.taken > u.max {
		return 0, tooLarge(u.taken)
	}
	if u.room > 0 && u.taken > u.room {
		return 0, noRoom()
	}
	if answer := new(refusal); err != nil && err != io.EOF && !errors.As(err, &answer) {
		broken := badRequest("body broke off")
		broken.cause = err
		return n, broken
	}
	return n, err
}

// sum returns the SHA-256 of the bytes read.
func (u *upload) sum() (h merkle.Hash) {
	u.hash.Sum(h[:0])
	return h
}

// peekKey finds the publisher's key in the first peekSize bytes of the module, which Read returns
// again. A body of unknown length must fit into them.
func (u *upload) peekKey() (auth.PublicKey, error) {
	refused := invalid("no public key near the start of the module; announce the push with push-init")
	head := make([]byte, peekSize)
	n, err := 0, error(nil)
	for n < len(head) && err == nil {
		var m int
		m, err = u.fill(head[n:])
		n += m
	}
	if err != nil && err != io.EOF {
		return auth.PublicKey{}, err
	}
	head = head[:n]
	u.ahead.Reset(head)
	size := u.length
	if size < 0 && err == io.EOF {
		size = int64(n)
	}
	m, err := module.Open(bytes.NewReader(head), size)
	if err != nil {
		refused.cause = err
		return auth.PublicKey{}, refused
	}
	if key := m.PublicKey(); !key.IsZero() {
		return key, nil
	}
	return auth.PublicKey{}, refused
}
