package diskfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	page  = 4096 // unit in which a failed sync drops data, and a later write restores it
	block = 512  // unit in which a power cut keeps or loses data, and of bad sectors
)

// ErrWouldWait is returned for the opening of a named pipe, which waits for the other end on a real
// system.
var ErrWouldWait = errors.New("opening would wait for the other end")

// FailSync makes the n-th call of File.Sync from now, counted from 1, fail with err. As on Linux,
// the data that was not synced is dropped: it can be read, but is not written any more. Later
// calls of Sync succeed, and after a power cut the data is lost, unless it is written again.
// n <= 0 fails none.
func (c *Crash) FailSync(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.badSync = 0; n > 0 {
		c.badSync, c.syncErr = c.syncs+n, err
	}
}

// Syncs returns the number of calls of File.Sync so far.
func (c *Crash) Syncs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.syncs
}

// Unreadable makes every read that touches the n bytes at off of the file name fail with
// syscall.EIO, as a disk with bad sectors does, in blocks of 512 bytes. A block that is written can
// be read again. The disk that Recover returns has the same bad blocks.
func (c *Crash) Unreadable(name string, off, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, f, err := c.resolve("damage", name, true)
	if err == nil && f == nil {
		err = &fs.PathError{Op: "damage", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return err
	}
	if f.bad == nil {
		f.bad = map[int64]bool{}
	}
	for b := off / block; b*block < off+n; b++ {
		f.bad[b] = true
	}
	return nil
}

// OpenFile implements FS.
func (c *Crash) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	exclusive := flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL
	dir, base, n, err := c.enter("open", name, !exclusive)
	if err != nil {
		return nil, err
	}
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		err = fs.ErrNotExist
	case n == nil:
		n = &node{mode: perm, mtime: c.now()}
		dir.names[base], dir.mtime = n, n.mtime
	case exclusive:
		err = fs.ErrExist
	case n.dir && flag&(os.O_WRONLY|os.O_RDWR) != 0:
		err = syscall.EISDIR
	case n.mode&fs.ModeSocket != 0:
		err = syscall.ENXIO
	case n.mode&fs.ModeNamedPipe != 0 && flag&syscall.O_NONBLOCK == 0:
		err = ErrWouldWait
	case flag&os.O_TRUNC != 0 && n.mode.IsRegular():
		n.truncate(0, c.now())
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.open++
	return &crashFile{c: c, n: n, name: name, flag: flag}, nil
}

// truncate changes the size that is seen.
func (n *node) truncate(size int64, now time.Time) {
	was := int64(len(n.data))
	if size <= int64(len(n.data)) {
		n.data = n.data[:size:size]
	} else {
		n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
	}
	n.changed(min(size, was), max(size, was), now)
}

// changed records that the bytes from off to end were written.
func (n *node) changed(off, end int64, now time.Time) {
	n.dirty, n.mtime = true, now
	for p := range n.dropped {
		if p*page < end && off < (p+1)*page {
			delete(n.dropped, p)
		}
	}
	for b := range n.bad {
		if b*block < end && off < (b+1)*block {
			delete(n.bad, b)
		}
	}
}

// readable reports whether the bytes from off to end can be read.
func (n *node) readable(off, end int64) bool {
	for b := range n.bad {
		if b*block < end && off < (b+1)*block {
			return false
		}
	}
	return true
}

// written returns the bytes of the disk if all pending writes were done now: the bytes as seen,
// but in dropped pages the synced ones, or zeros.
func (n *node) written() []byte {
	out := slices.Clone(n.data)
	for p := range n.dropped {
		from := min(p*page, int64(len(out)))
		to := min(from+page, int64(len(out)))
		clear(out[from:to])
		if from < int64(len(n.synced)) {
			copy(out[from:to], n.synced[from:])
		}
	}
	return out
}

// drop discards pending writes.
func (n *node) drop() {
	if n.dropped == nil {
		n.dropped = map[int64]bool{}
	}
	for p := int64(0); p*page < int64(len(n.data)); p++ {
		from, to := p*page, min((p+1)*page, int64(len(n.data)))
		same := to <= int64(len(n.synced)) && bytes.Equal(n.data[from:to], n.synced[from:to])
		if !same {
			n.dropped[p] = true
		}
	}
}

