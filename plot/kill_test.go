package plot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/plot"
)

// childDir names the directory in which a test process writes a plot.
const childDir = "DIG_PLOT_TEST_DIR"

// childMany names the directory in which a test process writes many plots.
const childMany = "DIG_PLOT_TEST_MANY"

// childRepair names the directory in which a test process damages and repairs a
// plot.
const childRepair = "DIG_PLOT_TEST_REPAIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childMany); dir != "" {
		if err := writeManyAsChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(childRepair); dir != "" {
		if err := repairAsChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(childDir); dir != "" {
		if err := writeAsChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// killDatastore has content that takes a moment to write.
func killDatastore(t testing.TB) datastore {
	tree := corpus.Small(21)
	contents := contentsOf(tree)
	var all []byte
	for _, b := range contents {
		all = append(all, b...)
	}
	return newDatastore(t, 1, append(contents, all)...)
}

func writeAsChild(dir string) error {
	ds := killDatastore(&testing.T{})
	o := fast()
	o.Resume, o.Workers = true, 1
	w, err := plot.Create(context.Background(), dir, manifests(ds), node, o)
	var exists *plot.ExistsError
	if errors.As(err, &exists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if err := add(w, ds); err != nil {
		return err
	}
	_, err = w.Seal(context.Background())
	return err
}

// A writing process is killed at any time, again and again, while another one
// scans the directory. Nothing but the whole plot is ever found, and in the end
// it has the bytes of one that was never interrupted.
func TestKills(t *testing.T) {
	kills := 6
	if vectors.Long(t) {
		kills = 60
	}
	want := readFile(t, create(t, t.TempDir(), fast(), killDatastore(t)).Path)
	dir := t.TempDir()
	set := openSet(t, plot.Dir{Path: dir})
	child := func() *exec.Cmd {
		c := exec.Command(os.Args[0], "-test.run=^$")
		c.Env = append(os.Environ(), childDir+"="+dir)
		return c
	}
	began := time.Now()
	out, err := child().CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v: %s", err, out)
	}
	whole := time.Since(began)
	check(t, os.Remove(onlyPlot(t, dir)))
	scan(t, set)
	for i := range kills {
		c := child()
		check(t, c.Start())
		time.Sleep(whole * time.Duration(i%10+1) / 10)
		c.Process.Kill()
		c.Wait()
		scan(t, set)
		names, err := filepath.Glob(filepath.Join(dir, "*.plot"))
		check(t, err)
		if n := count(set); n[0] != len(names) || n[1] != 0 {
			t.Fatalf("kill %d: the set has %d plots and %d bad files, the directory %d", i, n[0],
				n[1], len(names))
		}
		for _, name := range names {
			if !bytes.Equal(readFile(t, name), want) {
				t.Fatalf("kill %d: %s differs from the plot", i, name)
			}
			check(t, os.Remove(name))
		}
	}
	out, err = child().CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v: %s", err, out)
	}
	if got := readFile(t, onlyPlot(t, dir)); !bytes.Equal(got, want) {
		t.Errorf("the resumed plot differs at %d", mismatch(got, want))
	}
}

// Two processes do not write one plot.
func TestTwoWriters(t *testing.T) {
	ds := killDatastore(t)
	dir := t.TempDir()
	w, err := plot.Create(t.Context(), dir, manifests(ds), node, fast())
	check(t, err)
	defer w.Close()
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), childDir+"="+dir)
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), plot.ErrLocked.Error()) {
		t.Errorf("second writer: %v: %s", err, out)
	}
	check(t, add(w, ds))
	_, err = w.Seal(t.Context())
	check(t, err)
	check(t, w.Close())
	check(t, verify(readFile(t, onlyPlot(t, dir)), plot.Full))
}
