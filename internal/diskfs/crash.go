package diskfs

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrPowerLost is returned by every call on a Crash after the power was cut.
var ErrPowerLost = errors.New("power lost")

// ErrInUse is returned by a Crash with HoldOpen for the removal or renaming of an open file. See
// InUse.
var ErrInUse = errors.New("the file is in use")

// CrashOptions are the properties of a simulated disk. nil and the zero value are those of ext4.
type CrashOptions struct {
	// FoldCase makes names equal that differ only in case, as macOS and Windows do. A file
	// keeps the spelling with which it was created.
	FoldCase bool
	// TimeUnit is the resolution of modification times, which are truncated to it: 1 s on
	// ext3, 2 s on FAT. 0 does not truncate.
	TimeUnit time.Duration
	// Now is the clock of modification times. It is called while the disk is locked. nil is a
	// clock that moves on by a second with every call, so that modification times differ.
	Now func() time.Time
	// HoldOpen refuses with ErrInUse to remove or rename a file that is open or locked, to
	// replace it by a rename, and to rename a directory above it, as Windows does.
	HoldOpen bool
}

// Crash is a file system in memory that remembers what has been synced. The zero value is not
// usable: NewCrash. Its methods may be called concurrently.
type Crash struct {
	mu      sync.Mutex
	o       CrashOptions
	root    *node
	calls   int
	stop    int // the power is cut at this call; 0: never
	syncs   int // calls of File.Sync so far
	badSync int // the call of File.Sync that fails; 0: none
	syncErr error
}

// node is a file, a directory, a link or a special file. For a directory, names has the entries as
// seen, and durable those after a power cut.
type node struct {
	dir     bool
	mode    fs.FileMode
	mtime   time.Time
	data    []byte // the bytes of a file as seen
	synced  []byte // the bytes of a file after a power cut
	dirty   bool
	dropped map[int64]bool // pages that a failed sync gave up: seen, not written
	bad     map[int64]bool // blocks that cannot be read
	target  string         // of a link
	open    int            // handles and locks that are open
	locked  bool
	names   map[string]*node
	durable map[string]*node
}

func newDir(perm fs.FileMode) *node {
	return &node{dir: true, mode: fs.ModeDir | perm,
		names: map[string]*node{}, durable: map[string]*node{}}
}

// NewCrash returns a Crash with default options and the durable directory dir.
func NewCrash(dir string) *Crash { return NewCrashWith(dir, nil) }

// NewCrashWith is NewCrash with options.
func NewCrashWith(dir string, o *CrashOptions) *Crash {
	c := &Crash{root: newDir(0o755)}
	if o != nil {
		c.o = *o
	}
	at := c.root
	for _, name := range split(dir) {
		n := newDir(0o755)
		at.names[name], at.durable[name] = n, n
		at = n
	}
	return c
}

// Calls returns the number of calls so far.
func (c *Crash) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// StopAfter cuts the power at the n-th call from now, counted from 1: that call and all later
// ones do nothing (a write may do half) and return ErrPowerLost. n <= 0 never cuts it.
func (c *Crash) StopAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop = 0; n > 0 {
		c.stop = c.calls + n
	}
}

// step counts a call. The caller holds mu.
func (c *Crash) step() error {
	c.calls++
	if c.stop > 0 && c.calls >= c.stop {
		return ErrPowerLost
	}
	return nil
}

// now is the modification time of a change. The caller holds mu.
func (c *Crash) now() time.Time {
	t := time.Unix(1_700_000_000+int64(c.calls), 0)
	if c.o.Now != nil {
		t = c.o.Now()
	}
	if c.o.TimeUnit > 0 {
		t = t.Truncate(c.o.TimeUnit)
	}
	return t
}

