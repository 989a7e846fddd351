package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
)

// CheckoutOptions are settings of a checkout. nil and the zero value mean the defaults.
type CheckoutOptions struct {
	// Partial writes the resources that can be written: those whose names are known and can be file
	// names. CheckoutReport.Unsafe lists the others. Without Partial the error is an *UnnamedError
	// or an *UnsafeNamesError, and nothing is written.
	Partial bool
	// Overwrite replaces existing files. Without it an existing file is fs.ErrExist, before
	// anything is written.
	Overwrite bool
	// FS is where the files are written. Default: the disk, where no link below the folder is
	// followed.
	FS diskfs.FS
	// Progress is called with bytes of content written and to be written, from one goroutine at a
	// time.
	Progress func(done, total int64)
}

// A CheckoutReport says what a checkout wrote.
type CheckoutReport struct {
	Files   int
	Unnamed int            // resources that were left out because their names are not known
	Unsafe  []KeyNameError // resources that were left out because they cannot be files, sorted by key
	Bytes   int64
}

// Checkout writes the resources of the generation as files below dir, which is created if it does
// not exist. If names are missing, the error is an *UnnamedError and nothing is written, unless
// Partial is set. A resource key that would leave dir, or cannot be a file name, is a
// *KeyNameError, and nothing is written. Symbolic links in dir that lead out of it are not
// followed.
//
// A directory that does not exist appears when all files are written. In a directory that exists,
// the files are first written to a temporary folder, .dig-checkout- and 32 hex digits, and
// conflicts are found before any file moves. So a file is never incomplete, and no name except
// those of the resources is touched. What a checkout that was killed has left is removed by the
// next one. Nothing is synced: a checkout can be repeated.
func (g *Generation) Checkout(ctx context.Context, dir string,
	o *CheckoutOptions) (*CheckoutReport, error) {
	if o == nil {
		o = &CheckoutOptions{}
	}
	t, err := g.names()
	if err != nil {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, err)
	}
	missing := t.missing()
	if missing != nil && !o.Partial {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, missing)
	}
	names, unnamed := t.names, t.total-len(t.names)
	refused := checkNames(names)
	if len(refused) > 0 && !o.Partial {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, &UnsafeNamesError{refused})
	}
	names = without(names, refused)
	c := &checkout{g: g, o: o, fs: o.FS,
		report: &CheckoutReport{Files: len(names), Unnamed: unnamed, Unsafe: refused}}
	if err := c.plan(names); err != nil {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, err)
	}
	if err := c.run(ctx, filepath.Clean(dir)); err != nil {
		return nil, fmt.Errorf("check out %s to %s: %w", g.info.Root, dir, err)
	}
	return c.report, nil
}

type checkout struct {
	g      *Generation
	o      *CheckoutOptions
	report *CheckoutReport
	files  []outFile
	dirs   []string // every directory that is needed, parents first
	fs     diskfs.FS
	at     diskfs.FS // within the target, when that is there

	missing map[string]bool // those of dirs that the target does not have

	mu          sync.Mutex
	done, total int64
}

// outFile is a resource that is written to a file.
type outFile struct {
	dir, name string
	res       *module.Resource
}

// plan finds the resources, in the order in which their chunks lie in the pack, and the
// directories.
func (c *checkout) plan(names []string) error {
	seen := map[string]bool{"": true}
	id := c.g.s.set.id
	for _, n := range names {
		r, err := c.g.mod.Find(urn.RetrievalKey(id, n))
		if err != nil {
			return fmt.Errorf("resource %q: %w", n, err)
		}
		dir, _ := path.Split(n)
		dir = path.Clean("/" + dir)[1:]
		c.files = append(c.files, outFile{dir, n, r})
		for d := dir; !seen[d]; d = path.Dir("/" + d)[1:] {
			seen[d] = true
			c.dirs = append(c.dirs, d)
		}
		c.total += r.Size()
	}
	slices.Sort(c.dirs)
	return nil
}

