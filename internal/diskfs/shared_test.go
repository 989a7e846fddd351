package diskfs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

// TestWriteShared: of several writers of a name the last one counts, although another program
// has the file open now and then, and nothing else is left. What killed writers have left is
// removed a minute later.
func TestWriteShared(t *testing.T) {
	dir := t.TempDir()
	name, fsys := filepath.Join(dir, "f.toml"), diskfs.OS()
	check(t, diskfs.WriteShared(fsys, name, []byte("first"), 0o600))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			text := bytes.Repeat([]byte{byte('a' + i)}, 100_000)
			for range 3 {
				if err := diskfs.WriteShared(fsys, name, text, 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			reader, err := os.Open(name)
			if err == nil {
				time.Sleep(5 * time.Millisecond)
				reader.Close()
			}
		}
	})
	wg.Wait()
	close(stop)
	others.Wait()
	got, err := diskfs.ReadFile(fsys, name, 1<<20)
	if err != nil || len(got) != 100_000 || bytes.Count(got, got[:1]) != len(got) {
		t.Errorf("%d bytes, %v: want those of one writer", len(got), err)
	}

	keep := []string{"0123456789abcdef.tmp2", "f.toml.0123.tmp", "f.toml.tmp",
		"fresh.0123456789abcdef.tmp", "notes"}
	for _, other := range append(keep, "f.toml.0123456789abcdef.tmp", "g.0123456789abcdef.tmp") {
		check(t, os.WriteFile(filepath.Join(dir, other), nil, 0o600))
		if other != "fresh.0123456789abcdef.tmp" {
			old := time.Now().Add(-2 * time.Minute)
			check(t, os.Chtimes(filepath.Join(dir, other), old, old))
		}
	}
	diskfs.RemoveStale(fsys, dir)
	var left []string
	for _, e := range must(os.ReadDir(dir)) {
		left = append(left, e.Name())
	}
	want := []string{"0123456789abcdef.tmp2", "f.toml", "f.toml.0123.tmp", "f.toml.tmp",
		"fresh.0123456789abcdef.tmp", "notes"}
	if fmt.Sprint(left) != fmt.Sprint(want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestWriteSharedFails: whatever fails, the name has the old content or the new one, and no
// temporary file is left where it can be removed.
func TestWriteSharedFails(t *testing.T) {
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/d")
		check(t, diskfs.WriteShared(disk, "/d/f", []byte("old"), 0o600))
		failing := diskfs.Fail(disk, n, nil, nil)
		err := diskfs.WriteShared(failing, "/d/f", []byte("new"), 0o600)
		if err == nil {
			if n < 5 {
				t.Errorf("%d operations", n-1)
			}
			return
		}
		if got := string(must(diskfs.ReadFile(disk, "/d/f", 10))); got != "old" && got != "new" {
			t.Errorf("operation %d failed: %q", n, got)
		}
		if list := must(disk.ReadDir("/d")); len(list) != 1 {
			t.Errorf("operation %d failed: %d files are left", n, len(list))
		}
	}
}
