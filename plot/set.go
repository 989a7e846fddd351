package plot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A Dir is a directory of plots, or one plot file of any name. Class is a word
// of the caller's, such as the kind of the disk.
type Dir struct {
	Path  string
	Class string
}

// A Set is the plots of some directories. Files may come, go and be replaced
// while it is open: Scan takes notice. A file that is no good plot hides no
// other, and two files of one plot id are each other's backup. A Set is safe
// for concurrent use. It is a capsule.Source and a capsule.Plots.
type Set struct {
	dirs []Dir
	o    ReadOptions

	scan  sync.Mutex // held by Scan
	mu    sync.RWMutex
	files map[string]*setFile // by path
}

// A setFile is one file that a scan has seen.
type setFile struct {
	path, class string
	info        fs.FileInfo // when it was opened
	r           *Reader     // nil for a file that is no good plot
	err         error       // why not
	users       int
	gone        bool // closed when the last user is done
}

// A BadFile is a file with the name of a plot that could not be opened as one,
// or that did not pass Set.Verify.
type BadFile struct {
	Path string
	Err  error // names the path
}

// A Scan is what one scan has changed.
type Scan struct {
	Added   []*Info
	Removed []*Info
	Bad     []BadFile // that are new or have changed; a bad file is reported once
}

// suffix is that of the names of plots.
const suffix = ".plot"

// OpenSet opens the plots in dirs and starts nothing. A directory that cannot
// be read is an error, a file that cannot be opened is not: see Bad. The caller
// closes the Set.
func OpenSet(ctx context.Context, o *ReadOptions, dirs ...Dir) (*Set, error) {
	s := &Set{dirs: dirs, files: map[string]*setFile{}}
	if o != nil {
		s.o = *o
	}
	if _, err := s.Scan(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Scan reads the directories again. Files that have not changed are not opened
// again, whether they are good or bad; one that could not be read, such as for
// want of file descriptors, is tried again. Reads in progress of a plot that is
// gone continue. When a directory cannot be read, the plots in it are kept and
// the error says which.
func (s *Set) Scan(ctx context.Context) (*Scan, error) {
	s.scan.Lock()
	defer s.scan.Unlock()
	out := &Scan{}
	var errs []error
	for _, d := range s.dirs {
		if err := s.scanDir(ctx, d, out); err != nil {
			errs = append(errs, fmt.Errorf("scan plots in %s: %w", d.Path, err))
		}
	}
	return out, errors.Join(errs...)
}

func (s *Set) scanDir(ctx context.Context, d Dir, out *Scan) error {
	info, err := os.Lstat(d.Path)
	if err != nil && !s.has(d.Path) {
		return err
	}
	if err != nil || info.Mode().IsRegular() {
		s.scanFile(filepath.Clean(d.Path), d.Class, out)
		return nil
	}
	list, err := os.ReadDir(d.Path)
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		path := filepath.Join(d.Path, e.Name())
		here[path] = true
		s.scanFile(path, d.Class, out)
	}
	for path, f := range s.snapshot() {
		if filepath.Dir(path) == filepath.Clean(d.Path) && !here[path] {
			s.drop(f, out)
		}
	}
	return nil
}

// has reports whether the last scan has seen the file at path.
func (s *Set) has(path string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.files[filepath.Clean(path)] != nil
}

func (s *Set) snapshot() map[string]*setFile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := make(map[string]*setFile, len(s.files))
	for path, f := range s.files {
		m[path] = f
	}
	return m
}

// scanFile opens the file at path unless it is the one that was there before.
func (s *Set) scanFile(path, class string, out *Scan) {
	s.mu.RLock()
	old := s.files[path]
	s.mu.RUnlock()
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if old != nil {
			s.drop(old, out)
		}
		return
	}
	if err == nil && old != nil && old.settled() && sameFile(old.info, info) {
		return
	}
	f := &setFile{path: path, class: class, info: info, err: err}
	if err == nil {
		f.r, f.err = openFS(diskfs.OS(), path, &s.o)
	}
	if old != nil {
		s.drop(old, out)
	}
	s.mu.Lock()
	s.files[path] = f
	s.mu.Unlock()
	switch {
	case f.r != nil:
		out.Added = append(out.Added, f.r.Info())
	case old == nil || old.settled() || old.err.Error() != f.err.Error():
		out.Bad = append(out.Bad, BadFile{Path: path, Err: f.err})
	}
}

