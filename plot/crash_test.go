package plot_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/plot"
)

// crashDatastores are contents of several blocks and of more than one write
// buffer, and tiny ones.
func crashDatastores(t testing.TB) []datastore {
	tree := corpus.Small(6)
	return []datastore{
		newDatastore(t, 1, tree["media/clip-07.bin"], tree["media/clip-06.bin"],
			tree["media/clip-05.bin"], tree["sizes/1.bin"]),
		newDatastore(t, 2, tree["media/clip-03.bin"], tree["media/clip-02.bin"], []byte{},
			tree["media/clip-02.bin"]),
	}
}

// write makes a plot in /plots of a file system in memory.
func write(fsys diskfs.FS, resume bool, list []datastore, created time.Time) error {
	o := &plot.Options{Difficulty: plot.NoWork, Compression: plot.LZ4, Created: created, FS: fsys,
		Resume: resume, Workers: 1}
	w, err := plot.Create(context.Background(), "/plots", manifests(list...), node, o)
	if err != nil {
		return err
	}
	if err := add(w, list...); err != nil {
		return errors.Join(err, w.Close())
	}
	_, err = w.Seal(context.Background())
	return errors.Join(err, w.Close())
}

// plotsIn returns the whole plot in /plots, or nil when there is none. Anything
// that has the name of a plot must be one.
func plotsIn(t testing.TB, fsys diskfs.FS) []byte {
	t.Helper()
	list, err := fsys.ReadDir("/plots")
	check(t, err)
	var found []byte
	for _, e := range list {
		b, err := diskfs.ReadFile(fsys, "/plots/"+e.Name(), 1<<30)
		check(t, err)
		err = verify(b, plot.Full)
		switch {
		case strings.HasSuffix(e.Name(), ".plot"):
			check(t, err)
			found = b
		case strings.HasSuffix(e.Name(), ".tmp") && err != nil && len(b) >= 4096 &&
			!errors.Is(err, plot.ErrIncomplete) && !errors.Is(err, plot.ErrTruncated) &&
			!errors.Is(err, plot.ErrHeader):
			// Page 0 is written last: before, there is no plot to speak of.
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
	return found
}

// The power is cut at every file operation of writing a plot. Nothing but a
// whole plot is ever found under the name of one, and a resumed writer ends
// with the same bytes.
func TestCrashes(t *testing.T) {
	list := crashDatastores(t)
	at := time.Unix(1_700_000_000, 0)
	whole := diskfs.NewCrash("/plots")
	check(t, write(whole, true, list, at))
	want := plotsIn(t, whole)
	calls := whole.Calls()
	step, seeds := 7, []uint64{0, 1, 2}
	part, parts := vectors.Part(t)
	if vectors.Long(t) {
		step, seeds = parts, []uint64{0, 1, 2, 3, 4, 5}
	}
	for n := 1 + part; n <= calls; n += step {
		disk := diskfs.NewCrash("/plots")
		disk.StopAfter(n)
		err := write(disk, true, list, at)
		for _, seed := range seeds {
			after := disk.Recover(seed)
			if b := plotsIn(t, after); b != nil && !bytes.Equal(b, want) || b == nil && err == nil {
				t.Fatalf(
					"power cut at call %d, seed %d: %d bytes under the name of a plot (error %v)", n,
					seed, len(b), err)
			}
			err := write(after, true, list, at.Add(time.Hour))
			if err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatalf("power cut at call %d, seed %d: resume: %v", n, seed, err)
			}
			got := plotsIn(t, after)
			// Only where the job itself was lost the plot began anew, at another time.
			if len(got) != len(want) || !bytes.Equal(got[4096:100_000], want[4096:100_000]) {
				t.Fatalf("power cut at call %d, seed %d: resumed plot differs", n, seed)
			}
			rest, err := after.ReadDir("/plots")
			check(t, err)
			if len(rest) != 1 {
				t.Fatalf("power cut at call %d, seed %d: %d files are left", n, seed, len(rest))
			}
		}
	}
	t.Logf("%d calls, every %d. cut, %d disks after each", calls, step, len(seeds))
}

// Every file operation fails once. The error is returned, no plot appears that
// is not whole, and a writer without Resume leaves nothing behind.
func TestFailures(t *testing.T) {
	list := crashDatastores(t)
	at := time.Unix(1_700_000_000, 0)
	step := 5
	part, parts := vectors.Part(t)
	if vectors.Long(t) {
		step = parts
	}
	for n := 1 + part; ; n += step {
		disk := diskfs.NewCrash("/plots")
		failing := diskfs.Fail(disk, n, errors.New("the disk fails"), nil)
		err := write(failing, false, list, at)
		if err == nil && !failing.Failed() {
			return
		}
		b := plotsIn(t, disk)
		if err == nil && b == nil {
			t.Fatalf("call %d failed: no error and no plot", n)
		}
	}
}
