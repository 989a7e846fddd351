package capsule_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func mustOpenDir(t *testing.T, dir string, o *capsule.DirOptions) *capsule.Dir {
	t.Helper()
	s, err := capsule.OpenDir(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// store puts and commits the capsules of a manifest whose contents are given.
func store(t *testing.T, s capsule.Store, m *capsule.Manifest, contents ...[]byte) error {
	t.Helper()
	for i, d := range m.Capsules {
		if err := s.Put(t.Context(), d, bytes.NewReader(contents[i])); err != nil {
			return err
		}
	}
	return s.Commit(t.Context(), m)
}

// whole checks that the head of a store is one of the generations given, with all of its
// content, and returns
// its index: -1 when there is none.
func whole(t *testing.T, s *capsule.Dir, generations ...*capsule.Manifest) int {
	t.Helper()
	head, err := s.Manifest(t.Context(), generations[0].Store, merkle.Hash{})
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range generations {
		if m.Root != head.Root {
			continue
		}
		for _, d := range head.Capsules {
			rc, err := s.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, capsule.VerifyReader(rc, d)); err != nil {
				t.Fatal(err)
			}
			rc.Close()
		}
		return i
	}
	t.Fatalf("head %v is none of those committed", head.Root)
	return 0
}

// Every file operation fails in turn: the error comes back, the store is the old or the new
// one, and the same
// calls succeed afterwards.
func TestDirFailures(t *testing.T) {
	contents := [][]byte{pattern(1, 5000), pattern(2, 10), pattern(3, 0)}
	first, second := manifestOf(1, contents[:1]...), manifestOf(1, contents...)
	for n := 1; ; n++ {
		dir := t.TempDir()
		s := mustOpenDir(t, dir, nil)
		if err := store(t, s, first, contents...); err != nil {
			t.Fatal(err)
		}
		s.Close()
		failing := diskfs.Fail(diskfs.OS(), n, fs.ErrPermission, nil)
		s, err := capsule.OpenDirOn(failing, dir, nil)
		if err == nil {
			err = store(t, s, second, contents...)
			s.Close()
		}
		if !failing.Failed() {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations", n-1)
			return
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("operation %d: %v", n, err)
		}
		s = mustOpenDir(t, dir, nil)
		if got := whole(t, s, first, second); got < 0 || err == nil && got != 1 {
			t.Fatalf("operation %d: generation %d after %v", n, got, err)
		}
		if err := store(t, s, second, contents...); err != nil || whole(t, s, first, second) != 1 {
			t.Fatalf("operation %d, again: %v", n, err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
			t.Fatalf("operation %d: %v is left, %v", n, left, err)
		}
		s.Close()
	}
}

// The power goes at every file operation: what is found then is the old store or the new one,
// and the new one
// for certain once Commit has returned.
func TestDirCrashes(t *testing.T) {
	contents := [][]byte{pattern(1, 5000), pattern(2, 10), pattern(3, 0)}
	first, second := manifestOf(1, contents[:1]...), manifestOf(1, contents...)
	seeds := uint64(4)
	if vectors.Long(t) {
		seeds = 40
	}
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/d")
		s, err := capsule.OpenDirOn(disk, "/d/store", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store(t, s, first, contents...); err != nil {
			t.Fatal(err)
		}
		s.Close()
		disk.StopAfter(n)
		s, err = capsule.OpenDirOn(disk, "/d/store", nil)
		if err == nil {
			err = store(t, s, second, contents...)
		}
		for seed := range seeds {
			after := disk.Recover(seed)
			s, oerr := capsule.OpenDirOn(after, "/d/store", nil)
			if oerr != nil {
				t.Fatalf("operation %d, seed %d: %v", n, seed, oerr)
			}
			if got := whole(t, s, first, second); got < 0 || err == nil && got != 1 {
				t.Fatalf("operation %d, seed %d: generation %d after %v", n, seed, got, err)
			}
			if err := store(t, s, second, contents...); err != nil ||
				whole(t, s, first, second) != 1 {
				t.Fatalf("operation %d, seed %d, again: %v", n, seed, err)
			}
		}
		if err == nil {
			t.Logf("%d operations", n-1)
			return
		}
	}
}

// A directory that others have filled: links are not followed, FIFOs do not block, damage is an
// error and never
// an absence, other names are ignored.
func TestDirHostile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links and FIFOs are made with Unix calls")
	}
	contents := [][]byte{pattern(1, 5000), pattern(2, 10)}
	m := manifestOf(1, contents...)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, contents[0], 0o644); err != nil {
		t.Fatal(err)
	}
	replace := func(t *testing.T, name string, with func(name string) error) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(name), with(name)); err != nil {
			t.Fatal(err)
		}
	}
	file := func(text string) func(string) error {
		return func(name string) error { return os.WriteFile(name, []byte(text), 0o644) }
	}
	link := func(to string) func(string) error {
		return func(name string) error { return os.Symlink(to, name) }
	}
	content := filepath.Join("capsules", m.Capsules[0].Hash.String())
	manifest := filepath.Join("stores", m.Store.String(), m.Root.String()+".json")
	head := filepath.Join("stores", m.Store.String(), "head")
	other := manifestOf(1, contents[0])
	for _, c := range []struct {
		name, what string
		with       func(string) error
		opens      bool // the capsule
		found      bool // the head
	}{
		{"nothing", "other", file("x"), true, true},
		{"content is a link", content, link(outside), false, true},
		{"content is a FIFO", content, mkfifo, false, true},
		{"content is a directory", content, func(name string) error {
			return os.Mkdir(name,
				0o755)
		}, false, true},
		{"content is short", content, file("x"), false, true},
		{"manifest is a link", manifest, link(outside), true, false},
		{"manifest is a FIFO", manifest, mkfifo, true, false},
		{"manifest is damaged", manifest, file(`{"datastore_id":1}`), true, false},
		{"manifest is another's", manifest, file(string(must(other.MarshalJSON()))), true, false},
		{"manifest is another store's", manifest,
			file(string(must(manifestOf(2, contents...).MarshalJSON()))), true, false},
		{"manifest is gone", manifest, func(string) error { return nil }, true, false},
		{"head is a link", head, link(outside), true, false},
		{"head is a FIFO", head, mkfifo, true, false},
		{"head is empty", head, file(""), true, false},
		{"head is zero", head, file(strings.Repeat("0", 64) + "\n"), true, false},
		{"head is long", head, file(strings.Repeat("0", 1000)), true, false},
		{"names that are none", filepath.Join("stores", strings.ToUpper(strings.Repeat("ab", 32))),
			func(name string) error {
				return errors.Join(os.Mkdir(name, 0o755), file("x")(filepath.Join(name, "head")))
			}, true, true},
		{"a file for a store", filepath.Join("stores", strings.Repeat("ab", 32)), file("x"), true,
			true},
		{"a store without a head", filepath.Join("stores", strings.Repeat("ab", 32)),
			func(name string) error { return os.Mkdir(name, 0o755) }, true, true},
		{"something in tmp", filepath.Join("tmp", "x"), file("x"), true, true},
		{"a directory in tmp", filepath.Join("tmp", "d"),
			func(name string) error { return os.Mkdir(name, 0o755) }, true, true},
		{"a link in tmp", filepath.Join("tmp", "l"), link(outside), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpenDir(t, dir, nil)
			if err := store(t, s, m, contents...); err != nil {
				t.Fatal(err)
			}
			s.Close()
			replace(t, filepath.Join(dir, c.what), c.with)
			s = mustOpenDir(t, dir, nil)
			rc, err := s.Open(t.Context(), m.Capsules[0])
			if err == nil {
				rc.Close()
			}
			if (err == nil) != c.opens || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open: %v", err)
			}
			_, err = s.Stat(t.Context(), capsule.Ref{Store: m.Store, Index: 1})
			if (err == nil) != c.found || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stat of the head: %v", err)
			}
			for id, err := range s.Stores(t.Context()) {
				if err != nil || id != m.Store {
					t.Errorf("store %v, %v", id, err)
				}
			}
			// Putting it again makes it whole.
			if c.name == "content is a directory" {
				return // nothing is removed that is not ours
			}
			if err := store(t, s, m, contents...); err != nil || whole(t, s, m) != 0 {
				t.Errorf("put again: %v", err)
			}
			if b, err := os.ReadFile(outside); err != nil || !bytes.Equal(b, contents[0]) {
				t.Errorf("a file outside was changed: %v", err)
			}
		})
	}
	for _, name := range []string{"capsules", "stores", "tmp",
		filepath.Join("stores", m.Store.String())} {
		dir := t.TempDir()
		s := mustOpenDir(t, dir, nil)
		if err := store(t, s, m, contents...); err != nil {
			t.Fatal(err)
		}
		s.Close()
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		if err := os.Rename(filepath.Join(dir, name), elsewhere); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		s, err := capsule.OpenDir(dir, nil)
		if err == nil {
			_, err = s.Stat(t.Context(), m.Ref(0))
			if cerr := s.Commit(t.Context(), m); cerr == nil {
				t.Errorf("%s is a link: committed through it", name)
			}
			s.Close()
		}
		if err == nil {
			t.Errorf("%s is a link: followed", name)
		}
	}
}

