package digstore_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
)

// coarse mounts a file system with time stamps in whole seconds, or skips the test.
func coarse(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system with coarse times")
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	for _, line := range [][]string{
		{"truncate", "-s", "32M", image}, {"mkfs.ext4", "-q", "-F", "-I", "128", image}, {"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system with coarse times: %s: %v: %s", strings.Join(line, " "), err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// TestCommitCoarseTimes: an edit in the second of the commit, with the same size and times, is
// detected.
func TestCommitCoarseTimes(t *testing.T) {
	t.Run("all on the coarse disk", func(t *testing.T) {
		dir := coarse(t)
		editsAreSeen(t, dir, filepath.Join(dir, "site"))
	})
	t.Run("only the content", func(t *testing.T) {
		editsAreSeen(t, t.TempDir(), filepath.Join(coarse(t), "site"))
	})
}

// editsAreSeen edits files of the content root again and again, right after each commit of the
// workspace in dir.
func editsAreSeen(t *testing.T, dir, root string) {
	ctx := context.Background()
	want := among(corpus.Small(1), files{"a": "0", "large": noise(1, 1<<20), "still": "1"})
	write(t, root, want)
	o := &digstore.Options{ContentRoots: []string{root}}
	w, err := digstore.Init(dir, o)
	check(t, err)
	s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{ContentRoot: root})
	check(t, err)
	_, err = s.Commit(ctx, nil, nil)
	check(t, err)
	missed := func(text string) {
		t.Helper()
		large := noise(uint64(text[0]), 1<<20)
		for _, name := range []string{"a", "large"} { // in place: same inode
			f, err := os.OpenFile(filepath.Join(root, name), os.O_WRONLY, 0)
			check(t, err)
			_, err = f.WriteString(map[string]string{"a": text, "large": large}[name])
			check(t, err)
			check(t, f.Close())
		}
		check(t, w.Close())
		w, err = digstore.Open(dir, o)
		check(t, err)
		s, err = w.Active()
		check(t, err)
		st, err := s.Status(ctx)
		check(t, err)
		if !slices.Equal(st.Modified, []string{"a", "large"}) {
			t.Fatalf("edit %s: modified %q, want a and large", text, st.Modified)
		}
		r, err := s.Commit(ctx, nil, nil)
		check(t, err)
		want["a"], want["large"] = text, large
		wantFiles(t, r.Generation, want)
	}
	defer func() { w.Close() }()
	for _, text := range []string{"2", "3", "4"} {
		missed(text)
	}
	// Old files are not read again.
	old := time.Now().Add(-time.Hour)
	for name := range want {
		check(t, os.Chtimes(filepath.Join(root, name), old, old))
	}
	time.Sleep(3100 * time.Millisecond)
	if _, err := s.Commit(ctx, nil, nil); err == nil {
		t.Fatal("nothing changed, and a generation was made")
	}
	want["new"] = "5"
	write(t, root, files{"new": "5"})
	r, err := s.Commit(ctx, nil, nil)
	check(t, err)
	if r.Changed != 1 {
		t.Errorf("%d files were read, want the new one", r.Changed)
	}
	missed("6")
}