// settled reports whether f is as it is until its file changes: open, or known
// to be no good plot.
func (f *setFile) settled() bool {
	var bad *FormatError
	return f.r != nil || errors.As(f.err, &bad) || errors.Is(f.err, ErrMagic)
}

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) &&
		a.Mode() == b.Mode()
}

// drop forgets a file.
func (s *Set) drop(f *setFile, out *Scan) {
	s.mu.Lock()
	if s.files[f.path] == f {
		delete(s.files, f.path)
	}
	s.closeLocked(f)
	s.mu.Unlock()
	if f.r != nil && out != nil {
		out.Removed = append(out.Removed, f.r.Info())
	}
}

func (s *Set) closeLocked(f *setFile) {
	f.gone = true
	if f.users == 0 && f.r != nil {
		f.r.Close()
	}
}

// use takes the file for reading. release must be called afterwards.
func (s *Set) use(f *setFile) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.gone || f.r == nil {
		return nil, false
	}
	f.users++
	var once sync.Once
	return func() {
		once.Do(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if f.users--; f.users == 0 && f.gone {
				f.r.Close()
			}
		})
	}, true
}

// A Held is one plot file in a Set.
type Held struct {
	*Info
	Class    string
	Verified bool // Verify has passed at level Quick since it was opened
}

// Plots yields the good plots, sorted by id and path.
func (s *Set) Plots() iter.Seq[Held] {
	return func(yield func(Held) bool) {
		for _, f := range s.good(merkle.Hash{}) {
			if !yield(Held{Info: f.r.Info(), Class: f.class, Verified: f.r.verified.Load()}) {
				return
			}
		}
	}
}

// Bad yields the files that are no good plots, sorted by path.
func (s *Set) Bad() iter.Seq[BadFile] {
	return func(yield func(BadFile) bool) {
		m := s.snapshot()
		for _, path := range sortedKeys(m) {
			if f := m[path]; f.r == nil && !yield(BadFile{Path: path, Err: f.err}) {
				return
			}
		}
	}
}