// A lock file that is none is not opened: nothing waits, and nothing elsewhere is changed.
func TestDirHostileLock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links and FIFOs are made with Unix calls")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("kept as it is"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(string) error{
		"link":      func(name string) error { return os.Symlink(outside, name) },
		"hard link": func(name string) error { return os.Link(outside, name) },
		"FIFO":      mkfifo,
	} {
		for of, open := range map[string]func(dir string) (io.Closer, error){
			"dir": func(dir string) (io.Closer, error) { return capsule.OpenDir(dir, nil) },
			"cache": func(dir string) (io.Closer, error) {
				return cache.New(new(capsule.Memory), &cache.Options{Dir: dir})
			},
		} {
			t.Run(of+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				if err := plant(filepath.Join(dir, "lock")); err != nil {
					t.Fatal(err)
				}
				opened := make(chan error, 1)
				go func() {
					c, err := open(dir)
					if err == nil {
						_ = c.Close()
					}
					opened <- err
				}()
				select {
				case err := <-opened:
					if err == nil {
						t.Error("opened")
					}
				case <-time.After(20 * time.Second):
					t.Error("it waits")
				}
				if b, err := os.ReadFile(outside); err != nil || string(b) != "kept as it is" {
					t.Errorf("a file elsewhere was changed: %q, %v", b, err)
				}
			})
		}
	}
}

