package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
)

func (a *app) addCommand() *cobra.Command {
	var key string
	var all, skipUnsafe bool
	cmd := &cobra.Command{
		Use:   "add [PATH...]",
		Short: "Stage files for the next commit",
		Long: `Add puts files into the staging area. The next commit makes a generation of
exactly the staged files; files of the previous generation are not carried over.
When nothing is staged, commit takes the whole content root, so add is not
needed to publish a folder.

The name of a file is its path below the content root, or below the current
folder when the store has no content root. Folders are added with all files
below them, except those that .gitignore or .digignore excludes. --key gives a
single file, or standard input ("-"), another name. A name that a checkout
cannot write as a file is refused; --skip-unsafe leaves such files out.`,
		Example: `  digstore add --all
  digstore add site/index.html site/img
  digstore add --key about.html /tmp/draft.html
  echo hello | digstore add --key hello.txt -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usage("usage: "+cmd.UseLine(), "add: give paths, or --all")
			}
			if key != "" && len(args) != 1 {
				return usage("usage: digstore add --key KEY FILE", "--key takes exactly one file")
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.add(cmd.Context(), s, args, key, skipUnsafe)
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the name (`KEY`) of the file; only with one file")
	cmd.Flags().BoolVarP(&all, "all", "A", false, "stage the whole content root")
	cmd.Flags().BoolVar(&skipUnsafe, "skip-unsafe", false,
		"leave out files whose names a checkout refuses")
	return cmd
}

func (a *app) add(ctx context.Context, s *digstore.Store, paths []string, key string,
	skipUnsafe bool) error {
	a.resume = "the files staged so far are kept; run the same command again"
	p := a.progress("staging")
	defer p.stop()
	var skipped []string
	var err error
	if key != "" {
		err = stageOne(ctx, s, key, paths[0], a.input)
	} else {
		skipped, err = a.stage(ctx, s, paths, skipUnsafe, p.set)
	}
	if err != nil {
		return err
	}
	staged, err := s.Staged()
	if err != nil {
		return err
	}
	p.stop()
	a.warnSkipped("staged", skipped)
	var total int64
	for _, f := range staged {
		total += f.Size
	}
	return a.done(struct {
		Store   string   `json:"store"`
		Staged  int      `json:"staged"`
		Bytes   int64    `json:"bytes"`
		Skipped []string `json:"skipped,omitempty"`
	}{s.Name(), len(staged), total, skipped}, "%s staged, %s", plural(len(staged), "file", "files"),
		size(total))
}

// stage stages paths below the content root, or below the current folder if the
// store has none. It returns the files that were removed while it ran.
func (a *app) stage(ctx context.Context, s *digstore.Store, paths []string, skipUnsafe bool,
	progress func(done, total int64)) (skipped []string, err error) {
	if err := a.confirmContentRoot(s); err != nil {
		return nil, err
	}
	base := s.ContentRoot()
	if base == "" {
		if len(paths) == 0 {
			return nil, usage("name the files to add, or use a store made with init --dir DIR",
				"store %s has no content root", s.Name())
		}
		base = "."
	}
	base, err = filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	patterns := []string{"."}
	if len(paths) > 0 {
		patterns = patterns[:0]
	}
	for _, path := range paths {
		name, err := below(base, path)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, name)
	}
	_, err = s.StageFiles(ctx, os.DirFS(base), patterns, &digstore.StageOptions{
		Progress: progress,
		Skipped:  func(name string) { skipped = append(skipped, name) },
		Unsafe: func(refused []digstore.KeyNameError) error {
			if !skipUnsafe {
				return addUnsafe(refused)
			}
			a.listUnsafe(refused)
			return nil
		},
	})
	return skipped, err
}

// below returns the resource name of a path: the path relative to base.
func below(base, path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(base, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", usage("add it under a name with --key KEY", "%s is outside of %s", path, base)
	}
	if _, err := os.Lstat(abs); err != nil {
		return "", err
	}
	return filepath.ToSlash(rel), nil
}

// addUnsafe returns the error for names that a commit refuses.
func addUnsafe(refused []digstore.KeyNameError) error {
	return &hinted{&digstore.UnsafeNamesError{Names: refused},
		"give them other names with --key, or leave them out with --skip-unsafe"}
}

// stageOne stages one file, or standard input for "-", under a key.
func stageOne(ctx context.Context, s *digstore.Store, key, path string, in io.Reader) error {
	refused, err := s.CheckStaging(key)
	if err != nil {
		return err
	}
	if len(refused) > 0 {
		return addUnsafe(refused)
	}
	if path == "-" {
		return s.Stage(ctx, key, in)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usage("name a file", "--key %s: %s is a folder", oneline.Name(key), path)
	}
	_, err = s.StageFile(ctx, key, path)
	if errors.Is(err, fs.ErrInvalid) {
		return &hinted{err, "to publish this file, copy it to another folder first"}
	}
	if err != nil {
		return fmt.Errorf("stage %s: %w", path, err)
	}
	return nil
}
