package diskfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrPowerLost is what every call on a Crash returns once its power is cut.
var ErrPowerLost = errors.New("power lost")

// Crash is a file system in memory that remembers what has been synced. The zero value is not usable: NewCrash.
// It has one clock, which moves on by a second with every call, so that modification times differ.
type Crash struct {
	mu    sync.Mutex
	root  *node
	locks map[string]bool
	calls int
	stop  int // the power goes with this call; 0: never
}

// node is a file or a directory. For a directory, names and durable map what is seen and what would be found.
type node struct {
	dir     bool
	mode    fs.FileMode
	mtime   time.Time
	data    []byte // a file's bytes as seen
	synced  []byte // a file's bytes as they would be found
	dirty   bool
	names   map[string]*node
	durable map[string]*node
}

func newDir(perm fs.FileMode) *node {
	return &node{dir: true, mode: fs.ModeDir | perm, names: map[string]*node{}, durable: map[string]*node{}}
}

// NewCrash returns an empty Crash that holds the directory dir, durably.
func NewCrash(dir string) *Crash {
	c := &Crash{root: newDir(0o755), locks: map[string]bool{}}
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

// StopAfter cuts the power at the n-th call from now, counted from 1: that call and all later ones do nothing (a write may
// do half) and return ErrPowerLost. n <= 0 never cuts it.
func (c *Crash) StopAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop = 0; n > 0 {
		c.stop = c.calls + n
	}
}

// Recover returns the disk as it may be found after a power cut at this moment: seed 0 loses everything that was not
// synced, seed 1 keeps all of it, any other seed decides for every name, and for every block of 512 bytes of every unsynced file,
// at random. What a rename did to two names is kept or lost together, as on any file system with a journal. c itself is left as it is; nothing is locked in the result.
func (c *Crash) Recover(seed uint64) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &recovery{seed: seed, rnd: rand.New(rand.NewPCG(seed, 0x64736b)), done: map[*node]*node{}, kept: map[*node]bool{}}
	return &Crash{root: r.node(c.root), locks: map[string]bool{}, calls: c.calls}
}

type recovery struct {
	seed uint64
	rnd  *rand.Rand
	done map[*node]*node
	kept map[*node]bool // whether the change of names of that node is kept
}

// keepName decides for a name that led to old and leads to now; either may be nil.
func (r *recovery) keepName(old, now *node) bool {
	moved := now
	if now == nil {
		moved = old
	}
	keep, decided := r.kept[moved]
	if !decided {
		keep = r.keepNew()
		r.kept[moved] = keep
	}
	return keep
}

// keepNew decides for one block or change.
func (r *recovery) keepNew() bool {
	return r.seed == 1 || r.seed > 1 && r.rnd.IntN(2) == 1
}

func (r *recovery) node(n *node) *node {
	if n == nil {
		return nil
	}
	if d := r.done[n]; d != nil {
		return d
	}
	d := &node{dir: n.dir, mode: n.mode, mtime: n.mtime}
	r.done[n] = d
	if !n.dir {
		d.data = r.data(n)
		d.synced = slices.Clone(d.data)
		return d
	}
	d.names, d.durable = map[string]*node{}, map[string]*node{}
	all := map[string]bool{}
	for name := range n.names {
		all[name] = true
	}
	for name := range n.durable {
		all[name] = true
	}
	for _, name := range slices.Sorted(mapKeys(all)) {
		found := n.durable[name]
		if n.names[name] != found && r.keepName(found, n.names[name]) {
			found = n.names[name]
		}
		if found != nil {
			f := r.node(found)
			d.names[name], d.durable[name] = f, f
		}
	}
	return d
}

