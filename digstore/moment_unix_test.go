//go:build unix

package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
)

// loop calls step repeatedly on another goroutine, until stop is called.
func loop(t *testing.T, step func(i int) error) (stop func()) {
	t.Helper()
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
			}
			if err := step(i); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func() { close(end); wg.Wait() }
}

// bytesOf reads one resource of a generation. It fails the test if there is none.
func bytesOf(t *testing.T, g *digstore.Generation, name string) []byte {
	t.Helper()
	p, err := g.Resource(name)
	check(t, err)
	b, err := io.ReadAll(p)
	check(t, err)
	return b
}

// reopened opens a store from the disk, by another instance, and verifies it.
func reopened(t *testing.T, root string) *digstore.Store {
	t.Helper()
	w, err := digstore.Open(filepath.Dir(root), nil)
	check(t, err)
	t.Cleanup(func() { w.Close() })
	s, err := w.Active()
	check(t, err)
	verifyAll(t, s)
	return s
}

// TestCommitOneMoment: files change, grow, shrink, vanish and are replaced during a commit. The
// commit has the content of each file at one moment, and the rest of the tree unchanged.
func TestCommitOneMoment(t *testing.T) {
	large := []byte(noise(1, 10<<20)) // more than the pipeline reads ahead
	swapped := bytes.Clone(large)
	swapped[0] ^= 1
	const small = "small file"
	appendTo := func(name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("more")
		return errors.Join(err, f.Close())
	}
	flipFirst := func(name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(swapped[:1], 0)
		return errors.Join(err, f.Close())
	}
	replace := func(name string, make func(temp string) error) error {
		return errors.Join(make(name+".new"), os.Rename(name+".new", name))
	}
	grown := func(b []byte) bool { return bytes.Equal(b, append(bytes.Clone(large), "more"...)) }
	for _, c := range []struct {
		name   string
		when   string // "listed", "reading"
		change func(large, small string) error
		gone   string                  // the file that is skipped
		want   func(large []byte) bool // nil: unchanged
	}{
		{"grows before it is read", "listed", func(l, _ string) error { return appendTo(l) }, "", grown},
		{"grows while it is read", "reading", func(l, _ string) error { return appendTo(l) }, "", grown},
		{"changes in place", "reading", func(l, _ string) error { return flipFirst(l) }, "",
			func(b []byte) bool { return bytes.Equal(b, swapped) }},
		{"shrinks", "reading", func(l, _ string) error { return os.Truncate(l, 9<<20) }, "",
			func(b []byte) bool { return bytes.Equal(b, large[:9<<20]) }},
		{"shrinks to a small one", "reading", func(l, _ string) error { return os.Truncate(l, 100) }, "",
			func(b []byte) bool { return bytes.Equal(b, large[:100]) }},
		{"shrinks to nothing", "reading", func(l, _ string) error { return os.Truncate(l, 0) }, "",
			func(b []byte) bool { return len(b) == 0 }},
		{"small one becomes large", "listed", func(l, s string) error { return os.WriteFile(s, large[:1<<20], 0o644) }, "", nil},
		{"removed before it is read", "listed", func(l, _ string) error { return os.Remove(l) }, "large", nil},
		{"small one removed", "listed", func(_, s string) error { return os.Remove(s) }, "dir/small", nil},
		{"folder removed", "listed", func(_, s string) error { return os.RemoveAll(filepath.Dir(s)) }, "dir/small", nil},
		{"removed while it is read", "reading", func(l, _ string) error { return os.Remove(l) }, "", nil},
		{"replaced by a pipe", "listed", func(l, _ string) error {
			return replace(l, func(n string) error { return syscall.Mkfifo(n, 0o600) })
		}, "large", nil},
		{"replaced by a link", "listed", func(l, s string) error {
			return replace(s, func(n string) error { return os.Symlink(l, n) })
		}, "dir/small", nil},
		{"replaced by a folder", "listed", func(_, s string) error {
			return errors.Join(os.Remove(s), os.Mkdir(s, 0o700))
		}, "dir/small", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := corpus.Small(1)
			tree["large"], tree["dir/small"] = large, []byte(small)
			s, root := site(t, nil, nil)
			check(t, tree.Write(root))
			var once sync.Once
			r, err := s.Commit(context.Background(), nil,
				&digstore.CommitOptions{Progress: func(done, total int64) {
					if (c.when == "reading") == (done > tree.Size()-int64(len(large))) || c.when == "listed" {
						once.Do(func() {
							check(t, c.change(filepath.Join(root, "large"), filepath.Join(root, "dir/small")))
						})
					}
				}})
			check(t, err)
			want := []string{}
			if c.gone != "" {
				want = append(want, c.gone)
			}
			if !slices.Equal(r.Skipped, want) && len(r.Skipped)+len(want) > 0 {
				t.Errorf("skipped %q, want %q", r.Skipped, want)
			}
			g, err := reopened(t, root).At(r.Generation.Info().Root)
			check(t, err)
			got := corpus.Tree{}
			names, unnamed, err := g.Names()
			check(t, err)
			if unnamed > 0 {
				t.Errorf("%d resources without a name", unnamed)
			}
			for _, n := range names {
				got[n] = bytesOf(t, g, n)
			}
			if c.gone == "" && c.want != nil && !c.want(got["large"]) {
				t.Errorf("large: %d bytes are not those of one moment", len(got["large"]))
			}
			if c.want != nil {
				got["large"] = large
			}
			if c.gone != "" {
				delete(tree, c.gone)
			}
			if strings.HasPrefix(c.name, "small one becomes") {
				tree["dir/small"] = large[:1<<20]
			}
			if d := corpus.Diff(tree, got); d != "" {
				t.Error(d)
			}
			// Status reads files that were skipped or truncated, and does not treat them as
			// committed.
			after, err := corpus.Read(root)
			check(t, err)
			st, err := s.Status(context.Background())
			check(t, err)
			if want := corpus.Diff(after, got) != "" && c.want == nil; c.gone == "" && st.Clean() == want {
				t.Errorf("status is clean: %t; %v", st.Clean(), st)
			}
		})
	}
}

