package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/internal/regular"
)

// statKey is what tells that a file has not changed: equal keys, equal content, but for files that changed in the
// very moment in which they were read (see statIndex).
type statKey struct {
	size  int64
	mtime int64 // nanoseconds since 1970
	ctime int64 // the same, 0 where the system has none
	inode uint64
	mode  uint32
}

// errNotDirectory is the reason why a name that was listed as a directory cannot be listed itself.
var errNotDirectory = errors.New("not a directory")

// found is a file below a content root.
type found struct {
	name string // its resource key
	stat statKey
}

// walked is what a walk found in a content root.
type walked struct {
	files  []found  // sorted by name
	gone   []string // names that were listed and are not there any more; those of folders end in a slash
	unread []string // ignore files that are no regular files, which do not count, as in git; sorted
}

// walker lists the files of a content root: regular files, dot files included, without what ignore files name,
// without settingsDirs, whatever they are. Symbolic links are not followed and not listed.
type walker struct {
	root  string
	group *errgroup.Group
	mu    sync.Mutex
	walked

	scratch sync.Pool // of *[]byte
}

// dirEntry is one name in a directory; neither file nor dir for what is something else.
type dirEntry struct {
	name      string
	file, dir bool
}

// walk lists root, on several goroutines.
func (w *Workspace) walk(ctx context.Context, root string) (*walked, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.workers)
	wk := &walker{root: root, group: g}
	rules, err := wk.rulesAbove(w)
	if err != nil {
		return nil, err
	}
	g.Go(func() error { return wk.dir(ctx, "", rules) })
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("list content root: %w", err)
	}
	slices.SortFunc(wk.files, func(a, b found) int { return strings.Compare(a.name, b.name) })
	sortNames(wk.unread)
	return &wk.walked, nil
}

// rulesAbove gathers the ignore rules that hold for root as a whole: those of the options, of .git/info/exclude, and of the
// directories from the workspace's folder down to root.
func (wk *walker) rulesAbove(w *Workspace) (*ignoreList, error) {
	var rules *ignoreList
	rules = rules.with("", parseIgnore([]byte(strings.Join(w.excludes, "\n"))))
	top, err := filepath.Abs(w.dir)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(wk.root)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(top, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return rules, nil
	}
	rel = filepath.ToSlash(rel)
	if rel == "." {
		rel = ""
	}
	at, below := top, rel
	for first := true; ; first = false {
		var patterns []ignorePattern
		if first {
			if patterns, err = readExclude(filepath.Join(at, ".git")); err != nil {
				return nil, err
			}
		}
		if below != "" {
			for _, name := range ignoreFiles {
				more, err := wk.rulesIn(filepath.Join(at, name), filepath.Join(at, name))
				if err != nil {
					return nil, err
				}
				patterns = append(patterns, more...)
			}
		}
		if len(patterns) > 0 {
			rules = rules.with("", patterns)
			if below != "" {
				rules.above = below + "/"
			}
		}
		if below == "" {
			return rules, nil
		}
		var step string
		step, below, _ = strings.Cut(below, "/")
		at = filepath.Join(at, step)
	}
}

// dir lists one directory, whose name is "" or ends in "/".
func (wk *walker) dir(ctx context.Context, name string, rules *ignoreList) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	full := filepath.Join(wk.root, filepath.FromSlash(name))
	buf, _ := wk.scratch.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
		*buf = make([]byte, 32<<10)
	}
	d, err := openListing(full, *buf, name == "")
	wk.scratch.Put(buf)
	if err != nil && name != "" && (isGone(err) || errors.Is(err, errNotDirectory)) {
		wk.missed(name)
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	rules, err = wk.rulesHere(full, name, d.entries, rules)
	if err != nil {
		return err
	}
	files := make([]found, 0, len(d.entries))
	for _, e := range d.entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		base := e.name
		key := name + base
		switch {
		case isSettingsDir(base):
		case e.dir:
			if rules.ignores(key, true) {
				continue
			}
			sub := key + "/"
			if !wk.group.TryGo(func() error { return wk.dir(ctx, sub, rules) }) {
				if err := wk.dir(ctx, sub, rules); err != nil {
					return err
				}
			}
		case e.file:
			if rules.ignores(key, false) {
				continue
			}
			st, err := d.stat(base)
			if errors.Is(err, fs.ErrNotExist) || err == nil && !st.regular() { // removed or replaced since
				wk.missed(key)
				continue
			}
			if err != nil {
				return err
			}
			files = append(files, found{key, st})
		}
	}
	wk.mu.Lock()
	wk.files = append(wk.files, files...)
	wk.mu.Unlock()
	return nil
}

// missed notes a name that was listed and is not there any more.
func (wk *walker) missed(name string) {
	wk.mu.Lock()
	defer wk.mu.Unlock()
	wk.gone = append(wk.gone, name)
}

// rulesHere adds a directory's own ignore files to the rules.
func (wk *walker) rulesHere(full, name string, list []dirEntry, rules *ignoreList) (*ignoreList, error) {
	var patterns []ignorePattern
	for _, file := range ignoreFiles {
		if !slices.ContainsFunc(list, func(e dirEntry) bool { return e.name == file && !e.dir }) {
			continue
		}
		more, err := wk.rulesIn(filepath.Join(full, file), name+file)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, more...)
	}
	return rules.with(name, patterns), nil
}

// rulesIn reads one ignore file. A link is not followed and, like anything else that is no regular file, has no
// patterns: it is noted under its name.
func (wk *walker) rulesIn(full, name string) ([]ignorePattern, error) {
	info, err := os.Lstat(full)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var patterns []ignorePattern
	if err = regular.ErrNotRegular; info.Mode().IsRegular() {
		patterns, err = readIgnore(full)
	}
	if errors.Is(err, regular.ErrNotRegular) {
		wk.mu.Lock()
		defer wk.mu.Unlock()
		wk.unread = append(wk.unread, filepath.ToSlash(name))
		return nil, nil
	}
	return patterns, err
}

// readExclude reads the rules that git keeps beside the work tree. It has none where git is a file, as in a linked
// work tree, or where info/exclude is no regular file.
func readExclude(git string) ([]ignorePattern, error) {
	info, err := os.Stat(git)
	if err != nil || !info.IsDir() {
		return nil, nil
	}
	patterns, err := readIgnore(filepath.Join(git, "info", "exclude"))
	if errors.Is(err, regular.ErrNotRegular) {
		return nil, nil
	}
	return patterns, err
}

// readIgnore reads an ignore file; no patterns when there is none.
func readIgnore(full string) ([]ignorePattern, error) {
	text, err := regular.ReadFile(full, maxIgnore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseIgnore(text), err
}
