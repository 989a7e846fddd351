package plot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/plot"
)

// smallStores are the contents of the plots of TestRepairTables.
func smallStores(t testing.TB) []datastore {
	tree := corpus.Small(4)
	return []datastore{
		newDatastore(t, 1, tree["sizes/1.bin"], tree["copies/three.txt"], tree["copies/four.txt"],
			[]byte{}),
		newDatastore(t, 2, tree["sizes/zeros.bin"][:131_100], tree["sizes/16384.bin"][:5000]),
	}
}

// tableAt returns the offset of the header page of a table of a whole plot.
func tableAt(b []byte, table int) int {
	return int(binary.BigEndian.Uint32(b[52+4*(table-1):])) * page
}

// place writes b into a file of its own, and returns its path.
func place(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.plot")
	check(t, os.WriteFile(path, b, 0o644))
	return path
}

// A damaged header, footer or table is repaired from a copy of the file, to the
// exact bytes. What is no copy, or is damaged itself, changes nothing.
func TestRepairTables(t *testing.T) {
	list := smallStores(t)
	whole := readFile(t, create(t, t.TempDir(), fast(), list...).Path)
	end := tableAt(whole, 1) // of the content
	later, packed := fast(), fast()
	later.Created = time.Unix(1_800_000_000, 0)
	packed.Compression = plot.LZ4
	flipped := func(at ...int) []byte {
		b := bytes.Clone(whole)
		for _, i := range at {
			b[i] ^= 0x40
		}
		return b
	}
	foreign := map[string][]byte{
		"another plot":          readFile(t, create(t, t.TempDir(), fast(), list[0]).Path),
		"another creation time": readFile(t, create(t, t.TempDir(), later, list...).Path),
		"another compression":   readFile(t, create(t, t.TempDir(), packed, list...).Path),
		"a damaged C5":          flipped(tableAt(whole, 5) + page + 70),
		"a damaged C3":          flipped(tableAt(whole, 3) + 2*page + 1),
		"a damaged footer":      flipped(len(whole) - 1),
	}
	damages := map[string][]byte{
		"magic":             flipped(0),
		"header":            flipped(100),
		"no header":         append(make([]byte, page), whole[page:]...),
		"footer":            flipped(len(whole) - 10),
		"header and footer": flipped(100, len(whole)-10),
		"all headers": flipped(0, page, tableAt(whole, 1), tableAt(whole, 5),
			tableAt(whole, 7)),
		"all but header":     append(bytes.Clone(whole[:end]), make([]byte, len(whole)-end)...),
		"cut":                whole[:len(whole)-3*page],
		"cut in the content": whole[:end-page],
		"cut in a page":      whole[:len(whole)-100],
		"longer":             append(bytes.Clone(whole), 1, 2, 3),
		"header and block":   flipped(100, 3*page+1),
	}
	for i := 1; i <= 7; i++ {
		damages["body of C"+string(rune('0'+i))] = flipped(tableAt(whole, i) + page)
		if i == 4 {
			damages["header of C4"] = flipped(page + 0x30)
			delete(damages, "body of C4")
		}
	}
	for name, damaged := range damages {
		t.Run(name, func(t *testing.T) {
			path := place(t, damaged)
			for what, other := range foreign {
				set := openSet(t, plot.Dir{Path: place(t, other)})
				if _, err := plot.Repair(t.Context(), path, set, nil); !isFormat(err) {
					t.Errorf("repair from %s: %v", what, err)
				}
				if !bytes.Equal(readFile(t, path), damaged) {
					t.Fatalf("repair from %s changed the file", what)
				}
			}
			// A copy that is damaged elsewhere is as good, and those that do not fit are passed
			// over.
			copied := place(t, flipped(end-page))
			set := openSet(t, plot.Dir{Path: place(t, foreign["another creation time"])},
				plot.Dir{Path: copied},
				plot.Dir{Path: filepath.Dir(place(t, whole))})
			report, err := plot.Repair(t.Context(), path, set, nil)
			check(t, err)
			if report.Pages == 0 {
				t.Errorf("report %+v", report)
			}
			if got := readFile(t, path); !bytes.Equal(got, whole) {
				t.Errorf("repaired file differs at %d (%+v)", mismatch(got, whole), report)
			}
			if report, err = plot.Repair(t.Context(), path, set, nil); err != nil ||
				report.Pages != 0 {
				t.Errorf("repair of a whole plot: %+v, %v", report, err)
			}
			onlyPlot(t, filepath.Dir(path))
		})
	}
	// Other sources have no tables, and neither has a file that kept nothing.
	for name, c := range map[string]struct {
		file []byte
		src  capsule.Source
	}{
		"a source of content": {flipped(100), source{list: list}},
		"the header of another plot": {
			append(bytes.Clone(foreign["another creation time"][:page]), whole[page:]...),
			openSet(t, plot.Dir{Path: place(t, whole)}),
		},
		"nothing that says which plot it was": {
			flipped(0, len(whole)-10, tableAt(whole, 7)), openSet(t,
				plot.Dir{Path: place(t, whole)}),
		},
	} {
		path := place(t, c.file)
		if _, err := plot.Repair(t.Context(), path, c.src, nil); !isFormat(err) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(readFile(t, path), c.file) {
			t.Errorf("%s: the file changed", name)
		}
	}
}