type crashFile struct {
	c      *Crash
	n      *node
	name   string
	flag   int
	pos    int64
	closed bool
}

// enter locks, counts and checks; the caller unlocks c.mu.
func (f *crashFile) enter(op string) error {
	f.c.mu.Lock()
	err := f.c.step()
	if f.closed {
		err = fs.ErrClosed
	}
	if f.n.dir {
		err = fs.ErrInvalid
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

func (f *crashFile) readAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	if f.n.mode&fs.ModeDevice != 0 {
		clear(p)
		return len(p), nil
	}
	if !f.n.readable(off, min(off+int64(len(p)), int64(len(f.n.data)))) {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: syscall.EIO}
	}
	if off >= int64(len(f.n.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	return copy(p, f.n.data[off:]), nil
}

func (f *crashFile) Read(p []byte) (int, error) {
	err := f.enter("read")
	defer f.c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	err := f.enter("read")
	defer f.c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := f.readAt(p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// writeAt writes all of p, or half of it and fails when err is set.
func (f *crashFile) writeAt(p []byte, off int64, err error) (int, error) {
	if f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	if err != nil {
		p = p[:len(p)/2]
	}
	if end := off + int64(len(p)); end > int64(len(f.n.data)) {
		f.n.data = append(f.n.data, make([]byte, end-int64(len(f.n.data)))...)
	}
	f.n.changed(off, off+int64(len(p)), f.c.now())
	return copy(f.n.data[off:], p), err
}

func (f *crashFile) Write(p []byte) (int, error) {
	err := f.enter("write")
	defer f.c.mu.Unlock()
	if f.closed || f.n.dir {
		return 0, err
	}
	if f.flag&os.O_APPEND != 0 {
		f.pos = int64(len(f.n.data))
	}
	if err != nil && f.c.calls > f.c.stop {
		return 0, err // only the call at which the power is cut writes half
	}
	n, err := f.writeAt(p, f.pos, err)
	f.pos += int64(n)
	return n, err
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.enter("write")
	defer f.c.mu.Unlock()
	if f.closed || f.n.dir || err != nil && f.c.calls > f.c.stop {
		return 0, err
	}
	return f.writeAt(p, off, err)
}

func (f *crashFile) Seek(off int64, whence int) (int64, error) {
	err := f.enter("seek")
	defer f.c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekCurrent:
		off += f.pos
	case io.SeekEnd:
		off += int64(len(f.n.data))
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	f.pos = off
	return off, nil
}

func (f *crashFile) Stat() (fs.FileInfo, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step(); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: f.name, Err: err}
	}
	return f.n.info(filepath.Base(f.name)), nil
}

func (f *crashFile) Sync() error {
	err := f.enter("sync")
	defer f.c.mu.Unlock()
	if err != nil {
		return err
	}
	f.c.syncs++
	if f.c.syncs == f.c.badSync {
		f.n.drop()
		return &fs.PathError{Op: "sync", Path: f.name, Err: f.c.syncErr}
	}
	f.n.synced, f.n.dirty = f.n.written(), len(f.n.dropped) > 0
	return nil
}

func (f *crashFile) Truncate(size int64) error {
	err := f.enter("truncate")
	defer f.c.mu.Unlock()
	if err != nil {
		return err
	}
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: fs.ErrInvalid}
	}
	f.n.truncate(size, f.c.now())
	return nil
}

func (f *crashFile) Close() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	f.n.open--
	return nil
}

func (n *node) info(name string) fs.FileInfo {
	return &nodeInfo{name: name, size: int64(len(n.data)), mode: n.mode, mtime: n.mtime, of: n}
}

type nodeInfo struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
	of    *node
}

func (i *nodeInfo) sameFile(other fs.FileInfo) bool {
	o, ok := other.(*nodeInfo)
	return ok && i.of == o.of
}

func (i *nodeInfo) Name() string       { return i.name }
func (i *nodeInfo) Size() int64        { return i.size }
func (i *nodeInfo) Mode() fs.FileMode  { return i.mode }
func (i *nodeInfo) ModTime() time.Time { return i.mtime }
func (i *nodeInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *nodeInfo) Sys() any           { return nil }
