//go:build unix

package plot_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/plot"
)

// Links, FIFOs and folders with the name of a plot are neither followed nor
// opened.
func TestSpecialFiles(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	info := create(t, elsewhere, fast(), newDatastore(t, 1, []byte("content")))
	check(t, os.Symlink(info.Path, filepath.Join(dir, "link.plot")))
	check(t, os.Mkdir(filepath.Join(dir, "folder.plot"), 0o755))
	check(t, syscall.Mkfifo(filepath.Join(dir, "fifo.plot"), 0o644))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := openSet(t, plot.Dir{Path: dir})
		if n := count(s); n != [2]int{0, 3} {
			t.Errorf("%d plots and bad files, expected 0 and 3", n)
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a scan waits for a special file")
	}
}
