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

// peekSize is how far into a module its key is looked for before the rest is read: the head of the
// data section stands behind the code, of which the largest known template has 750 kB.
const peekSize = 1 << 20

// Limits of the uploads that are looked into for their key, before their signature can be checked.
const (
	maxPeeks     = 16               // at the same time
	maxPeeksEach = 2                // of one address, and of one identity
	peekTime     = 30 * time.Second // for the first peekSize bytes to come
)

// An upload is the body of a PUT: cut at the limit, dropped when it keeps no pace, hashed when a
// hash was announced. Its errors are refusals, so that they are the answer when they come back
// through the backend.
type upload struct {
	body   io.Reader
	length int64 // as announced; -1: not
	max    int64
	room   int64     // that the quota leaves; 0: not asked
	taken  int64     // from the connection
	n      int64     // given out
	hash   hash.Hash // of what was given out; nil: not wanted

	ahead bytes.Reader // read by peekKey, not yet given out
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

// count notes what is given out.
func (u *upload) count(p []byte) int {
	u.n += int64(len(p))
	if u.hash != nil {
		u.hash.Write(p)
	}
	return len(p)
}

// fill reads from the connection: at most one byte more than the limit allows, which is how an
// overrun shows.
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

// sum is the SHA-256 of what was read.
func (u *upload) sum() (h merkle.Hash) {
	u.hash.Sum(h[:0])
	return h
}

// peekKey finds the publisher's key in the first bytes of the module, which are given out again by
// Read. A body whose length was not announced has to fit into them whole.
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
