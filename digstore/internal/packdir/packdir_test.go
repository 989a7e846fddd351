package packdir_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// shortDisk writes one byte less or one byte more than requested, without an error.
type shortDisk struct {
	diskfs.FS
	longer bool
}

func (d shortDisk) OpenFile(name string, flag int, perm fs.FileMode) (diskfs.File, error) {
	f, err := d.FS.OpenFile(name, flag, perm)
	return shortFile{f, d.longer}, err
}

type shortFile struct {
	diskfs.File
	longer bool
}

func (f shortFile) Write(b []byte) (int, error) {
	if f.longer {
		n, err := f.File.Write(append([]byte{0}, b...))
		return min(n, len(b)), err
	}
	return f.File.Write(b[:len(b)-1])
}

// newPack begins a pack and adds chunks, of which the last is still in the buffer.
func newPack(t *testing.T, disk diskfs.FS) (p *packdir.Writer, chunks []module.Chunk) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "one.pack")
	p, err := packdir.Create(disk, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	for i := range 40 {
		b := []byte(strings.Repeat(string(rune('a'+i)), 10_000*i+1))
		c := module.Chunk{ID: merkle.Sum(b), Len: uint32(len(b))}
		if err := p.Add(c.ID, b); err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	return p, chunks
}

// TestPackPhases: while chunks are added none can be read. Afterwards many goroutines can read and
// none can be added. The finished pack has every chunk.
func TestPackPhases(t *testing.T) {
	p, chunks := newPack(t, diskfs.OS())
	if _, _, err := p.Chunk(chunks[0]); err == nil {
		t.Error("a chunk is given out while others are added")
	}
	if err := errors.Join(p.EndChunks(), p.EndChunks()); err != nil {
		t.Fatal(err)
	}
	late := []module.Chunk{{ID: merkle.Hash{2}, Len: 1}}
	if p.Add(merkle.Hash{1}, []byte("late")) == nil || p.AddFrames(make([]byte, 5), late) == nil {
		t.Error("a chunk is added while others are read")
	}
	readAll(t, p, chunks)
	if err := errors.Join(p.Finish(), p.Sync(), p.Close()); err != nil {
		t.Fatal(err)
	}
	src, err := packdir.OpenAlone(diskfs.OS(), p.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	readAll(t, src, chunks)
}

func readAll(t *testing.T, src module.ChunkSource, chunks []module.Chunk) {
	t.Helper()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for _, c := range chunks {
				r, off, err := src.Chunk(c)
				if err != nil {
					t.Error(err)
					return
				}
				e := pack.Entry{ID: c.ID, Offset: off, Len: c.Len}
				if _, err := pack.ReadFrame("pack", r, e, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Wait()
}

// TestPackLength: Finish fails if the length of the file is not that of what was written.
func TestPackLength(t *testing.T) {
	for _, longer := range []bool{false, true} {
		name := filepath.Join(t.TempDir(), "one.pack")
		p, err := packdir.Create(shortDisk{diskfs.OS(), longer}, name)
		if err != nil {
			t.Fatal(err)
		}
		b := []byte("chunk")
		if err := errors.Join(p.Add(merkle.Sum(b), b), p.Finish()); err == nil {
			t.Errorf("longer %v: it is finished", longer)
		}
		p.Abandon()
	}
}

// TestChunkOfAnotherLength: a chunk is not returned if its length differs from that in the index,
// or if its offset in the index lies in the magic of the pack. The checksum of an index does not
// cover what a recipe names.
func TestChunkOfAnotherLength(t *testing.T) {
	disk, dir := diskfs.OS(), t.TempDir()
	if err := diskfs.MkdirAll(disk, filepath.Join(dir, "packs"), 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "packs", "one.pack")
	if err := diskfs.WriteFile(disk, name, []byte(pack.Magic), 0o644); err != nil {
		t.Fatal(err)
	}
	before := merkle.Sum([]byte("before")) // as a faulty writer would write it
	wrong := []pack.Entry{{ID: before, Offset: int64(len(pack.Magic)) - 1, Len: 4}}
	p, err := packdir.Reopen(disk, name, wrong, int64(len(pack.Magic)))
	if err != nil {
		t.Fatal(err)
	}
	good := module.Chunk{ID: merkle.Sum([]byte("good")), Len: 4}
	if err := p.Add(good.ID, []byte("good")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{p.EndChunks(), p.Finish(), p.Sync(), p.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	packs := packdir.New(disk, filepath.Join(dir, "packs"), nil)
	defer packs.Close()
	for _, c := range []struct {
		name  string
		chunk module.Chunk
		holds error
		want  error
	}{
		{"as it is", good, nil, nil},
		{"longer", module.Chunk{ID: good.ID, Len: 5}, module.ErrVerify, module.ErrDamaged},
		{"shorter", module.Chunk{ID: good.ID, Len: 3}, module.ErrVerify, module.ErrDamaged},
		{"in the magic", module.Chunk{ID: before, Len: 4}, nil, module.ErrDamaged},
	} {
		if _, err := packs.Holds(c.chunk); !errors.Is(err, c.holds) {
			t.Errorf("%s: holds: %v, want %v", c.name, err, c.holds)
		}
		if _, _, err := packs.Chunk(c.chunk); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// lazyDisk leaves a removed file in its directory, as Windows may while another process has it
// open.
type lazyDisk struct{ diskfs.FS }

func (lazyDisk) Remove(string) error { return nil }

// TestRemoveTakesTheName: the chunks of a removed pack are not found, even while its file remains.
func TestRemoveTakesTheName(t *testing.T) {
	disk := lazyDisk{diskfs.OS()}
	p, chunks := newPack(t, disk)
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	dir := packdir.New(disk, filepath.Dir(p.Path()), nil)
	defer dir.Close()
	has := func(want bool) {
		t.Helper()
		if got, err := dir.Has(chunks[0].ID); got != want || err != nil {
			t.Errorf("held: %v, %v; want %v", got, err, want)
		}
	}
	has(true)
	if err := dir.Remove(filepath.Base(p.Path())); err != nil {
		t.Fatal(err)
	}
	dir.Reload()
	has(false)
}
