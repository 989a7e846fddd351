package digstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"time"

	"github.com/dig-network/digstore/digstore/internal/sealer"
	"github.com/dig-network/digstore/internal/regular"
)

// StageFile stages the content that the file at path has at one moment, under name. Links are
// followed. Anything but a regular file is an error. A file that is, or lies in, a folder of
// settings or keys such as .git is fs.ErrInvalid. A file that changes too often to be read is a
// *ChangingError.
func (s *Store) StageFile(ctx context.Context, name, path string) (Staged, error) {
	staged := Staged{Name: name}
	if holdsSettings(realPath(s.w.dir), realPath(path)) {
		return staged, fmt.Errorf("%s: folders of settings and keys are not published: %w",
			path, fs.ErrInvalid)
	}
	err := s.stage(ctx, func(add func(string, io.Reader) error) (err error) {
		staged.Size, err = addFile(ctx, name, func() (fs.File, error) { return regular.Open(path) }, add)
		return err
	})
	return staged, err
}

// errMoved says that a file changed during the read.
var errMoved = errors.New("the file changed while it was read")

// addFile adds the content that a file has at one moment, by the rules of sealer.Sealer.Run.
func addFile(ctx context.Context, name string, open func() (fs.File, error),
	add func(string, io.Reader) error) (int64, error) {
	m := &moment{seed: maphash.MakeSeed(), limit: -1}
	for attempt := 0; ; attempt++ {
		last := attempt == len(sealer.Pauses)
		err := m.read(open, func(r io.Reader) error { return add(name, r) }, last)
		if !errors.Is(err, errMoved) {
			return m.done, err
		}
		if last {
			return 0, fmt.Errorf("stage: %w", &ChangingError{[]string{name}})
		}
		select {
		case <-time.After(sealer.Pauses[attempt]):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// moment reads a file until one attempt gives the content of one moment.
type moment struct {
	seed   maphash.Seed
	limit  int64  // read no more than this many bytes; below 0: all
	before uint64 // hash of the previous attempt, of limit bytes
	calm   bool   // the file did not change during an earlier attempt

	file  fs.File
	first fs.FileInfo
	last  bool
	hash  maphash.Hash
	done  int64
}

// read makes one attempt. errMoved says that another one is needed.
func (m *moment) read(open func() (fs.File, error), take func(io.Reader) error, last bool) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	m.file, m.done, m.last = f, 0, last
	if m.first, err = f.Stat(); err != nil {
		return err
	}
	if !m.first.Mode().IsRegular() {
		return fmt.Errorf("open %s: %w", m.first.Name(), regular.ErrNotRegular)
	}
	m.hash.SetSeed(m.seed)
	return take(m)
}

// Read implements io.Reader. It ends with errMoved instead of io.EOF if the attempt does not count.
func (m *moment) Read(b []byte) (int, error) {
	length := m.first.Size()
	if m.limit >= 0 {
		length = min(length, m.limit)
	}
	if m.done >= length {
		return 0, m.settle()
	}
	n, err := m.file.Read(b[:min(int64(len(b)), length-m.done)])
	_, _ = m.hash.Write(b[:n])
	m.done += int64(n)
	if err == io.EOF { // end of the file, which may have been truncated
		err = nil
		if n == 0 {
			err = m.settle()
		}
	}
	return n, err
}

// settle decides at the end of an attempt whether it counts.
func (m *moment) settle() error {
	now, err := m.file.Stat()
	if err != nil {
		return err
	}
	still := now.Size() == m.first.Size() && now.ModTime().Equal(m.first.ModTime())
	whole := m.done == m.first.Size()
	sum := m.hash.Sum64()
	switch {
	case still && whole:
		return io.EOF
	case still && !m.last && !m.calm && m.done < m.first.Size():
		// it is stable now: try once to read all of it
		m.limit, m.calm = -1, true
	case m.limit == m.done && m.before == sum:
		return io.EOF
	default:
		m.limit, m.before = m.done, sum
	}
	return errMoved
}
