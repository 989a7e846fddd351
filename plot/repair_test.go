package plot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/plot"
)

// A source gives the contents of datastores, changed by lie when it is set.
type source struct {
	list []datastore
	lie  func([]byte) []byte
}

func (s source) Stat(context.Context, capsule.Ref) (capsule.Descriptor, error) {
	return capsule.Descriptor{}, errors.ErrUnsupported
}

func (s source) Open(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	for _, ds := range s.list {
		for i, c := range ds.manifest.Capsules {
			if c.Hash != d.Hash {
				continue
			}
			b := bytes.Clone(ds.contents[i])
			if s.lie != nil {
				b = s.lie(b)
			}
			return io.NopCloser(bytes.NewReader(b)), nil
		}
	}
	return nil, os.ErrNotExist
}

// Damage in blocks, headers, tables and padding of extents is repaired to the
// exact bytes by an honest source, and a lying one changes nothing.
func TestRepair(t *testing.T) {
	tree := corpus.Small(11)
	list := []datastore{newDatastore(t, 1, tree["media/clip-03.bin"], tree["text/book-04.txt"],
		[]byte{}, tree["copies/three.txt"])}
	flip := func(b []byte) []byte {
		for i := range b {
			b[i] ^= 1
		}
		return b
	}
	for _, c := range []plot.Compression{plot.None, plot.LZ4, plot.Zstd} {
		o := fast()
		o.Compression = c
		path := create(t, t.TempDir(), o, list...).Path
		whole := readFile(t, path)
		r := open(t, path, nil)
		var extents []int64
		for i := range list[0].contents {
			rec, err := r.Lookup(list[0].manifest.Store, uint32(i))
			check(t, err)
			extents = append(extents, rec.Offset)
		}
		for _, damage := range []struct {
			name string
			at   []int64
		}{
			{"a block", []int64{extents[0] + 4096 + 10}},
			{"blocks of two capsules", []int64{extents[0] + 4096, extents[0] + 140_000, extents[1] +
				4100}},
			{"a header", []int64{extents[1] + 0x30}},
			{"a block table", []int64{extents[0] + 136 + 3}},
			{"padding behind the table", []int64{extents[0] + 4000}},
			{"padding behind the last block", []int64{extents[3] + 2*4096 - 1}},
			{"the header of an empty capsule", []int64{extents[2]}},
			{"everything of an extent", []int64{extents[3], extents[3] + 200, extents[3] + 4096,
				extents[3] + 8191}},
		} {
			t.Run(string(c)+"/"+damage.name, func(t *testing.T) {
				b := bytes.Clone(whole)
				for _, at := range damage.at {
					b[at] ^= 0x40
				}
				check(t, os.WriteFile(path, b, 0o644))
				for name, lie := range map[string]func([]byte) []byte{
					"flipped": flip,
					"short":   func(b []byte) []byte { return b[:len(b)/2] },
					"long":    func(b []byte) []byte { return append([]byte("x"), b...) },
				} {
					report, err := plot.Repair(t.Context(), path, source{list, lie}, nil)
					got := readFile(t, path)
					if err == nil && !bytes.Equal(got, whole) {
						t.Errorf("%s source: no error, the file differs (%+v)", name, report)
					}
					// What is written is right, whoever it came from.
					for i := range got {
						if got[i] != b[i] && got[i] != whole[i] {
							t.Fatalf("%s source: byte %d is wrong (%+v)", name, i, report)
						}
					}
					check(t, os.WriteFile(path, b, 0o644))
				}
				if _, err := plot.Repair(t.Context(), path, source{}, nil); !errors.Is(err,
					os.ErrNotExist) {
					t.Errorf("empty source: %v", err)
				}
				report, err := plot.Repair(t.Context(), path, source{list: list}, nil)
				check(t, err)
				if got := readFile(t, path); !bytes.Equal(got, whole) {
					t.Errorf("repaired file differs at %d (%+v)", mismatch(got, whole), report)
				}
			})
		}
	}
}

// What is left in a file without header, footer or tables becomes a new plot
// with the help of the manifest.
func TestSalvage(t *testing.T) {
	tree := corpus.Small(12)
	ds := newDatastore(t, 1, tree["media/clip-03.bin"], tree["text/book-01.txt"], []byte{},
		tree["copies/three.txt"], tree["media/clip-03.bin"])
	path := create(t, t.TempDir(), fast(), ds).Path
	r := open(t, path, nil)
	rec, err := r.Lookup(ds.manifest.Store, 1)
	check(t, err)
	last, err := r.Lookup(ds.manifest.Store, 3)
	check(t, err)
	file := readFile(t, path)
	clear(file[:8192])
	file = file[:last.Offset+3*4096] // the tables are gone
	file[rec.Offset+4096+7] ^= 1     // a block of capsule 1

	s, err := plot.Salvage(t.Context(), bytes.NewReader(file), int64(len(file)), nil)
	check(t, err)
	if len(s.Extents) != 4 || s.Extents[1].Err == nil || len(s.Extents[1].Damaged) != 1 {
		t.Fatalf("found %+v", s.Extents)
	}
	var kept []bool
	for _, d := range ds.manifest.Capsules {
		kept = append(kept, s.Has(d))
	}
	forged := ds.manifest.Capsules[0]
	forged.ChunkRoot[0]++
	if s.Has(forged) {
		t.Error("a capsule of another chunk root was found")
	}
	if want := []bool{true, false, true, true, true}; !equal(kept, want) {
		t.Errorf("kept %v, expected %v", kept, want)
	}
	o := fast()
	o.Keep = func(_ auth.StoreID, d capsule.Descriptor) bool { return s.Has(d) }
	dir := t.TempDir()
	w, err := plot.Create(t.Context(), dir, manifests(ds), node, o)
	check(t, err)
	defer w.Close()
	check(t, w.AddFrom(t.Context(), s))
	_, err = w.Seal(t.Context())
	check(t, err)
	check(t, w.Close())
	set := openSet(t, plot.Dir{Path: dir})
	for i, d := range ds.manifest.Capsules {
		if kept[i] && !bytes.Equal(readAll(t, set, d), ds.contents[i]) {
			t.Errorf("capsule %d differs", i)
		}
	}
}

func equal(a, b []bool) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// A publisher puts a whole extent into the content of a capsule. Neither an
// intact nor a damaged outer extent lets it count.
func TestSalvageInner(t *testing.T) {
	inner := newDatastore(t, 9, []byte("planted"))
	b := readFile(t, create(t, t.TempDir(), fast(), inner).Path)
	content := append(make([]byte, 4096), b[2*4096:4*4096]...)
	outer := newDatastore(t, 1, content)
	o := fast()
	o.Compression = plot.None
	file := readFile(t, create(t, t.TempDir(), o, outer).Path)
	for name, at := range map[string]int{"intact": -1, "damaged table": 2*4096 + 136} {
		b := bytes.Clone(file)
		if at >= 0 {
			b[at] ^= 1
		}
		s, err := plot.Salvage(t.Context(), bytes.NewReader(b), int64(len(b)), nil)
		check(t, err)
		if s.Has(inner.manifest.Capsules[0]) {
			t.Errorf("%s outer extent: the planted capsule counts (%+v)", name, s.Extents)
		}
		if at >= 0 && (len(s.Extents) != 2 || !s.Extents[1].Inside) {
			t.Errorf("%s outer extent: found %+v", name, s.Extents)
		}
	}
}
