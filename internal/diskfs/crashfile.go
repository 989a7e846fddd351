package diskfs

import (
	"io"
	"io/fs"
	"os"
	"time"
)

// OpenFile implements FS.
func (c *Crash) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, n, err := c.enter("open", name)
	if err != nil {
		return nil, err
	}
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n == nil:
		n = &node{mode: perm, mtime: c.now()}
		dir.names[base] = n
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case flag&os.O_TRUNC != 0 && !n.dir:
		n.data, n.dirty, n.mtime = nil, true, c.now()
	}
	return &crashFile{c: c, n: n, name: name, flag: flag}, nil
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
	f.n.dirty, f.n.mtime = true, f.c.now()
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
		return 0, err // only the call that loses the power does half
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
	parts := split(f.name)
	return f.n.info(parts[len(parts)-1]), nil
}

func (f *crashFile) Sync() error {
	err := f.enter("sync")
	defer f.c.mu.Unlock()
	if err != nil {
		return err
	}
	f.n.synced, f.n.dirty = append([]byte(nil), f.n.data...), false
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
	if size <= int64(len(f.n.data)) {
		f.n.data = f.n.data[:size:size]
	} else {
		f.n.data = append(f.n.data, make([]byte, size-int64(len(f.n.data)))...)
	}
	f.n.dirty, f.n.mtime = true, f.c.now()
	return nil
}

func (f *crashFile) Close() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}

func (n *node) info(name string) fs.FileInfo {
	return &nodeInfo{name: name, size: int64(len(n.data)), mode: n.mode, mtime: n.mtime}
}

type nodeInfo struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
}

func (i *nodeInfo) Name() string       { return i.name }
func (i *nodeInfo) Size() int64        { return i.size }
func (i *nodeInfo) Mode() fs.FileMode  { return i.mode }
func (i *nodeInfo) ModTime() time.Time { return i.mtime }
func (i *nodeInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *nodeInfo) Sys() any           { return nil }
