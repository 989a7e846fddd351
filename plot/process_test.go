package plot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/plot"
)

const (
	manyPlots = 12
	rolling   = "rolling.plot" // is replaced again and again
)

// rollingStore returns the datastore of a version of the plot that is replaced.
func rollingStore(t testing.TB, version int) datastore { return storeOf(t, byte(100+version)) }

// storeOf returns a datastore whose content follows from its id.
func storeOf(t testing.TB, id byte) datastore {
	large, small := make([]byte, 300_000), make([]byte, 10)
	fill(large, uint64(id))
	fill(small, uint64(id)+1000)
	return newDatastore(t, id, large, small)
}

// writeManyAsChild writes plots into dir one after the other, and replaces one.
func writeManyAsChild(dir string) error {
	t := &testing.T{}
	for i := range manyPlots {
		if err := writeOne(dir, storeOf(t, byte(i+1))); err != nil {
			return err
		}
		if runtime.GOOS == "windows" {
			continue // which does not replace a file that is open
		}
		if err := replaceRolling(t, dir, i+1); err != nil {
			return err
		}
	}
	return nil
}

func writeOne(dir string, ds datastore) error {
	w, err := plot.Create(context.Background(), dir, manifests(ds), node, fast())
	if err != nil {
		return err
	}
	if err := add(w, ds); err != nil {
		return errors.Join(err, w.Close())
	}
	_, err = w.Seal(context.Background())
	return errors.Join(err, w.Close())
}

// replaceRolling puts a version in the place of the rolling plot.
func replaceRolling(t testing.TB, dir string, version int) error {
	spare, err := os.MkdirTemp(filepath.Dir(dir), "spare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(spare)
	if err := writeOne(spare, rollingStore(t, version)); err != nil {
		return err
	}
	list, err := filepath.Glob(filepath.Join(spare, "*.plot"))
	if err != nil || len(list) != 1 {
		return fmt.Errorf("%d plots in %s: %w", len(list), spare, err)
	}
	return os.Rename(list[0], filepath.Join(dir, rolling))
}

// A set is scanned and read while another process seals plots in its directory and replaces one.
// No file that is not whole is ever found, all plots are found in the end, and a plot that was
// open before goes on giving its own content.
func TestTwoProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plots")
	check(t, os.Mkdir(dir, 0o755))
	check(t, replaceRolling(t, dir, 0))
	before := open(t, filepath.Join(dir, rolling), nil)
	set := openSet(t, plot.Dir{Path: dir})
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), childMany+"="+dir)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	check(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	scans, changes := 0, 0
	for running := true; running; scans++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("child: %v: %s", err, &out)
			}
			running = false // and scan once more
		default:
		}
		found := scan(t, set)
		changes += len(found.Added)
		if len(found.Bad) > 0 {
			t.Fatalf("scan %d: bad file %s: %v", scans, found.Bad[0].Path, found.Bad[0].Err)
		}
		for h := range set.Plots() {
			readStore(t, set, h.Datastores[0])
		}
	}
	t.Logf("%d scans, %d plots came", scans, changes)
	if n := count(set); n != [2]int{manyPlots + 1, 0} {
		t.Errorf("%d plots and bad files, expected %d and 0", n, manyPlots+1)
	}
	_, err := before.Verify(t.Context(), plot.Full, nil)
	check(t, err)
	first := rollingStore(t, 0)
	content, err := before.Capsule(first.manifest.Capsules[0], plot.Verified)
	check(t, err)
	var b bytes.Buffer
	_, err = content.WriteTo(&b)
	check(t, err)
	if !bytes.Equal(b.Bytes(), first.contents[0]) {
		t.Error("the plot that was open gives other content")
	}
}

// readStore reads what a set holds of a datastore of this test.
func readStore(t *testing.T, set *plot.Set, ds plot.Datastore) {
	t.Helper()
	want := storeOf(t, ds.Store[0])
	for i, content := range want.contents {
		ref := capsule.Ref{Store: ds.Store, Root: ds.Root, Index: uint32(i)}
		d, err := set.Stat(t.Context(), ref)
		check(t, err)
		if got := readAll(t, set, d); !bytes.Equal(got, content) {
			t.Fatalf("capsule %v: %d bytes that differ", ref, len(got))
		}
	}
}
