package digstore_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
)

// lateFS is a disk with a clock that is behind.
type lateFS struct {
	diskfs.FS
	by time.Duration
}

func (l lateFS) Stat(name string) (fs.FileInfo, error) {
	info, err := l.FS.Stat(name)
	return lateInfo{info, l.by}, err
}

type lateInfo struct {
	fs.FileInfo
	by time.Duration
}

func (l lateInfo) ModTime() time.Time { return l.FileInfo.ModTime().Add(-l.by) }

// TestCommitClocks: when the times of files cannot be relied on, files are read again.
func TestCommitClocks(t *testing.T) {
	ctx := context.Background()
	at := func(d time.Duration) func() time.Time {
		return func() time.Time { return time.Now().Add(d) }
	}
	for _, c := range []struct {
		name          string
		first, second digstore.Options
		all           bool // the second commit reads every file again, not only the new one
	}{
		{"right", digstore.Options{}, digstore.Options{}, false},
		{"it went back", digstore.Options{}, digstore.Options{Now: at(-time.Hour)}, true},
		{"it was ahead", digstore.Options{Now: at(time.Hour)}, digstore.Options{}, false},
		{"it was behind", digstore.Options{Now: at(-time.Hour)}, digstore.Options{}, true},
		{"the disk's is behind", digstore.Options{FS: lateFS{diskfs.OS(), time.Minute}}, digstore.Options{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			want := among(corpus.Small(1), files{"a": "1", "b": noise(1, 1<<20)})
			write(t, dir, want)
			time.Sleep(60 * time.Millisecond)
			w, err := digstore.Init(dir, &c.first)
			check(t, err)
			s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{ContentRoot: dir})
			check(t, err)
			_, err = s.Commit(ctx, nil, nil)
			check(t, err)
			check(t, w.Close())
			write(t, dir, files{"c": "3"})
			want["c"] = "3"
			w, err = digstore.Open(dir, &c.second)
			check(t, err)
			defer w.Close()
			s, err = w.Active()
			check(t, err)
			r, err := s.Commit(ctx, nil, nil)
			check(t, err)
			wantFiles(t, r.Generation, want)
			read := 1
			if c.all {
				read = len(want)
			}
			if r.Changed != read {
				t.Errorf("%d files were read, want %d", r.Changed, read)
			}
		})
	}
}