func isFormat(err error) bool {
	var bad *plot.FormatError
	return errors.As(err, &bad)
}

// changing gives the bytes of one file at first and then those of another.
type changing struct {
	first, then []byte
	reads       int // of the first file that are left
}

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	b := c.first
	if c.reads--; c.reads < 0 {
		b = c.then
	}
	return bytes.NewReader(b).ReadAt(p, off)
}

// A copy that becomes another plot while it is read changes nothing.
func TestRepairTablesChanging(t *testing.T) {
	list := smallStores(t)
	whole := readFile(t, create(t, t.TempDir(), fast(), list...).Path)
	o := fast()
	o.Created = time.Unix(1_800_000_000, 0)
	other := readFile(t, create(t, t.TempDir(), o, list...).Path)
	damaged := bytes.Clone(whole)
	damaged[100] ^= 1
	for reads := 13; reads < 16; reads++ {
		path := place(t, damaged)
		r, err := plot.NewReader(&changing{whole, other, reads}, int64(len(whole)), nil)
		check(t, err)
		n, err := plot.RepairTables(t.Context(), path, r)
		if got := readFile(t, path); !bytes.Equal(got, damaged) &&
			(err != nil || !bytes.Equal(got, whole)) {
			t.Errorf("changed after %d reads: %d pages written, %v; byte %d differs", reads, n, err,
				mismatch(got, damaged))
		}
	}
}

// A repair is cut off at every file operation: no byte is worse than before, and
// the next repair finishes.
func TestRepairCrashes(t *testing.T) {
	list := smallStores(t)
	whole := readFile(t, create(t, t.TempDir(), fast(), list...).Path)
	damaged := bytes.Clone(whole[:len(whole)-2*page])
	for _, at := range []int{0, 4096, 2*page + 5, 3*page + 1, tableAt(whole, 3) + page,
		tableAt(whole, 5) + 5} {
		damaged[at] ^= 1
	}
	set := openSet(t, plot.Dir{Path: place(t, whole)})
	disk := func() *diskfs.Crash {
		d := diskfs.NewCrash("/plots")
		check(t, diskfs.WriteFile(d, "/plots/a.plot", damaged, 0o644))
		check(t, d.SyncDir("/plots"))
		return d
	}
	repair := func(fsys diskfs.FS) error {
		_, err := plot.RepairFS(context.Background(), fsys, "/plots/a.plot", set, nil)
		return err
	}
	first := disk()
	before := first.Calls()
	check(t, repair(first))
	step := 3
	if vectors.Long(t) {
		step = 1
	}
	for n := before + 1; n <= first.Calls(); n += step {
		d := disk()
		d.StopAfter(n)
		err := repair(d)
		for seed := range uint64(3) {
			after := d.Recover(seed)
			got := readFS(t, after)
			for i := range got {
				if got[i] != whole[i] && (i >= len(damaged) && got[i] != 0 || i < len(damaged) &&
					got[i] != damaged[i]) {
					t.Fatalf("cut at call %d, seed %d: byte %d is neither old nor right", n, seed,
						i)
				}
			}
			if err == nil && !bytes.Equal(got, whole) || len(got) < len(damaged) {
				t.Fatalf("cut at call %d, seed %d: %d bytes, error %v", n, seed, len(got), err)
			}
			if err := repair(after); err != nil {
				t.Fatalf("cut at call %d, seed %d: second repair: %v", n, seed, err)
			}
			if got := readFS(t, after); !bytes.Equal(got, whole) {
				t.Fatalf("cut at call %d, seed %d: byte %d differs after the second repair", n,
					seed, mismatch(got, whole))
			}
		}
	}
	t.Logf("%d calls, every %d.", first.Calls()-before, step)
}

func readFS(t testing.TB, fsys diskfs.FS) []byte {
	t.Helper()
	b, err := diskfs.ReadFile(fsys, "/plots/a.plot", 1<<30)
	check(t, err)
	return b
}

// A repair of an extent does not run beside a writer or another repair.
func TestRepairLocked(t *testing.T) {
	list := smallStores(t)
	path := create(t, t.TempDir(), fast(), list...).Path
	whole := readFile(t, path)
	damaged := bytes.Clone(whole)
	damaged[2*page+0x30] ^= 1
	check(t, os.WriteFile(path, damaged, 0o644))
	l, err := diskfs.OS().TryLock(path + ".lock")
	check(t, err)
	_, err = plot.Repair(t.Context(), path, source{list: list}, nil)
	if !errors.Is(err, plot.ErrLocked) || !bytes.Equal(readFile(t, path), damaged) {
		t.Errorf("repaired beside another: %v", err)
	}
	check(t, l.Close())
	_, err = plot.Repair(t.Context(), path, source{list: list}, nil)
	check(t, err)
	if got := onlyPlot(t, filepath.Dir(path)); !bytes.Equal(readFile(t, got), whole) {
		t.Error("the repaired file differs")
	}
}