func (c *checkout) run(ctx context.Context, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if c.fs == nil {
		c.fs = diskfs.OS()
	}
	above := filepath.Dir(abs)
	sweepWork(c.confined(above), above)
	info, err := c.fs.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.whole(ctx, abs)
	case err != nil:
		return err
	case !info.IsDir():
		return &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	return c.into(ctx, abs)
}

// whole creates the folder dir, which does not exist and appears with all files in it.
func (c *checkout) whole(ctx context.Context, dir string) error {
	above := filepath.Dir(dir)
	if err := diskfs.MkdirAll(c.fs, above, 0o777); err != nil {
		return err
	}
	work, err := makeWork(c.confined(above), above, c.g.s.w.rand)
	if err != nil {
		return err
	}
	defer work.remove()
	if err := c.fill(ctx, work.out); err != nil {
		return err
	}
	return c.fs.Rename(work.out, dir)
}

// into writes the files into a folder that exists. Nothing in it changes before all files are
// written to a temporary folder and checked, and the places where they go are free or may be
// overwritten.
func (c *checkout) into(ctx context.Context, dir string) error {
	c.at = c.confined(dir)
	sweepWork(c.at, dir)
	if err := c.conflicts(dir); err != nil {
		return err
	}
	work, err := makeWork(c.at, dir, c.g.s.w.rand)
	if err != nil {
		return err
	}
	defer work.remove()
	if err := c.fill(ctx, work.out); err != nil {
		return err
	}
	return c.move(ctx, work.out, dir)
}