// A link whose text is as long as the content is not taken for the content.
func TestDirCommitLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("making a link needs a privilege")
	}
	content := pattern(2, 10)
	m := manifestOf(1, content)
	dir := t.TempDir()
	s := mustOpenDir(t, dir, nil)
	if err := s.Put(t.Context(), m.Capsules[0], bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "capsules", m.Capsules[0].Hash.String())
	if err := errors.Join(os.Remove(name), os.Symlink("0123456789", name)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "commit", s.Commit(t.Context(), m), capsule.ErrContentMismatch)
}

// Content that is damaged on disk is found when it is read.
func TestDirDamage(t *testing.T) {
	content := pattern(1, 300_000)
	m := manifestOf(1, content)
	dir := t.TempDir()
	s := mustOpenDir(t, dir, nil)
	if err := store(t, s, m, content); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "capsules", m.Capsules[0].Hash.String())
	for at := 0; at < len(content); at += 50_021 {
		bad := bytes.Clone(content)
		bad[at] ^= 4
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		rc, err := s.Open(t.Context(), m.Capsules[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, capsule.VerifyReader(rc, m.Capsules[0])); !errors.Is(err,
			capsule.ErrContentMismatch) {
			t.Errorf("byte %d: %v", at, err)
		}
		rc.Close()
	}
}

// One process writes, others read.
func TestDirTwoProcesses(t *testing.T) {
	const count = 30
	if dir := os.Getenv("CAPSULE_TEST_READ"); dir != "" {
		readWhileWritten(t, dir, count)
		return
	}
	dir := t.TempDir()
	s := mustOpenDir(t, dir, nil)
	if _, err := capsule.OpenDir(dir, nil); !errors.Is(err, diskfs.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if r, err := capsule.OpenDir(filepath.Join(dir, "missing"),
		&capsule.DirOptions{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a reader of nothing: %v, %v", r, err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestDirTwoProcesses$", "-test.v")
	cmd.Env = append(os.Environ(), "CAPSULE_TEST_READ="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		contents := [][]byte{pattern(i, 200_000), fmt.Append(nil, i)}
		if err := store(t, s, manifestOf(1, contents...), contents...); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "PASS") {
		t.Errorf("the reader: %v\n%s", err, &out)
	}
}

// readWhileWritten reads head after head until the last has come. A head is whole whenever it
// is seen, and never
// older than the one before.
func readWhileWritten(t *testing.T, dir string, count int) {
	s := mustOpenDir(t, dir, &capsule.DirOptions{ReadOnly: true})
	if err := s.Put(t.Context(), capsule.Descriptor{}, strings.NewReader("")); !errors.Is(err,
		errors.ErrUnsupported) {
		t.Errorf("put by a reader: %v", err)
	}
	if err := s.Commit(t.Context(), manifestOf(9, nil)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("commit by a reader: %v", err)
	}
	for last := -1; last < count-1; {
		m, err := s.Manifest(t.Context(), auth.StoreID(bytes.Repeat([]byte{1}, 32)), merkle.Hash{})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var contents []string
		for _, d := range m.Capsules {
			rc, err := s.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(capsule.VerifyReader(rc, d))
			if err != nil {
				t.Fatal(err)
			}
			rc.Close()
			contents = append(contents, string(b))
		}
		var i int
		if _, err := fmt.Sscan(contents[1], &i); err != nil || i < last {
			t.Fatalf("generation %d after %d: %v", i, last, err)
		}
		last = i
	}
}
