// Package readerat reads at offsets, and hashes, what is an io.ReadSeeker.
package readerat

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"github.com/dig-network/digstore/merkle"
)

// Sum returns the hash of all that r has, from its start.
func Sum(ctx context.Context, r io.ReadSeeker) (merkle.Hash, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return merkle.Hash{}, err
	}
	h, buf := sha256.New(), make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return merkle.Hash{}, err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		switch err {
		case nil:
		case io.EOF:
			return merkle.Hash(h.Sum(nil)), nil
		default:
			return merkle.Hash{}, err
		}
	}
}

// New returns r itself where it is an io.ReaderAt. Else it returns one that seeks before each
// read, one read at a time: r must not be used otherwise meanwhile.
func New(r io.ReadSeeker) io.ReaderAt {
	if at, ok := r.(io.ReaderAt); ok {
		return at
	}
	return &seekingReaderAt{r: r}
}

type seekingReaderAt struct {
	mu sync.Mutex
	r  io.ReadSeeker
}

func (s *seekingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