// enter begins an operation on a name. See resolve.
func (c *Crash) enter(op, name string, follow bool) (*node, string, *node, error) {
	if err := c.step(); err != nil {
		return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return c.resolve(op, name, follow)
}

// held refuses to remove or move n, or what lies below it, while it is open. The caller holds mu.
func (c *Crash) held(op, name string, n *node) error {
	if !c.o.HoldOpen || n == nil {
		return nil
	}
	if n.open > 0 {
		return &fs.PathError{Op: op, Path: name, Err: ErrInUse}
	}
	for base, child := range n.names {
		if err := c.held(op, name+"/"+base, child); err != nil {
			return err
		}
	}
	return nil
}

// Rename implements FS. It does not follow links.
func (c *Crash) Rename(oldname, newname string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, a, n, err := c.enter("rename", oldname, false)
	if err != nil {
		return err
	}
	to, b, old, err := c.resolve("rename", newname, false)
	if err != nil {
		return err
	}
	if n == nil {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	if old != nil && (old.dir || n.dir) && old != n {
		return &fs.PathError{Op: "rename", Path: newname, Err: fs.ErrExist}
	}
	if err := c.held("rename", oldname, n); err != nil {
		return err
	}
	if err := c.held("rename", newname, old); err != nil {
		return err
	}
	if old == n {
		parts := split(newname)
		b = parts[len(parts)-1] // perhaps in another case
	}
	delete(from.names, a)
	to.names[b] = n
	now := c.now()
	from.mtime, to.mtime = now, now
	return nil
}

// Remove implements FS. It does not follow links.
func (c *Crash) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, n, err := c.enter("remove", name, false)
	if err != nil {
		return err
	}
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if n.dir && len(n.names) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	if err := c.held("remove", name, n); err != nil {
		return err
	}
	delete(dir.names, base)
	dir.mtime = c.now()
	return nil
}

// Mkdir implements FS.
func (c *Crash) Mkdir(name string, perm fs.FileMode) error {
	return c.make("mkdir", name, newDir(perm))
}

// make adds n under a free name.
func (c *Crash) make(op, name string, n *node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, old, err := c.enter(op, name, false)
	if err != nil {
		return err
	}
	if old != nil {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	}
	n.mtime = c.now()
	dir.names[base], dir.mtime = n, n.mtime
	return nil
}

// ReadDir implements FS.
func (c *Crash) ReadDir(name string) ([]fs.DirEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, n, err := c.enter("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: syscall.ENOTDIR}
	}
	var list []fs.DirEntry
	for base, child := range n.names {
		list = append(list, fs.FileInfoToDirEntry(child.info(base)))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Stat implements FS.
func (c *Crash) Stat(name string) (fs.FileInfo, error) { return c.stat("stat", name, true) }

// Lstat implements FS.
func (c *Crash) Lstat(name string) (fs.FileInfo, error) { return c.stat("lstat", name, false) }

func (c *Crash) stat(op, name string, follow bool) (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, n, err := c.enter(op, name, follow)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n.info(filepath.Base(name)), nil
}

// SyncDir implements FS.
func (c *Crash) SyncDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, n, err := c.enter("syncdir", name, true)
	if err != nil {
		return err
	}
	if n == nil || !n.dir {
		return &fs.PathError{Op: "syncdir", Path: name, Err: fs.ErrNotExist}
	}
	n.durable = make(map[string]*node, len(n.names))
	for base, child := range n.names {
		n.durable[base] = child
	}
	return nil
}

// TryLock implements FS. It locks the file, not the name: after the file was removed and created
// again, both files can be locked, as with flock.
func (c *Crash) TryLock(name string) (io.Closer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, n, err := c.enter("lock", name, true)
	if err != nil {
		return nil, err
	}
	if n == nil {
		n = &node{mode: 0o600, mtime: c.now()}
		dir.names[base], dir.mtime = n, n.mtime
	}
	if n.locked {
		return nil, &LockedError{Name: name}
	}
	n.locked = true
	n.open++
	return &crashLock{c: c, n: n}, nil
}

type crashLock struct {
	c    *Crash
	n    *node
	once sync.Once
}

func (l *crashLock) Close() error {
	l.once.Do(func() {
		l.c.mu.Lock()
		defer l.c.mu.Unlock()
		l.n.locked = false
		l.n.open--
	})
	return nil
}