func sortedKeys(m map[string]*setFile) []string {
	list := make([]string, 0, len(m))
	for path := range m {
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

// good returns the good plots with the given id, or all for the zero id.
func (s *Set) good(id merkle.Hash) []*setFile {
	var list []*setFile
	s.mu.RLock()
	for _, f := range s.files {
		if f.r != nil && (id.IsZero() || f.r.head.id == id) {
			list = append(list, f)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b *setFile) int {
		return cmp.Or(a.r.head.id.Compare(b.r.head.id), cmp.Compare(a.path, b.path))
	})
	return list
}

// readers yields the good plots except the file that other describes. Each stays
// open until yield returns.
func (s *Set) readers(other fs.FileInfo) iter.Seq[*Reader] {
	return func(yield func(*Reader) bool) {
		for _, f := range s.good(merkle.Hash{}) {
			if os.SameFile(f.info, other) {
				continue
			}
			release, ok := s.use(f)
			if !ok {
				continue
			}
			more := yield(f.r)
			release()
			if !more {
				return
			}
		}
	}
}

// Verify verifies the plot file at path as Reader.Verify does. A plot that does
// not pass at level Quick leaves the Set: it is among Bad until its file
// changes.
func (s *Set) Verify(
	ctx context.Context, path string, l Level, progress func(Progress),
) (*Report, error) {
	s.mu.RLock()
	f := s.files[filepath.Clean(path)]
	s.mu.RUnlock()
	if f == nil || f.r == nil {
		return nil, &fs.PathError{Op: "verify plot", Path: path, Err: fs.ErrNotExist}
	}
	release, ok := s.use(f)
	if !ok {
		return nil, &fs.PathError{Op: "verify plot", Path: path, Err: fs.ErrNotExist}
	}
	defer release()
	report, err := f.r.Verify(ctx, l, progress)
	var bad *FormatError
	if errors.As(err, &bad) && len(report.Damaged) == 0 {
		s.mu.Lock()
		if s.files[f.path] == f {
			s.files[f.path] = &setFile{path: f.path, class: f.class, info: f.info,
				err: fmt.Errorf("verify plot %s: %w", f.path, err)}
			s.closeLocked(f)
		}
		s.mu.Unlock()
	}
	return report, err
}

// Find implements capsule.Plots. The first plot that holds the capsule
// undamaged, as far as its record goes, answers.
func (s *Set) Find(ctx context.Context, h, plotID merkle.Hash) (capsule.Plotted, error) {
	err := fmt.Errorf("capsule with hash %s: %w", h, fs.ErrNotExist)
	for _, f := range s.good(plotID) {
		release, ok := s.use(f)
		if !ok {
			continue
		}
		rec, lookup := f.r.LookupHash(h)
		var p *plotted
		if lookup == nil {
			p, lookup = f.r.plotted(ctx, rec)
		}
		if lookup == nil {
			p.release = release
			return p, nil
		}
		release()
		if !errors.Is(lookup, fs.ErrNotExist) {
			err = lookup
		}
	}
	return nil, err
}

// Stat implements capsule.Source. A zero root means any generation.
func (s *Set) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	if err := context.Cause(ctx); err != nil {
		return capsule.Descriptor{}, err
	}
	d, _, err := s.locate(ref)
	return d, err
}

// Locate implements capsule.Locator: the tier is the class of the directory.
func (s *Set) Locate(
	_ context.Context, ref capsule.Ref,
) (plotID merkle.Hash, tier string, err error) {
	_, f, err := s.locate(ref)
	if err != nil {
		return plotID, "", err
	}
	return f.r.head.id, f.class, nil
}

func (s *Set) locate(ref capsule.Ref) (capsule.Descriptor, *setFile, error) {
	err := fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist)
	for _, f := range s.good(merkle.Hash{}) {
		ds, ok := f.r.stores.find(ref.Store)
		if !ok || !ref.Root.IsZero() && ds.Root != ref.Root {
			continue
		}
		release, ok := s.use(f)
		if !ok {
			continue
		}
		rec, lookup := f.r.Lookup(ref.Store, ref.Index)
		var d capsule.Descriptor
		if lookup == nil {
			d, lookup = f.r.Descriptor(rec)
		}
		release()
		if lookup == nil {
			return d, f, nil
		}
		if !errors.Is(lookup, fs.ErrNotExist) {
			err = lookup
		}
	}
	return capsule.Descriptor{}, nil, err
}

// Open implements capsule.Source. The result is verified as it is read, and is
// an io.Seeker, io.ReaderAt and io.WriterTo. When the chunk root of d is zero,
// that of the plot is used, and the content is only as good as the plot. A plot
// whose extent of the capsule cannot be opened, or turns out to be damaged while
// it is read, is passed over for another one that holds the capsule.
func (s *Set) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	c := &setCapsule{set: s, d: d, tried: map[*setFile]bool{}}
	if err := c.openNext(); err != nil {
		return nil, err
	}
	return c, nil
}

// openVerified opens d in mode Verified, with the chunk root of the plot where
// d has none.
func (r *Reader) openVerified(d capsule.Descriptor) (*Capsule, error) {
	rec, err := r.find(d)
	if err != nil {
		return nil, err
	}
	if d.ChunkRoot.IsZero() {
		own, err := r.Descriptor(rec)
		if err != nil {
			return nil, err
		}
		d.ChunkRoot = own.ChunkRoot
	}
	return r.openRecord(rec, d.ChunkRoot, Verified)
}

// A setCapsule reads a capsule from a plot of a Set, and from another one where
// that is damaged.
type setCapsule struct {
	set    *Set
	d      capsule.Descriptor
	stream blockStream

	mu       sync.Mutex
	list     []*Capsule // of the plots that were opened
	current  int        // in list: the one that gave content last
	tried    map[*setFile]bool
	releases []func()
}

