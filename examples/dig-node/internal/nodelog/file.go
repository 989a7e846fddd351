package nodelog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/dig-network/digstore/internal/regular"
)

// A File is a log file that is rotated: when a line would make it larger than a size, it is renamed
// to NAME.1, NAME.1 to NAME.2 and so on, and a new one is begun. It is safe for concurrent use.
// OpenFile makes one.
type File struct {
	name string
	max  int64
	keep int

	mu   sync.Mutex
	f    *os.File
	size int64
}

// OpenFile opens a file for appending, and makes it with mode 0640 if there is none. max is its
// greatest size in bytes, 0: no limit. keep is how many older files stay. The caller closes it.
func OpenFile(name string, max int64, keep int) (*File, error) {
	l := &File{name: name, max: max, keep: keep}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// open opens the file. The caller holds mu, or has the only reference.
func (l *File) open() error {
	info, err := os.Stat(l.name)
	if err == nil && !info.Mode().IsRegular() { // opening a pipe would block
		return &fs.PathError{Op: "open", Path: l.name, Err: regular.ErrNotRegular}
	}
	f, err := os.OpenFile(l.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: l.name, Err: regular.ErrNotRegular}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Write appends a line. Lines are not split between files.
func (l *File) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	if l.max > 0 && l.size > 0 && l.size+int64(len(line)) > l.max {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(line)
	l.size += int64(n)
	return n, err
}

// rotate begins a new file. Where the old one cannot be renamed, it goes on.
func (l *File) rotate() error {
	l.f.Close() // Windows renames no open file
	l.f = nil
	numbered := func(i int) string { return fmt.Sprintf("%s.%d", l.name, i) }
	for i := l.keep; i > 1; i-- {
		_ = os.Rename(numbered(i-1), numbered(i)) // there may be none
	}
	if l.keep > 0 {
		_ = os.Rename(l.name, numbered(1))
	} else {
		_ = os.Remove(l.name)
	}
	return l.open()
}

// Reopen opens the file again, under its name. After another program has renamed it, lines go to a
// new file. On an error lines go to the old one.
func (l *File) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, size := l.f, l.size
	if err := l.open(); err != nil {
		l.f, l.size = old, size
		return err
	}
	if old != nil {
		old.Close()
	}
	return nil
}

// Close closes the file. A Write opens it again.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