func mapKeys(m map[string]bool) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// data mixes the synced and the seen bytes of a file block by block.
func (r *recovery) data(n *node) []byte {
	if !n.dirty || r.seed == 0 {
		return slices.Clone(n.synced)
	}
	if r.seed == 1 {
		return slices.Clone(n.data)
	}
	size := len(n.synced)
	switch lo, hi := min(size, len(n.data)), max(size, len(n.data)); r.rnd.IntN(3) {
	case 0:
		size = len(n.data)
	case 1:
		size = lo + r.rnd.IntN(hi-lo+1)
	}
	const block = 512
	out := make([]byte, size)
	for at := 0; at < size; at += block {
		from := n.synced
		if r.keepNew() {
			from = n.data
		}
		if at < len(from) {
			copy(out[at:min(at+block, size)], from[at:])
		}
	}
	return out
}

// step counts a call. The caller holds mu.
func (c *Crash) step() error {
	c.calls++
	if c.stop > 0 && c.calls >= c.stop {
		return ErrPowerLost
	}
	return nil
}

func (c *Crash) now() time.Time { return time.Unix(1_700_000_000+int64(c.calls), 0) }

func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name)[len(filepath.VolumeName(name)):])
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// find returns the directory that holds name, the last element, and the node there, nil when there is none.
func (c *Crash) find(op, name string) (*node, string, *node, error) {
	parts := split(name)
	if len(parts) == 0 || len(parts) == 1 && parts[0] == "." {
		return c.root, "", c.root, nil
	}
	at := c.root
	for i, p := range parts {
		if !at.dir {
			return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: syscall.ENOTDIR}
		}
		if i == len(parts)-1 {
			return at, p, at.names[p], nil
		}
		if at = at.names[p]; at == nil {
			break
		}
	}
	return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// enter is what every operation on a name begins with.
func (c *Crash) enter(op, name string) (*node, string, *node, error) {
	if err := c.step(); err != nil {
		return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return c.find(op, name)
}

// Rename implements FS.
func (c *Crash) Rename(oldname, newname string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, a, n, err := c.enter("rename", oldname)
	if err != nil {
		return err
	}
	to, b, old, err := c.find("rename", newname)
	if err != nil {
		return err
	}
	if n == nil {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	if old != nil && (old.dir || n.dir) && old != n {
		return &fs.PathError{Op: "rename", Path: newname, Err: fs.ErrExist}
	}
	delete(from.names, a)
	to.names[b] = n
	return nil
}

// Remove implements FS.
func (c *Crash) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, n, err := c.enter("remove", name)
	if err != nil {
		return err
	}
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if n.dir && len(n.names) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	delete(dir.names, base)
	return nil
}

// Mkdir implements FS.
func (c *Crash) Mkdir(name string, perm fs.FileMode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, n, err := c.enter("mkdir", name)
	if err != nil {
		return err
	}
	if n != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	dir.names[base] = newDir(perm)
	return nil
}

// ReadDir implements FS.
func (c *Crash) ReadDir(name string) ([]fs.DirEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, n, err := c.enter("readdir", name)
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
func (c *Crash) Stat(name string) (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, base, n, err := c.enter("stat", name)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return n.info(base), nil
}

// SyncDir implements FS.
func (c *Crash) SyncDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, n, err := c.enter("syncdir", name)
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

// TryLock implements FS. A lock file is made like any other.
func (c *Crash) TryLock(name string) (io.Closer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, n, err := c.enter("lock", name)
	if err != nil {
		return nil, err
	}
	if n == nil {
		dir.names[base] = &node{mode: 0o600, mtime: c.now()}
	}
	key := filepath.Clean(name)
	if c.locks[key] {
		return nil, &LockedError{Name: name}
	}
	c.locks[key] = true
	return &crashLock{c: c, key: key}, nil
}

type crashLock struct {
	c    *Crash
	key  string
	once sync.Once
}

func (l *crashLock) Close() error {
	l.once.Do(func() {
		l.c.mu.Lock()
		defer l.c.mu.Unlock()
		delete(l.c.locks, l.key)
	})
	return nil
}
