package digstore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// shortDisk writes a byte less than it is given, or a byte more, without an error.
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

// newPack begins a pack and adds chunks, of which the last lies in the buffer.
func newPack(t *testing.T, disk diskfs.FS) (p *packWriter, chunks []module.Chunk) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "one.pack")
	p, err := createPack(disk, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close() })
	for i := range 40 {
		b := []byte(strings.Repeat(string(rune('a'+i)), 10_000*i+1))
		c := module.Chunk{ID: merkle.Sum(b), Len: uint32(len(b))}
		if err := p.add(c.ID, b); err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	return p, chunks
}

// TestPackPhases: what is being added cannot be read, what can be read by many at once cannot be added to, and the
// pack that comes out has every chunk.
func TestPackPhases(t *testing.T) {
	p, chunks := newPack(t, diskfs.OS())
	if _, _, err := p.Chunk(chunks[0]); err == nil {
		t.Error("a chunk is given out while others are added")
	}
	if err := errors.Join(p.endChunks(), p.endChunks()); err != nil {
		t.Fatal(err)
	}
	if p.add(merkle.Hash{1}, []byte("late")) == nil || p.addFrames(make([]byte, 5), []module.Chunk{{ID: merkle.Hash{2}, Len: 1}}) == nil {
		t.Error("a chunk is added while others are read")
	}
	readAll(t, p, chunks)
	if err := errors.Join(p.finish(), p.sync(), p.close()); err != nil {
		t.Fatal(err)
	}
	src, err := openPackSource(diskfs.OS(), p.name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
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
				if _, err := readFrame(r, packEntry{c.ID, off, c.Len}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Wait()
}

// TestPackLength: a pack whose file is not as long as what was written is never finished.
func TestPackLength(t *testing.T) {
	for _, longer := range []bool{false, true} {
		name := filepath.Join(t.TempDir(), "one.pack")
		p, err := createPack(shortDisk{diskfs.OS(), longer}, name)
		if err != nil {
			t.Fatal(err)
		}
		b := []byte("chunk")
		if err := errors.Join(p.add(merkle.Sum(b), b), p.finish()); err == nil {
			t.Errorf("longer %v: it is finished", longer)
		}
		p.abandon()
	}
}

// A chunk of another length than that of the pack's index, and one that the index places into the magic of the pack, is not
// given out: the index has a checksum of its own, and says nothing of what a recipe names.
func TestChunkOfAnotherLength(t *testing.T) {
	disk, dir := diskfs.OS(), t.TempDir()
	if err := diskfs.MkdirAll(disk, filepath.Join(dir, "packs"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := createPack(disk, filepath.Join(dir, "packs", "one.pack"))
	if err != nil {
		t.Fatal(err)
	}
	good := module.Chunk{ID: merkle.Sum([]byte("good")), Len: 4}
	if err := p.add(good.ID, []byte("good")); err != nil {
		t.Fatal(err)
	}
	before := merkle.Sum([]byte("before"))
	p.note(before, int64(len(packMagic))-1, 4) // as a damaged writer would have it
	for _, err := range []error{p.endChunks(), p.finish(), p.sync(), p.close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	packs := newPackSet(disk, dir, time.Now)
	defer packs.close()
	for _, c := range []struct {
		name  string
		chunk module.Chunk
		holds error
		want  error
	}{
		{"as it is", good, nil, nil},
		{"longer", module.Chunk{ID: good.ID, Len: 5}, module.ErrVerify, ErrCorrupt},
		{"shorter", module.Chunk{ID: good.ID, Len: 3}, module.ErrVerify, ErrCorrupt},
		{"in the magic", module.Chunk{ID: before, Len: 4}, nil, ErrCorrupt},
	} {
		if _, err := packs.holds(c.chunk); !errors.Is(err, c.holds) {
			t.Errorf("%s: holds: %v, want %v", c.name, err, c.holds)
		}
		if _, _, err := packs.Chunk(c.chunk); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
