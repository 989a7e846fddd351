package digstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
)

// CheckoutOptions are settings of a checkout. nil and the zero value mean the defaults.
type CheckoutOptions struct {
	// Partial writes what can be written: the resources whose names are known when others are not, without those
	// whose names cannot be files, which CheckoutReport.Unsafe lists. Without it the error is an *UnnamedError or
	// an *UnsafeNamesError, and nothing is written.
	Partial bool
	// Overwrite replaces files that are there. Without it one such file is fs.ErrExist, before anything is written.
	Overwrite bool
	// Progress is called with bytes of content written and to be written, from one goroutine at a time.
	Progress func(done, total int64)
}

// A CheckoutReport says what a checkout did.
type CheckoutReport struct {
	Files   int
	Unnamed int            // resources that were left out because their names are not known
	Unsafe  []KeyNameError // resources that were left out because they cannot be files, sorted by key
	Bytes   int64
}

// Checkout writes the generation's resources as files below dir, which is made when it is missing. Where names are
// missing it is an *UnnamedError and nothing is written, unless Partial is set. A resource key that would leave
// dir, or cannot be a file, is a *KeyNameError, and nothing is written. Symbolic links in dir that lead out of it
// are not followed.
//
// A directory that is missing appears all at once, when everything is written: it is made under another name
// beside its place and renamed. Into an empty one the files move from a directory in it when all are written; in
// one that is not empty each file is written under a temporary name and renamed. So nothing is ever half of a
// file. Nothing is synced: a checkout can be made again.
func (g *Generation) Checkout(ctx context.Context, dir string, o *CheckoutOptions) (*CheckoutReport, error) {
	if o == nil {
		o = &CheckoutOptions{}
	}
	names, unnamed, err := g.Names()
	if err != nil {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, err)
	}
	if unnamed > 0 && !o.Partial {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, &UnnamedError{unnamed, unnamed + len(names)})
	}
	refused := checkNames(names)
	if len(refused) > 0 && !o.Partial {
		return nil, fmt.Errorf("check out %s: %w", g.info.Root, &UnsafeNamesError{refused})
	}
	names = without(names, refused)
	c := &checkout{g: g, o: o, report: &CheckoutReport{Files: len(names), Unnamed: unnamed, Unsafe: refused}}
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
	whole  bool     // the target is a fresh directory

	mu          sync.Mutex
	done, total int64
}

// outFile is a resource on its way to a file.
type outFile struct {
	dir, base string
	name      string
	res       *module.Resource
}

// plan finds the resources, in the order in which they lie in the pack, and the directories.
func (c *checkout) plan(names []string) error {
	seen := map[string]bool{"": true}
	id := c.g.s.set.id
	for _, n := range names {
		r, err := c.g.mod.Find(urn.RetrievalKey(id, n))
		if err != nil {
			return fmt.Errorf("resource %q: %w", n, err)
		}
		dir, base := path.Split(n)
		dir = path.Clean("/" + dir)[1:]
		c.files = append(c.files, outFile{dir, base, n, r})
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
	list, err := os.ReadDir(dir)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	c.whole = missing || len(list) == 0
	if !c.whole {
		return c.fill(ctx, dir)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var b [6]byte
	if _, err := io.ReadFull(c.g.s.w.rand, b[:]); err != nil {
		return err
	}
	mark := ".dig-" + hex.EncodeToString(b[:])
	target := filepath.Join(abs, mark)
	if missing {
		target = filepath.Join(filepath.Dir(abs), "."+filepath.Base(abs)+mark)
		if err := os.MkdirAll(filepath.Dir(abs), 0o777); err != nil {
			return err
		}
	}
	if err := os.Mkdir(target, 0o777); err != nil {
		return err
	}
	defer os.RemoveAll(target) // nothing, when all went well
	if err := c.fill(ctx, target); err != nil {
		return err
	}
	if missing {
		return os.Rename(target, abs)
	}
	return into(target, abs)
}

// into moves what was written up into an empty directory, which keeps its own mode and owner.
func into(from, dir string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// fill makes the directories and then the files, directory by directory, on several goroutines.
func (c *checkout) fill(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if !c.whole && !c.o.Overwrite {
		for _, f := range c.files {
			if _, err := root.Lstat(filepath.FromSlash(f.name)); err == nil {
				return fmt.Errorf("%s: %w", filepath.Join(dir, filepath.FromSlash(f.name)), fs.ErrExist)
			}
		}
	}
	for _, d := range c.dirs {
		if err := root.Mkdir(filepath.FromSlash(d), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if c.o.Progress != nil {
		c.o.Progress(0, c.total)
	}
	// A task is files of one directory that follow each other: all of them, or where there are few directories, some.
	most := len(c.files)
	if len(c.dirs) < 4*c.g.s.w.workers {
		most = 64
	}
	type task struct{ from, to int }
	tasks := make(chan task)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(tasks)
		for from := 0; from < len(c.files); {
			to := from + 1
			for to < len(c.files) && to-from < most && c.files[to].dir == c.files[from].dir {
				to++
			}
			select {
			case tasks <- task{from, to}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			from = to
		}
		return nil
	})
	for range c.g.s.w.workers {
		g.Go(func() error {
			w := &fileWriter{c: c}
			for t := range tasks {
				if err := w.files(ctx, root, c.files[t.from:t.to]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// fileWriter writes files, with a buffer that is used again.
type fileWriter struct {
	c   *checkout
	buf []byte
}

func (w *fileWriter) files(ctx context.Context, root *os.Root, files []outFile) error {
	at := root
	if files[0].dir != "" {
		sub, err := root.OpenRoot(filepath.FromSlash(files[0].dir))
		if err != nil {
			return err
		}
		defer sub.Close()
		at = sub
	}
	dir, err := openOutDir(at)
	if err != nil {
		return err
	}
	defer dir.close()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := w.file(dir, f)
		if err != nil {
			return fmt.Errorf("resource %q: %w", f.name, err)
		}
		w.c.wrote(n)
	}
	return nil
}

func (w *fileWriter) file(dir *outDir, f outFile) (int64, error) {
	name := f.base
	if !w.c.whole {
		name = tempName(f.base)
		_ = dir.Remove(name)
	}
	out, err := dir.create(name)
	if err != nil {
		return 0, err
	}
	n, err := w.write(out, f)
	if cerr := out.close(); err == nil {
		err = cerr
	}
	if err == nil && !w.c.whole {
		err = dir.Rename(name, f.base)
	}
	if err != nil {
		_ = dir.Remove(name)
	}
	return n, err
}

// write writes the plaintext of a resource.
func (w *fileWriter) write(out io.Writer, f outFile) (int64, error) {
	s := w.c.g.s
	key := urn.NewKey(s.set.id, f.name, s.set.salt)
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
		r, off, err := s.packs.Chunk(ch)
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

// tempName is the name under which a file is written; it is not longer than the file's own where that is long.
func tempName(base string) string {
	const most = 200
	if len(base) > most {
		base = base[:most]
	}
	return "." + base + ".dig-tmp"
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
