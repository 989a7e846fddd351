package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/digstore/internal/ignore"
	"github.com/dig-network/digstore/internal/regular"
)

// errNotDirectory is returned for a name that was listed as a directory and is something else now.
var errNotDirectory = errors.New("not a directory")

// Options are settings of a walk. nil and the zero value mean the defaults.
type Options struct {
	// Workers is how many goroutines list directories. Default: 1.
	Workers int
	// Excludes are lines of an ignore file. All other ignore files take precedence.
	Excludes []string
	// Workspace is the folder of the workspace, for Walk: see Rules in the package comment.
	// Default: ignore files above the root do not apply.
	Workspace string
	// Skip reports whether entries with this name are left out, files and directories. Default:
	// none.
	Skip func(base string) bool
}

// A Found is a file of the folder.
type Found struct {
	Name string // path from the folder, with slashes
	Stat Stat
}

// A Tree is what a walk found.
type Tree struct {
	Files []Found // sorted by name
	// Gone are names that were removed or replaced after they were listed. Names of directories end
	// in a slash.
	Gone []string
	// Unread are ignore files that are not regular files. Sorted.
	Unread []string
}

// entry is one name in a directory. If it is neither a regular file nor a directory, file and dir
// are false.
type entry struct {
	name      string
	file, dir bool
}

// source is a folder that is walked.
type source interface {
	// open lists the directory of a name, "" or one that ends in "/".
	open(name string) (directory, error)
	// ignoreFile reads an ignore file. The error is fs.ErrNotExist if the file is missing or a
	// directory, and regular.ErrNotRegular if it is another kind of file.
	ignoreFile(name string) ([]byte, error)
}

// directory is an open directory.
type directory interface {
	list() []entry
	// stat describes an entry, by its index in list, without following a link. regular is false if
	// it is no longer a regular file.
	stat(i int) (st Stat, regular bool, err error)
	close()
}

// ignoreFiles are the names of ignore files, weakest first.
var ignoreFiles = [...]string{".gitignore", ".digignore"}

// walker walks one folder.
type walker struct {
	src   source
	skip  func(base string) bool
	group *errgroup.Group
	mu    sync.Mutex
	Tree
}

func newWalker(ctx context.Context, src source, o *Options) (*walker, context.Context) {
	if o == nil {
		o = &Options{}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(o.Workers, 1))
	w := &walker{src: src, group: g, skip: o.Skip}
	if w.skip == nil {
		w.skip = func(string) bool { return false }
	}
	return w, ctx
}

// walk lists a directory and everything below it. rules apply in the directory.
func (w *walker) walk(ctx context.Context, name string, rules *ignore.List) (*Tree, error) {
	w.group.Go(func() error { return w.dir(ctx, name, rules, true) })
	if err := w.group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(w.Files, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(w.Unread)
	return &w.Tree, nil
}

// dir lists one directory and its subdirectories. top says that the walk begins there.
func (w *walker) dir(ctx context.Context, name string, rules *ignore.List, top bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d, err := w.src.open(name)
	if err != nil && !top && (isGone(err) || errors.Is(err, errNotDirectory)) {
		w.gone(name)
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	list := d.list()
	rules, err = w.rulesHere(name, list, rules)
	if err != nil {
		return err
	}
	files := make([]Found, 0, len(list))
	for i, e := range list {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		key := name + e.name
		switch {
		case w.skip(e.name) || !e.dir && !e.file || rules.Ignores(key, e.dir):
		case e.dir:
			if err := w.descend(ctx, key+"/", rules); err != nil {
				return err
			}
		default:
			st, is, err := d.stat(i)
			if errors.Is(err, fs.ErrNotExist) || err == nil && !is { // removed or replaced since
				w.gone(key)
				continue
			}
			if err != nil {
				return err
			}
			files = append(files, Found{key, st})
		}
	}
	w.mu.Lock()
	w.Files = append(w.Files, files...)
	w.mu.Unlock()
	return nil
}

// descend lists a subdirectory, on another goroutine if one is free.
func (w *walker) descend(ctx context.Context, name string, rules *ignore.List) error {
	list := func() error { return w.dir(ctx, name, rules, false) }
	if w.group.TryGo(list) {
		return nil
	}
	return list()
}

// gone records a name that was removed or replaced after it was listed.
func (w *walker) gone(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Gone = append(w.Gone, name)
}

// rulesHere adds a directory's own ignore files to the rules.
func (w *walker) rulesHere(name string, list []entry, rules *ignore.List) (*ignore.List, error) {
	var patterns []ignore.Pattern
	for _, file := range ignoreFiles {
		i := slices.IndexFunc(list, func(e entry) bool { return e.name == file && !e.dir })
		if i < 0 {
			continue
		}
		more, err := w.patterns(name+file, list[i].file)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, more...)
	}
	return rules.With(name, patterns), nil
}

// patterns reads one ignore file. If it is not a regular file, patterns does not open it and adds
// it to Unread.
func (w *walker) patterns(name string, isRegular bool) (list []ignore.Pattern, err error) {
	text, err := []byte(nil), error(regular.ErrNotRegular)
	if isRegular {
		text, err = w.src.ignoreFile(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, regular.ErrNotRegular):
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Unread = append(w.Unread, name)
		return nil, nil
	case err != nil:
		return nil, err
	}
	return ignore.Parse(text), nil
}

// isGone reports whether err says that a listed file was removed or replaced.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, regular.ErrNotRegular)
}

// global returns the rules of the options.
func global(o *Options) *ignore.List {
	if o == nil {
		return nil
	}
	return (*ignore.List)(nil).With("", ignore.Parse([]byte(strings.Join(o.Excludes, "\n"))))
}

func listError(err error) error { return fmt.Errorf("list content root: %w", err) }
