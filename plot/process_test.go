package plot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// repairAsChild damages the plot dir/a/x.plot and repairs it from dir/b, in its
// blocks, an extent header and its tables, again and again.
func repairAsChild(dir string) error {
	path := filepath.Join(dir, "a", "x.plot")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	from, err := plot.OpenSet(ctx, nil, plot.Dir{Path: filepath.Join(dir, "b")})
	if err != nil {
		return err
	}
	defer from.Close()
	for i := range 30 {
		at := []int{4*page + 5, 4*page + 140_000, 2*page + 0x30, tableAt(b, 5) + page + 20}[i%4]
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte{b[at] ^ 1}, int64(at))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		report, err := plot.Repair(ctx, path, from, nil)
		if err != nil || report.Blocks+report.Extents+report.Pages == 0 {
			return fmt.Errorf("repair %d: %+v: %w", i, report, err)
		}
	}
	return nil
}

// A set reads a plot while another process damages it and repairs it in place. What
// it reads is right or an error, and always right where there is a backup.
func TestRepairBesideReaders(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("damage to an open file has not been tried on Windows")
	}
	dir := t.TempDir()
	ds := storeOf(t, 1)
	o := fast()
	o.Compression = plot.None
	whole := readFile(t, create(t, t.TempDir(), o, ds).Path)
	for name, sub := range map[string]string{"x.plot": "a", "copy.plot": "b"} {
		check(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, sub, name), whole, 0o644))
	}
	alone := openSet(t, plot.Dir{Path: filepath.Join(dir, "a")})
	backed := openSet(t, plot.Dir{Path: filepath.Join(dir, "a")},
		plot.Dir{Path: filepath.Join(dir, "b")})
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), childRepair+"="+dir)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	check(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	d := ds.manifest.Capsules[0]
	reads, failed := 0, 0
	for running := true; running; reads++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("child: %v: %s", err, &out)
			}
			running = false
		default:
		}
		scan(t, alone)
		if got, err := tryRead(t.Context(), alone, d); err != nil {
			failed++
		} else if !bytes.Equal(got, ds.contents[0]) {
			t.Fatalf("read %d: wrong content", reads)
		}
		scan(t, backed)
		if got, err := tryRead(t.Context(), backed, d); err != nil ||
			!bytes.Equal(got, ds.contents[0]) {
			t.Fatalf("read %d with a backup: %d bytes, %v", reads, len(got), err)
		}
	}
	t.Logf("%d reads, %d met damage", reads, failed)
	if got := readFile(t, filepath.Join(dir, "a", "x.plot")); !bytes.Equal(got, whole) {
		t.Errorf("byte %d differs in the end", mismatch(got, whole))
	}
	scan(t, alone)
	readStore(t, alone, plot.Datastore{Store: ds.manifest.Store, Root: ds.manifest.Root})
}

func tryRead(ctx context.Context, src capsule.Source, d capsule.Descriptor) ([]byte, error) {
	r, err := src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
