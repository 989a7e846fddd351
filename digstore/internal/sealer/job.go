package sealer

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// An Input is the content of one resource.
type Input struct {
	Name string
	Size int64 // the size when it was listed; the file may have changed
	Open func() (Content, error)
}

// A Content is an open content: a file, or a part of the staging file.
type Content interface {
	Stat() (scan.Stat, error)
	// Since compares the content with before, an earlier result of Stat. still says that it looks
	// the same. replaced says that the name leads to another file now, so this one does not change
	// any more.
	Since(before scan.Stat) (still, replaced bool, err error)
	// ReadAt reads up to len(b) bytes. It returns 0 at the end.
	ReadAt(b []byte, off int64) (int, error)
	Close()
}

// An Outcome is the result of a job.
type Outcome uint8

const (
	Settled  Outcome = iota // the content of the file at one moment was read
	Changing                // the file changed while it was read
	Gone                    // the file was removed or replaced by something else
)

// A Job is one resource that is to be sealed.
type Job struct {
	Input
	Entry   module.Entry
	Bytes   int64       // plaintext
	Stat    scan.Stat   // of the file that was read
	Plain   merkle.Hash // SHA-256 of the plaintext, if Sealer.HashPlain is set
	Read    bool        // the content was read
	Outcome Outcome

	still  bool        // the file looks as it did before it was read
	sure   bool        // a change during the read would be visible
	limit  int64       // read no more than this many bytes; 0: all
	before merkle.Hash // the leaf of the previous attempt, of limit bytes; zero: none
	first  scan.Stat   // the stat of that attempt
	calm   bool        // the file did not change during an earlier attempt
	opened int64       // when this attempt began, in nanoseconds since 1970

	key   *urn.Key
	hash  *leafHash // of a large resource
	large bool
}

// settle reports whether the result of the attempt is final. If it is not, settle prepares the next
// attempt.
func (j *Job) settle(last bool) bool {
	read := j.large || j.Entry.Chunks != nil
	part := j.Bytes < j.Stat.Size
	switch {
	case j.Outcome == Gone:
		return true
	case !read:
	case j.still && j.sure && !part:
		j.Outcome = Settled
		return true
	case j.still && part && !last && !j.calm: // the file is stable now: try once to read all of it
		j.limit, j.before, j.calm = 0, merkle.Hash{}, true
	case !j.before.IsZero() && j.before == j.Entry.Leaf:
		j.Outcome, j.Stat = Settled, j.first
		j.Stat.Size = j.Bytes // so that the stat index does not match the file
		return true
	default:
		j.limit, j.before, j.first = j.Bytes, j.Entry.Leaf, j.Stat
	}
	j.Outcome, j.large, j.Size = Changing, false, j.Stat.Size
	j.Entry.Chunks, j.Entry.Leaf = nil, merkle.Hash{}
	return false
}

// length returns how many bytes of the open file are to be read.
func (j *Job) length() int64 {
	if j.limit > 0 {
		return min(j.limit, j.Stat.Size)
	}
	return j.Stat.Size
}

// finish records whether the file changed while it was read.
func (j *Job) finish(r Content) error {
	still, replaced, err := r.Since(j.Stat)
	other := j.first.Inode != 0 && j.first.Inode != j.Stat.Inode // than in the previous attempt
	j.still, j.sure = still, replaced || other || j.Stat.OlderThan(j.opened)
	return err
}

// openJob opens the content. It returns nil and no error if the file was removed or replaced.
func (j *Job) openJob() (Content, error) {
	j.still, j.Bytes, j.opened = false, 0, time.Now().UnixNano()
	r, err := j.Open()
	if IsGone(err) {
		j.Outcome = Gone
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if j.Stat, err = r.Stat(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// IsGone reports whether err says that a listed file was removed or replaced.
func IsGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, regular.ErrNotRegular)
}

// File returns a file below a content root.
func File(root string, f scan.Found) Input {
	return Input{Name: f.Name, Size: f.Stat.Size, Open: func() (Content, error) {
		r, err := scan.Open(filepath.Join(root, filepath.FromSlash(f.Name)))
		if err != nil {
			return nil, err
		}
		return r, nil
	}}
}

// Section returns the bytes of r from off on.
func Section(name string, r io.ReaderAt, off, size int64) Input {
	return Input{Name: name, Size: size, Open: func() (Content, error) {
		return &section{io.NewSectionReader(r, off, size)}, nil
	}}
}

type section struct{ r *io.SectionReader }

func (s *section) Stat() (scan.Stat, error) { return scan.Stat{Size: s.r.Size()}, nil }

func (s *section) Since(scan.Stat) (still, replaced bool, err error) { return true, true, nil }

// ReadAt reads up to len(b) bytes at off; 0 at the end.
func (s *section) ReadAt(b []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (s *section) Close() {}