// TestCommitChanging: a commit fails if a file is written in place all the time.
func TestCommitChanging(t *testing.T) {
	tree := corpus.Small(1)
	tree["busy"] = []byte(noise(1, 10<<20))
	s, root := site(t, nil, nil)
	check(t, tree.Write(root))
	f, err := os.OpenFile(filepath.Join(root, "busy"), os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	n := 0
	_, err = s.Commit(context.Background(), nil, &digstore.CommitOptions{Progress: func(int64, int64) {
		n++
		_, err := f.WriteAt([]byte{byte(n)}, 0)
		check(t, err)
		at := time.Now().Add(-time.Duration(n) * time.Minute)
		check(t, os.Chtimes(f.Name(), at, at))
	}})
	var changing *digstore.ChangingError
	if !errors.As(err, &changing) || !slices.Equal(changing.Names, []string{"busy"}) {
		t.Errorf("commit: %v", err)
	}
	if gens, err := reopened(t, root).Generations(context.Background()); err != nil || len(gens) != 0 {
		t.Errorf("generations %v, %v; want none", gens, err)
	}
	r, err := s.Commit(context.Background(), nil, nil)
	check(t, err)
	tree["busy"][0] = byte(n)
	g, err := reopened(t, root).At(r.Generation.Info().Root)
	check(t, err)
	if d := corpus.Diff(tree, contentOf(t, g, tree)); d != "" {
		t.Error(d)
	}
}

// TestCommitBesideLoops: other processes write all the time.
func TestCommitBesideLoops(t *testing.T) {
	const block = 4 << 20
	line := []byte(noise(3, 4096))
	s, root := site(t,
		files{"log": noise(1, block), "page": strings.Repeat("0", 700_000), "still": "1"}, nil)
	log, page := filepath.Join(root, "log"), filepath.Join(root, "page")
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	defer f.Close()
	stopLog := loop(t, func(i int) error {
		time.Sleep(100 * time.Microsecond)
		_, err := f.Write(line)
		return err
	})
	stopPage := loop(t, func(i int) error {
		text := strings.Repeat(string(rune('0'+i%10)), 700_000+i%7)
		return errors.Join(os.WriteFile(page+".tmp~", []byte(text), 0o644), os.Rename(page+".tmp~", page))
	})
	check(t, os.WriteFile(filepath.Join(root, ".gitignore"), []byte("*.tmp~\n"), 0o644))
	r, err := s.Commit(context.Background(), nil, nil)
	stopLog()
	stopPage()
	check(t, err)
	if len(r.Skipped) > 0 {
		t.Errorf("skipped %q", r.Skipped)
	}
	g, err := reopened(t, root).At(r.Generation.Info().Root)
	check(t, err)
	whole, err := os.ReadFile(log)
	check(t, err)
	if b := bytesOf(t, g, "log"); len(b) < block || !bytes.HasPrefix(whole, b) {
		t.Errorf("log: %d bytes, which the file does not begin with", len(b))
	}
	if b := bytesOf(t, g, "page"); strings.Trim(string(b), string(b[0])) != "" || len(b) < 700_000 {
		t.Errorf("page: %d bytes of two versions", len(b))
	}
	// The rest of the log is not lost.
	_, err = s.Commit(context.Background(), nil, nil)
	check(t, err)
	head, err := reopened(t, root).Latest()
	check(t, err)
	if b := bytesOf(t, head, "log"); !bytes.Equal(b, whole) {
		t.Errorf("log: %d bytes at rest, want %d", len(b), len(whole))
	}
}

// TestStageOneMoment is TestCommitOneMoment for staged files.
func TestStageOneMoment(t *testing.T) {
	ctx := context.Background()
	s, root := site(t, files{"log": noise(1, 3<<20), "gone": "1", "pipe": "2", "still": "3",
		"other": noise(3, 400_000)}, nil)
	log := filepath.Join(root, "log")
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	defer f.Close()
	stop := loop(t, func(int) error {
		_, err := f.WriteString(noise(2, 4096))
		time.Sleep(50 * time.Microsecond)
		return err
	})
	defer func() { stop() }()
	var skipped []string
	var once sync.Once
	list, err := s.StageFiles(ctx, os.DirFS(root), nil, &digstore.StageOptions{
		Skipped: func(name string) { skipped = append(skipped, name) },
		Progress: func(int64, int64) {
			once.Do(func() { check(t, os.Remove(filepath.Join(root, "gone"))) })
		},
	})
	check(t, err)
	if len(list) != 4 || !slices.Equal(skipped, []string{"gone"}) {
		t.Errorf("staged %v, skipped %q", list, skipped)
	}
	one, err := s.StageFile(ctx, "copy", log)
	check(t, err)
	stop()
	stop = func() {}
	r, err := s.Commit(ctx, nil, nil)
	check(t, err)
	whole, err := os.ReadFile(log)
	check(t, err)
	for name, size := range map[string]int64{"log": list[0].Size, "copy": one.Size} {
		if b := bytesOf(t, r.Generation, name); int64(len(b)) != size || len(b) < 3<<20 ||
			!bytes.HasPrefix(whole, b) {
			t.Errorf("%s: %d bytes, %d were said, which the file does not begin with", name, len(b), size)
		}
	}
	pipe := filepath.Join(root, "fifo")
	check(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, "/dev/zero", root, filepath.Join(root, "none")} {
		if _, err := s.StageFile(ctx, "x", path); err == nil {
			t.Errorf("%s was staged", path)
		}
	}
	if list, err := s.Staged(); err != nil || len(list) != 0 {
		t.Errorf("staged %v, %v; want nothing", list, err)
	}
}