// openNext opens the capsule in the next plot that has it. c.mu is held, or c is
// not shared yet.
func (c *setCapsule) openNext() error {
	err := fmt.Errorf("capsule with hash %s: %w", c.d.Hash, fs.ErrNotExist)
	for _, f := range c.set.good(merkle.Hash{}) {
		if c.tried[f] {
			continue
		}
		release, ok := c.set.use(f)
		if !ok {
			continue
		}
		c.tried[f] = true
		found, open := f.r.openVerified(c.d)
		if open == nil {
			c.d.ChunkRoot = found.chunkRoot // other plots must have the same content
			c.list = append(c.list, found)
			c.releases = append(c.releases, release)
			return nil
		}
		release()
		if !errors.Is(open, fs.ErrNotExist) {
			err = open
		}
	}
	return err
}

// untried returns the capsule of a plot that is not in done, the one that gave
// content last if it can, or nil when there is none.
func (c *setCapsule) untried(done []*Capsule) *Capsule {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		x := c.list[(c.current+i)%len(c.list)]
		if !slices.Contains(done, x) {
			return x
		}
	}
	if c.openNext() != nil {
		return nil
	}
	return c.list[len(c.list)-1]
}

// read calls f with the capsule of one plot after the other until one does not
// fail. After some progress, of n bytes, all plots are tried again for the rest.
// The error is that of the first plot.
func (c *setCapsule) read(f func(*Capsule) (n int64, err error)) error {
	var first error
	var done []*Capsule
	for {
		x := c.untried(done)
		if x == nil {
			return first
		}
		n, err := f(x)
		if err == nil || err == io.EOF || errors.Is(err, fs.ErrInvalid) ||
			errors.Is(err, errWrite) {
			c.mu.Lock()
			c.current = slices.Index(c.list, x)
			c.mu.Unlock()
			return err
		}
		if n > 0 {
			first, done = nil, nil
		}
		if first == nil {
			first = err
		}
		done = append(done, x)
	}
}

// errWrite marks an error of the writer that WriteTo was given.
var errWrite = errors.New("write")

// Size returns the number of bytes of content.
func (c *setCapsule) Size() int64 { return int64(c.d.Size) }

// ReadAt implements io.ReaderAt.
func (c *setCapsule) ReadAt(p []byte, off int64) (n int, err error) {
	err = c.read(func(from *Capsule) (int64, error) {
		m, err := from.ReadAt(p[n:], off+int64(n))
		n += m
		return int64(m), err
	})
	return n, err
}

// Read implements io.Reader. It is for one goroutine, as Seek and WriteTo are.
func (c *setCapsule) Read(p []byte) (int, error) { return c.stream.read(p, c.Size(), c.ReadAt) }

// Seek implements io.Seeker.
func (c *setCapsule) Seek(off int64, whence int) (int64, error) {
	return c.stream.seek(off, whence, c.Size())
}

// WriteTo implements io.WriterTo.
func (c *setCapsule) WriteTo(w io.Writer) (int64, error) {
	start := c.stream.pos
	var failed error // of w
	err := c.read(func(from *Capsule) (int64, error) {
		began := c.stream.pos
		err := from.writeFrom(began, func(b []byte) error {
			n, err := w.Write(b)
			c.stream.pos += int64(n)
			failed = err
			return err
		})
		if failed != nil {
			err = errWrite
		}
		return c.stream.pos - began, err
	})
	if failed != nil {
		err = failed
	}
	return c.stream.pos - start, err
}

// Close implements io.Closer.
func (c *setCapsule) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, release := range c.releases {
		release()
	}
	c.releases = nil
	return nil
}

// Close closes all plots. Reads in progress go on.
func (s *Set) Close() error {
	for _, f := range s.snapshot() {
		s.drop(f, nil)
	}
	return nil
}

var (
	_ capsule.Source  = (*Set)(nil)
	_ capsule.Locator = (*Set)(nil)
	_ capsule.Plots   = (*Set)(nil)
	_ capsule.Plots   = (*Reader)(nil)
)
