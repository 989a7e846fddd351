//go:build unix

package digstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestIgnoreNotRegular: an ignore file that is not a regular file has no patterns, is never opened,
// and is reported. A file or link named .git is left out like the folder. Commit, status and stage
// agree.
func TestIgnoreNotRegular(t *testing.T) {
	link := func(to string) func(string) error {
		return func(name string) error { return os.Symlink(to, name) }
	}
	for _, c := range []struct {
		name   string
		make   func(name string) error
		unread bool
	}{
		{"link", link("patterns"), true},
		{"link to nothing", link("none"), true},
		{"link to a device", link("/dev/zero"), true},
		{"link to a folder", link("."), true},
		{"pipe", func(name string) error { return syscall.Mkfifo(name, 0o600) }, true},
		{"folder", func(name string) error { return os.Mkdir(name, 0o700) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			content := files{"patterns": "*\n", "a": "1", "sub/b": "2"}
			s, root := site(t, content, nil)
			write(t, root, files{"w/.git": "gitdir: ../x\n", "w/c": "3", "v/.Git": "x", "u/.hg": "x"})
			content["w/c"] = "3"
			check(t, os.Symlink("..", filepath.Join(root, "sub/.git")))
			for _, name := range []string{".gitignore", "sub/.digignore"} {
				check(t, c.make(filepath.Join(root, name)))
			}
			var unread []string
			if c.unread {
				unread = []string{".gitignore", "sub/.digignore"}
			}
			st, err := s.Status(ctx)
			check(t, err)
			if !slices.Equal(st.Unread, unread) || len(st.Added) != len(content) {
				t.Errorf("status: unread %q, added %q; want %q", st.Unread, st.Added, unread)
			}
			r, err := s.Commit(ctx, nil, nil)
			check(t, err)
			if !slices.Equal(r.Unread, unread) {
				t.Errorf("commit: unread %q, want %q", r.Unread, unread)
			}
			g, err := reopened(t, root).At(r.Generation.Info().Root)
			check(t, err)
			wantFiles(t, g, content)
			list, err := s.StageFiles(ctx, os.DirFS(root), nil, nil)
			check(t, err)
			if len(list) != len(content) {
				t.Errorf("staged %v, want %d files", list, len(content))
			}
			for _, name := range []string{"w/.git", "v/.Git", "sub/.git"} {
				if err := s.StageFS(ctx, os.DirFS(root), name); err == nil {
					t.Errorf("%s was staged", name)
				}
			}
		})
	}
}

// TestWalkCancelled: a context that ends stops the listing of one large folder with many patterns.
func TestWalkCancelled(t *testing.T) {
	content := files{}
	for i := range 2000 {
		content[fmt.Sprintf("d/%04d%s", i, strings.Repeat("a", 150))] = ""
	}
	content["d/.gitignore"] = strings.Repeat("*a*b*c*d\n", 20_000)
	s, _ := site(t, content, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := s.Commit(ctx, nil, nil); err == nil {
		t.Error("it was committed in time: the test says nothing")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v to stop", d)
	}
}
