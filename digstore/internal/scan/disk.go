package scan

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dig-network/digstore/digstore/internal/ignore"
	"github.com/dig-network/digstore/internal/regular"
)

// maxIgnore is the limit of an ignore file in bytes.
const maxIgnore = 4 << 20

// Walk lists the folder root of the disk. The folder itself may be a link.
func Walk(ctx context.Context, root string, o *Options) (*Tree, error) {
	w, ctx := newWalker(ctx, &disk{root: root}, o)
	rules := global(o)
	if o != nil && o.Workspace != "" {
		var err error
		if rules, err = w.rulesAbove(o.Workspace, root, rules); err != nil {
			return nil, err
		}
	}
	tree, err := w.walk(ctx, "", rules)
	if err != nil {
		return nil, listError(err)
	}
	return tree, nil
}

// rulesAbove adds the rules of .git/info/exclude, and of the folders from that of the workspace
// down to the parent of root.
func (w *walker) rulesAbove(workspace, root string, rules *ignore.List) (*ignore.List, error) {
	top, err := filepath.Abs(workspace)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(top, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return rules, nil
	}
	below := filepath.ToSlash(rel)
	if below == "." {
		below = ""
	}
	patterns, err := gitExclude(filepath.Join(top, ".git"))
	if err != nil {
		return nil, err
	}
	for at := top; below != ""; {
		more, err := w.patternsAt(at)
		if err != nil {
			return nil, err
		}
		rules = rules.WithAbove(below+"/", append(patterns, more...))
		patterns = nil
		var step string
		step, below, _ = strings.Cut(below, "/")
		at = filepath.Join(at, step)
	}
	return rules.With("", patterns), nil
}

// patternsAt reads the ignore files of a folder above the root.
func (w *walker) patternsAt(dir string) (patterns []ignore.Pattern, err error) {
	for _, name := range ignoreFiles {
		path := filepath.Join(dir, name)
		text, err := readIgnore(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, regular.ErrNotRegular):
			w.Unread = append(w.Unread, filepath.ToSlash(path))
			continue
		case err != nil:
			return nil, err
		}
		patterns = append(patterns, ignore.Parse(text)...)
	}
	return patterns, nil
}

// gitExclude reads .git/info/exclude. There are no rules if .git is a file, as in a linked work
// tree, or if info/exclude is not a regular file.
func gitExclude(git string) ([]ignore.Pattern, error) {
	info, err := os.Stat(git)
	if err != nil || !info.IsDir() {
		return nil, nil
	}
	text, err := regular.ReadFile(filepath.Join(git, "info", "exclude"), maxIgnore)
	if isGone(err) {
		return nil, nil
	}
	return ignore.Parse(text), err
}

// readIgnore reads an ignore file. It does not follow a link, which is regular.ErrNotRegular. A
// directory is fs.ErrNotExist.
func readIgnore(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, regular.ErrNotRegular
	}
	return regular.ReadFile(path, maxIgnore)
}

// disk is a folder of the disk.
type disk struct {
	root    string
	scratch sync.Pool // of *[]byte
}

func (d *disk) open(name string) (directory, error) {
	buf, _ := d.scratch.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
		*buf = make([]byte, 32<<10)
	}
	defer d.scratch.Put(buf)
	l, err := openListing(filepath.Join(d.root, filepath.FromSlash(name)), *buf, name == "")
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (d *disk) ignoreFile(name string) ([]byte, error) {
	return readIgnore(filepath.Join(d.root, filepath.FromSlash(name)))
}

func (l *listing) list() []entry { return l.entries }
