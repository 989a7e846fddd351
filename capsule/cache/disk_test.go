package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/internal/diskfs"
)

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && len(d.Name()) == 64 {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A cache that is opened again finds its files, trusts none of them, and leaves alone what is
// not its own.
func TestDiskAgain(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 6, 1000)
	dir := t.TempDir()
	o := &cache.Options{L1: -1, L2: 8000, Dir: dir}
	c := newCache(t, s, o)
	for i := range 6 {
		wantHits(t, c, m, 1000, fmt.Sprintf("%d:disk_read", i))
	}
	if _, err := cache.New(s, o); !errors.Is(err, diskfs.ErrLocked) {
		t.Errorf("a second cache in the directory: %v", err)
	}
	c.Close()
	file := func(i int) string {
		h := m.Capsules[i].Hash.String()
		return filepath.Join(dir, h[:2], h)
	}
	flipped := content(1, 1, 1000)
	flipped[500]++
	outside := filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.WriteFile(file(1), flipped, 0o644),
		os.WriteFile(file(2), flipped[:999], 0o644),
		os.Remove(file(3)),
		os.WriteFile(file(0)+".7.tmp", []byte("torn"), 0o644),
		os.WriteFile(filepath.Join(dir, "README"), []byte("mine"), 0o644),
		os.WriteFile(filepath.Join(filepath.Dir(file(0)), "note"), []byte("mine"), 0o644),
		os.WriteFile(outside, content(1, 4, 1000), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := errors.Join(os.Remove(file(4)), os.Symlink(outside, file(4))); err != nil {
			t.Fatal(err)
		}
	}
	c = newCache(t, s, o)
	if runtime.GOOS == "windows" {
		wantHits(t, c, m, 1000, "4:l2_hit")
	} else {
		wantHits(t, c, m, 1000, "4:disk_read")
	}
	wantHits(t, c, m, 1000, "0:l2_hit 1:disk_read 2:disk_read 3:disk_read 5:l2_hit 1:l2_hit")
	if st := c.Stats(); st.Mismatches != 2 {
		t.Errorf("%+v", st)
	}
	for _, name := range []string{filepath.Join(dir, "README"),
		filepath.Join(filepath.Dir(file(0)), "note"), outside} {
		if b, err := os.ReadFile(name); err != nil || len(b) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(file(0) + ".7.tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	// A file that changes while the cache is open is found as well.
	if err := os.WriteFile(file(5), content(2, 5, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	wantHits(t, c, m, 1000, "5:disk_read 5:l2_hit")
	// A smaller cache takes up as much as fits: the latest files.
	c.Close()
	c = newCache(t, s, &cache.Options{L1: -1, L2: 4000, Dir: dir})
	if st := c.Stats(); st.L2Bytes > 4000 || countFiles(t, dir) != st.L2Entries {
		t.Errorf("%+v, %d files", st, countFiles(t, dir))
	}
}

// A cache that is opened counts only files of its own that its size admits.
func TestDiskForeign(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 2, 3000)
	dir := t.TempDir()
	large, other := m.Capsules[0].Hash.String(), m.Capsules[1].Hash.String()
	sub := "00"
	if other[:2] == sub {
		sub = "01"
	}
	folder := filepath.Join(dir, other[:2], other)
	misplaced := filepath.Join(dir, sub, other)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, large[:2]), 0o755), os.MkdirAll(folder, 0o755),
		os.MkdirAll(filepath.Dir(misplaced), 0o755),
		os.WriteFile(filepath.Join(dir, large[:2], large), content(1, 0, 3000), 0o644),
		os.WriteFile(misplaced, []byte("short"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := newCache(t, s, &cache.Options{L1: -1, L2: 8000, Dir: dir})
	if st := c.Stats(); st.L2Entries != 0 || st.L2Bytes != 0 {
		t.Errorf("%+v", st)
	}
	for _, name := range []string{folder, misplaced} {
		if _, err := os.Lstat(name); err != nil {
			t.Error(err)
		}
	}
	_, err := os.Lstat(filepath.Join(dir, large[:2], large))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is too large is still there: %v", err)
	}
}

// A disk that fails switches the tier off for a minute; serving goes on.
func TestDiskFails(t *testing.T) {
	for n := 1; n < 60; n++ {
		s := new(source)
		m := s.add(t, 1, 4, 1000)
		now := time.Unix(1_700_000_000, 0)
		failing := diskfs.Fail(diskfs.OS(), n, errors.New("disk is full"), nil)
		c, err := cache.NewFS(s, &cache.Options{L1: 8000, L2: 8000, Dir: filepath.Join(t.TempDir(),
			"cache"), Now: func() time.Time { return now }}, failing)
		if err != nil {
			continue
		}
		for range 2 {
			for i := range 4 {
				get(t, c, m.Ref(uint32(i)), content(1, i, 1000))
			}
		}
		now = now.Add(61 * time.Second)
		for range 3 {
			for i := range 4 {
				get(t, c, m.Ref(uint32(i)), content(1, i, 1000))
			}
		}
		if st := c.Stats(); st.L2Entries != 4 {
			t.Errorf("operation %d: %+v", n, st)
		}
		c.Close()
	}
}

// While the tier is off nothing is written; a minute later it is on again.
func TestDiskOff(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 4, 1000)
	now := time.Unix(1_700_000_000, 0)
	var full error
	writes := 0
	fsys := diskfs.Before(diskfs.OS(), func(op, _ string) error {
		if op == "write" {
			writes++
			return full
		}
		return nil
	})
	c, err := cache.NewFS(s, &cache.Options{L1: 8000, L2: 8000, Dir: t.TempDir(),
		Now: func() time.Time { return now }}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	full = errors.New("disk is full")
	wantHits(t, c, m, 1000, "0:disk_read 1:disk_read 0:disk_read")
	if writes != 1 {
		t.Errorf("%d writes, want 1", writes)
	}
	full = nil
	now = now.Add(59 * time.Second)
	wantHits(t, c, m, 1000, "0:disk_read")
	now = now.Add(time.Second)
	wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l1_hit")
}

// A large capsule is served from its file, which is verified once.
func TestServedFromFile(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 2, 1000)
	dir := t.TempDir()
	c := newCache(t, s, &cache.Options{L1: 3999, L2: 8000, Dir: dir})
	wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l2_hit")
	rc, err := c.Open(t.Context(), m.Capsules[0])
	if err != nil {
		t.Fatal(err)
	}
	c.RemoveHash(m.Capsules[0].Hash)
	if b, err := io.ReadAll(rc); err != nil || !bytes.Equal(b, content(1, 0, 1000)) {
		t.Errorf("a file that has left the cache: %d bytes, %v", len(b), err)
	}
	rc.Close()
	wantHits(t, c, m, 1000, "0:disk_read")
}