// move moves what was written from out into dir: a whole folder if dir has none of that name, else
// file by file.
func (c *checkout) move(ctx context.Context, out, dir string) error {
	place := func(name string) (from, to string) {
		return filepath.Join(out, filepath.FromSlash(name)), filepath.Join(dir, filepath.FromSlash(name))
	}
	for _, d := range c.dirs {
		if !c.missing[d] || c.missing[path.Dir(d)] {
			continue
		}
		if err := c.at.Rename(place(d)); err != nil {
			return err
		}
	}
	for _, f := range c.files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if c.missing[f.dir] {
			continue
		}
		from, to := place(f.name)
		var err error
		if c.o.Overwrite {
			err = c.at.Rename(from, to)
		} else {
			err = diskfs.RenameNew(c.at, from, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// confined returns the disk, without a way out of dir by links.
func (c *checkout) confined(dir string) diskfs.FS {
	if c.o.FS != nil {
		return c.o.FS
	}
	return diskfs.Beneath(dir)
}

// conflicts returns an error for anything in dir that prevents a folder or a file from being
// written. Files do not, if they may be overwritten.
func (c *checkout) conflicts(dir string) error {
	c.missing = map[string]bool{}
	for _, d := range c.dirs {
		if c.missing[path.Dir(d)] {
			c.missing[d] = true
			continue
		}
		name := filepath.Join(dir, filepath.FromSlash(d))
		info, err := c.at.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.missing[d] = true
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is not a folder: %w", name, fs.ErrExist)
		}
	}
	for _, f := range c.files {
		if c.missing[f.dir] {
			continue
		}
		name := filepath.Join(dir, filepath.FromSlash(f.name))
		info, err := c.at.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.IsDir():
			return fmt.Errorf("%s is a folder: %w", name, fs.ErrExist)
		case !c.o.Overwrite:
			return fmt.Errorf("%s: %w", name, fs.ErrExist)
		}
	}
	return nil
}

// fill creates the directories and then the files below out, which is new, on several goroutines.
func (c *checkout) fill(ctx context.Context, out string) error {
	fsys := c.confined(out)
	if err := c.foldedNames(fsys, out); err != nil {
		return err
	}
	for _, d := range c.dirs {
		if err := fsys.Mkdir(filepath.Join(out, filepath.FromSlash(d)), 0o777); err != nil &&
			!errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if c.o.Progress != nil {
		c.o.Progress(0, c.total)
	}
	const most = 64 // files that one goroutine takes at a time
	tasks := make(chan []outFile)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(tasks)
		for files := range slices.Chunk(c.files, most) {
			select {
			case tasks <- files:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range c.g.s.w.workers {
		g.Go(func() error {
			w := &fileWriter{c: c, fs: fsys}
			for files := range tasks {
				if err := w.files(ctx, out, files); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// foldedNames returns an error for names that the file system of out regards as equal: there would
// be one file for both.
func (c *checkout) foldedNames(fsys diskfs.FS, out string) error {
	folds, err := foldsCase(fsys, out)
	if err != nil || !folds {
		return err
	}
	slices.SortFunc(c.files, func(a, b outFile) int { return strings.Compare(a.name, b.name) })
	spelled := map[string]string{}
	for _, d := range c.dirs {
		spelled[foldCase(d)] = d + "/"
	}
	var refused []KeyNameError
	c.files = slices.DeleteFunc(c.files, func(f outFile) bool {
		key := foldCase(f.name)
		other, taken := spelled[key]
		if taken {
			refused = append(refused,
				KeyNameError{f.name, fmt.Sprintf("this file system takes it for %.200q", other)})
			c.total -= f.res.Size()
			return true
		}
		spelled[key] = f.name
		return false
	})
	if len(refused) > 0 && !c.o.Partial {
		return &UnsafeNamesError{refused}
	}
	c.report.Files -= len(refused)
	c.report.Unsafe = append(c.report.Unsafe, refused...)
	slices.SortFunc(c.report.Unsafe, func(a, b KeyNameError) int {
		return strings.Compare(a.Key, b.Key)
	})
	return nil
}

// foldsCase reports whether the file system regards names that differ in case as equal.
func foldsCase(fsys diskfs.FS, dir string) (bool, error) {
	probe := filepath.Join(dir, "probe")
	if err := fsys.Mkdir(probe, 0o700); err != nil {
		return false, err
	}
	_, err := fsys.Lstat(filepath.Join(dir, "PROBE"))
	if rerr := fsys.Remove(probe); rerr != nil {
		return false, rerr
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// foldCase maps names that differ only in case to the same name.
func foldCase(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		return least
	}, name)
}

// fileWriter writes files. It reuses its buffer.
type fileWriter struct {
	c   *checkout
	fs  diskfs.FS
	buf []byte
}

func (w *fileWriter) files(ctx context.Context, out string, files []outFile) error {
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := w.file(filepath.Join(out, filepath.FromSlash(f.name)), f)
		if err != nil {
			return fmt.Errorf("resource %q: %w", f.name, err)
		}
		w.c.wrote(n)
	}
	return nil
}

func (w *fileWriter) file(name string, f outFile) (int64, error) {
	out, err := w.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	n, err := w.write(out, f)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return n, err
}

// write writes the plaintext of a resource.
func (w *fileWriter) write(out io.Writer, f outFile) (int64, error) {
	s := w.c.g.s
	key := urn.NewKey(s.set.id, f.name, w.c.g.salt)
	chunks := f.res.Chunks()
	if len(chunks) == 0 || chunks[0].ID.IsZero() { // a module that is not from a recipe
		p, err := f.res.Open(key)
		if err != nil {
			return 0, err
		}
		return p.WriteTo(out)
	}
	var done int64
	for i, ch := range chunks {
		r, off, err := s.dir.Packs.Chunk(ch)
		if err != nil {
			return done, err
		}
		w.buf = slices.Grow(w.buf[:0], int(ch.Len))[:ch.Len]
		if n, err := r.ReadAt(w.buf, off+4); n < len(w.buf) {
			return done, fmt.Errorf("chunk %d of %d: %w", i, len(chunks), err)
		}
		text, err := key.Open(w.buf[:0], w.buf)
		if err != nil {
			return done, fmt.Errorf("chunk %d of %d: %w", i, len(chunks), err)
		}
		n, err := out.Write(text)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (c *checkout) wrote(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += n
	c.report.Bytes += n
	if c.o.Progress != nil {
		c.o.Progress(c.done, c.total)
	}
}
