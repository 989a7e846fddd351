package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/internal/sealer"
)

func sortNames(list []string) { slices.SortFunc(list, strings.Compare) }

// StageOptions are settings of StageFiles. nil and the zero value mean the defaults.
type StageOptions struct {
	// Progress is called with the bytes of content that are staged and that are to be staged.
	Progress func(done, total int64)
	// Skipped is called with the name of each file that was found and then removed, or replaced by
	// something other than a regular file, before it was read. Such a file is not staged.
	Skipped func(name string)
	// Unsafe is called, before anything is staged, with the names that a commit would refuse,
	// sorted; see Store.CheckStaging. If it returns nil, the files of these names are not staged.
	// An error ends the staging. Default: the files are staged, and the commit refuses them or
	// leaves them out.
	Unsafe func(refused []KeyNameError) error
}

// CheckStaging returns the names that a commit would refuse, sorted, if names were staged in
// addition to what is staged. Names that it would refuse without them are not returned.
func (s *Store) CheckStaging(names ...string) ([]KeyNameError, error) {
	staged, err := s.Staged()
	if err != nil {
		return nil, err
	}
	all := make([]string, 0, len(staged)+len(names))
	for _, f := range staged {
		all = append(all, f.Name)
	}
	slices.Sort(all)
	known := map[string]bool{}
	for _, r := range checkNames(all) {
		known[r.Key] = !slices.Contains(names, r.Key)
	}
	all = append(all, names...)
	slices.Sort(all)
	refused := checkNames(slices.Compact(all))
	return slices.DeleteFunc(refused, func(r KeyNameError) bool { return known[r.Key] }), nil
}

// leaveOutUnsafe calls o.Unsafe if a commit would refuse names, and removes these from list.
func (s *Store) leaveOutUnsafe(list []Staged, o *StageOptions) ([]Staged, error) {
	if o.Unsafe == nil {
		return list, nil
	}
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Name
	}
	refused, err := s.CheckStaging(names...)
	if err != nil || len(refused) == 0 {
		return list, err
	}
	if err := o.Unsafe(refused); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(f Staged) bool {
		return slices.ContainsFunc(refused, func(r KeyNameError) bool { return r.Key == f.Name })
	}), nil
}

// StageFS stages files of fsys under their names. A pattern names a file, or a directory with
// everything below it, or is a pattern of path.Match. No pattern means everything. Directories are
// walked like a content root: files that begin with a dot are included; files that .gitignore or
// .digignore exclude, .dig, .git, and what is not a regular file are not. A file that a pattern
// names is staged even if it is excluded, except if it is, or lies in, .dig or .git. A pattern
// without a match is fs.ErrNotExist, and then nothing is staged.
func (s *Store) StageFS(ctx context.Context, fsys fs.FS, patterns ...string) error {
	_, err := s.StageFiles(ctx, fsys, patterns, nil)
	return err
}

// StageFiles is StageFS with options. It returns what it staged, sorted by name.
func (s *Store) StageFiles(ctx context.Context, fsys fs.FS, patterns []string,
	o *StageOptions) ([]Staged, error) {
	if o == nil {
		o = &StageOptions{}
	}
	list, err := s.w.listFS(ctx, fsys, patterns)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	if list, err = s.leaveOutUnsafe(list, o); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	var staged []Staged
	var total, done int64
	for _, f := range list {
		total += f.Size
	}
	if o.Progress != nil {
		o.Progress(0, total)
	}
	err = s.stage(ctx, func(add func(string, io.Reader) error) error {
		for _, f := range list {
			size, err := addFile(ctx, f.Name, func() (fs.File, error) { return fsys.Open(f.Name) }, add)
			if sealer.IsGone(err) {
				if o.Skipped != nil {
					o.Skipped(f.Name)
				}
				continue
			}
			if err != nil {
				return err
			}
			staged = append(staged, Staged{f.Name, size})
			done += size
			if o.Progress != nil {
				o.Progress(done, max(total, done))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return staged, nil
}

// scan lists the files of a content root.
func (w *Workspace) scan(ctx context.Context, root string) (*scan.Tree, error) {
	return scan.Walk(ctx, root, w.scanOptions())
}

func (w *Workspace) scanOptions() *scan.Options {
	return &scan.Options{Workers: w.workers, Excludes: w.excludes, Workspace: w.dir,
		Skip: isSettingsDir}
}

// listFS returns the files that match the patterns, each once, sorted by name.
func (w *Workspace) listFS(ctx context.Context, fsys fs.FS, patterns []string) ([]Staged, error) {
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	found := map[string]int64{}
	for _, p := range patterns {
		p = path.Clean(strings.TrimSuffix(p, "/"))
		matches := []string{p}
		if _, err := fs.Stat(fsys, p); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if matches, err = fs.Glob(fsys, p); err != nil {
				return nil, fmt.Errorf("pattern %q: %w", p, err)
			}
		}
		before := len(found)
		for _, m := range matches {
			if err := w.listOne(ctx, fsys, m, found); err != nil {
				return nil, err
			}
		}
		if len(matches) == 0 || len(found) == before && !anyBelow(found, matches) {
			return nil, fmt.Errorf("pattern %q matches no files: %w", p, fs.ErrNotExist)
		}
	}
	list := make([]Staged, 0, len(found))
	for n, size := range found {
		list = append(list, Staged{n, size})
	}
	slices.SortFunc(list, func(a, b Staged) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// anyBelow reports whether one of the names, or something below it, was found before.
func anyBelow(found map[string]int64, names []string) bool {
	for _, n := range names {
		for f := range found {
			if f == n || n == "." || strings.HasPrefix(f, n+"/") {
				return true
			}
		}
	}
	return false
}

// listOne adds a file, or the files below a directory.
func (w *Workspace) listOne(ctx context.Context, fsys fs.FS, name string,
	found map[string]int64) error {
	if slices.ContainsFunc(strings.Split(name, "/"), isSettingsDir) {
		return &KeyNameError{name, "settings of a program are not published"}
	}
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", name)
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("%s: resource name is not UTF-8", name)
		}
		found[name] = info.Size()
		return nil
	}
	tree, err := scan.FS(ctx, fsys, name, w.scanOptions())
	if err != nil {
		return err
	}
	for _, f := range tree.Files {
		if !utf8.ValidString(f.Name) {
			return fmt.Errorf("%s: resource name is not UTF-8", f.Name)
		}
		found[f.Name] = f.Stat.Size
	}
	return nil
}
