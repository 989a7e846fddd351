package digstore

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// maxOpenPacks is how many packs are kept open at once.
const maxOpenPacks = 64

// packSet finds chunks in the packs of a store and, where those do not have one, among the chunk files of the
// reference's generations. It is a module.ChunkSource, safe for concurrent use.
type packSet struct {
	fs  diskfs.FS
	dir string // packs/
	old string // generations/

	mu     sync.Mutex
	loaded bool
	runs   []*run
	stale  []string
	files  map[string]*packFile
	open   []*packFile
	tick   atomic.Int64
	oldAt  map[merkle.Hash]string

	now     func() time.Time
	checked map[packCheck]time.Time // when chunks were hashed; see checkedPacks
}

func newPackSet(fsys diskfs.FS, storeDir string, now func() time.Time) *packSet {
	return &packSet{fs: fsys, now: now, dir: filepath.Join(storeDir, "packs"), old: filepath.Join(storeDir, "generations"),
		files: map[string]*packFile{}}
}

func missingChunk(c module.Chunk) error {
	return fmt.Errorf("chunk %s (%d bytes): %w", c.ID, c.Len, fs.ErrNotExist)
}

// reload forgets the index; the next look-up reads it anew. It is called when packs came or went.
func (p *packSet) reload() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loaded, p.runs, p.oldAt = false, nil, nil
	p.files = map[string]*packFile{} // what is open is closed in its turn
	p.checked = nil
}

// remove deletes a pack that nothing needs. On Windows a pack that is read now stays: the next gc finds it again.
func (p *packSet) remove(name string) error {
	name = filepath.Join(p.dir, name)
	err := p.fs.Remove(name)
	if diskfs.InUse(err) {
		p.shut(name)
		err = p.fs.Remove(name)
	}
	if diskfs.InUse(err) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// shut closes the files of a pack that this set has open. What still reads them opens them again.
func (p *packSet) shut(name string) {
	p.mu.Lock()
	var mine []*packFile
	p.open = slices.DeleteFunc(p.open, func(f *packFile) bool {
		if f.name == name {
			mine = append(mine, f)
		}
		return f.name == name
	})
	p.mu.Unlock()
	for _, f := range mine {
		f.shut()
	}
}

// added notes a new pack, if the index is loaded. The caller holds the store's lock.
func (p *packSet) added(name string, entries []packEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded {
		p.runs = append(p.runs, &run{packs: []string{name}, rows: appendRows(make([]byte, 0, len(entries)*packRow), entries), width: packRow})
		delete(p.files, name)
	}
}

// load reads the index when it is not here. The caller holds mu.
func (p *packSet) load() error {
	if p.loaded {
		return nil
	}
	runs, stale, err := loadRuns(p.fs, p.dir)
	if err != nil {
		return err
	}
	p.runs, p.stale, p.loaded = runs, stale, true
	return nil
}

func (p *packSet) lookup(id merkle.Hash) (packEntry, string, bool) {
	for _, r := range p.runs {
		if e, pack, ok := r.find(id); ok {
			return e, pack, true
		}
	}
	return packEntry{}, "", false
}

// has reports whether a pack holds the chunk, by an index that may lack what others have just written.
func (p *packSet) has(id merkle.Hash) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return false, err
	}
	_, _, ok := p.lookup(id)
	return ok, nil
}

// holds is has for a chunk whose length is known; another length than that of the one that is held is module.ErrVerify.
func (p *packSet) holds(c module.Chunk) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return false, err
	}
	e, _, ok := p.lookup(c.ID)
	if ok && e.n != c.Len {
		return false, fmt.Errorf("chunk %s has %d bytes, not %d: %w", c.ID, e.n, c.Len, module.ErrVerify)
	}
	return ok, nil
}

// Chunk implements module.ChunkSource. A chunk that is not there is ErrCorrupt, since something that is held names it,
// and fs.ErrNotExist too.
func (p *packSet) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	r, off, err := p.chunk(c)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return r, off, err
}

func (p *packSet) chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	for range 2 {
		r, off, fresh, err := p.locate(c)
		if f, ok := r.(*packFile); ok {
			// A gc of another process may have moved the chunk; once it is open the file stays.
			if err = f.openFile(); err == nil {
				return r, off, nil
			}
		}
		if r != nil && err == nil || fresh || !errors.Is(err, fs.ErrNotExist) {
			return r, off, err
		}
		p.reload() // another process may have written it since
	}
	return nil, 0, missingChunk(c)
}

// locate finds a chunk. fresh says that the index was read for it.
func (p *packSet) locate(c module.Chunk) (r io.ReaderAt, off int64, fresh bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh = !p.loaded
	if err := p.load(); err != nil {
		return nil, 0, fresh, err
	}
	if e, pack, ok := p.lookup(c.ID); ok {
		if e.n != c.Len || e.off < int64(len(packMagic)) {
			return nil, 0, fresh, corrupt(filepath.Join(p.dir, pack), "chunk %s has %d bytes at offset %d, want %d bytes", c.ID, e.n, e.off, c.Len)
		}
		return p.file(pack), e.off, fresh, nil
	}
	if r, ok := p.oldChunk(c); ok {
		return r, 0, fresh, nil
	}
	return nil, 0, fresh, missingChunk(c)
}

func (p *packSet) file(pack string) *packFile {
	f := p.files[pack]
	if f == nil {
		f = &packFile{set: p, name: filepath.Join(p.dir, pack)}
		p.files[pack] = f
	}
	return f
}

// dropIndex removes the index files that speak of any of those packs.
func (p *packSet) dropIndex(packs []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return err
	}
	drop := p.stale
	for _, r := range p.runs {
		if r.file != "" && slices.ContainsFunc(r.packs, func(name string) bool { return slices.Contains(packs, name) }) {
			drop = append(drop, r.file)
		}
	}
	p.loaded, p.runs, p.stale = false, nil, nil
	for _, name := range drop {
		if err := p.fs.Remove(filepath.Join(p.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove index: %w", err)
		}
	}
	return nil
}

// tidy merges runs of a size where there are many of them, and removes index files that are out of date. The caller
// holds the store's lock. Nothing is lost when it fails: the packs have it all.
func (p *packSet) tidy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.load() != nil {
		return
	}
	for _, name := range p.stale {
		_ = p.fs.Remove(filepath.Join(p.dir, name))
	}
	p.stale = nil
	for {
		tiers := map[int][]*run{}
		for _, r := range p.runs {
			tiers[r.tier()] = append(tiers[r.tier()], r)
		}
		var merge []*run
		for _, rs := range tiers {
			if len(rs) >= tierRuns {
				merge = rs
			}
		}
		if merge == nil {
			return
		}
		m := mergeRuns(merge)
		h := fnv.New64a()
		for _, name := range m.packs {
			_, _ = io.WriteString(h, name)
		}
		m.file = "run-" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, h.Sum64())) + runExt
		tmp := filepath.Join(p.dir, runTemp)
		if diskfs.WriteNew(p.fs, tmp, m.marshal(), 0o644, false) != nil || p.fs.Rename(tmp, filepath.Join(p.dir, m.file)) != nil {
			return
		}
		for _, r := range merge {
			if r.file != "" {
				_ = p.fs.Remove(filepath.Join(p.dir, r.file))
			}
		}
		p.runs = append(slices.DeleteFunc(p.runs, func(r *run) bool { return slices.Contains(merge, r) }), m)
	}
}

func (p *packSet) close() {
	p.mu.Lock()
	open := p.open
	p.open, p.files, p.loaded, p.runs = nil, map[string]*packFile{}, false, nil
	p.mu.Unlock()
	for _, f := range open {
		f.shut()
	}
}

// A packFile is a pack as an io.ReaderAt that opens the file when it is read. Of all packs of a set only so many stay open.
type packFile struct {
	set  *packSet
	name string
	used atomic.Int64

	mu sync.RWMutex
	f  diskfs.File
}

// ReadAt implements io.ReaderAt.
func (f *packFile) ReadAt(b []byte, off int64) (int, error) {
	for {
		f.mu.RLock()
		if f.f != nil {
			f.used.Store(f.set.tick.Add(1))
			n, err := f.f.ReadAt(b, off)
			f.mu.RUnlock()
			if err == io.EOF && n < len(b) { // nobody reads behind what an index or a recipe names
				err = corrupt(f.name, "it ends at byte %d, before byte %d", off+int64(n), off+int64(len(b)))
			}
			return n, err
		}
		f.mu.RUnlock()
		if err := f.openFile(); err != nil {
			return 0, err
		}
	}
}

func (f *packFile) openFile() error {
	f.mu.RLock()
	open := f.f != nil
	f.mu.RUnlock()
	if open {
		return nil
	}
	f.mu.Lock()
	if f.f != nil {
		f.mu.Unlock()
		return nil
	}
	file, err := f.set.fs.OpenFile(f.name, openRead, 0)
	if err != nil {
		f.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) {
			f.set.reload() // a gc of another process has moved its chunks
		}
		return fmt.Errorf("open pack: %w", err)
	}
	f.f = file
	f.used.Store(f.set.tick.Add(1))
	f.mu.Unlock()
	f.set.opened(f)
	return nil
}

// opened notes an open file and closes the one that was not used for longest when there are too many.
func (p *packSet) opened(f *packFile) {
	p.mu.Lock()
	p.open = append(p.open, f)
	var oldest *packFile
	if len(p.open) > maxOpenPacks {
		oldest = slices.MinFunc(p.open, func(a, b *packFile) int { return int(a.used.Load() - b.used.Load()) })
		p.open = slices.DeleteFunc(p.open, func(o *packFile) bool { return o == oldest })
	}
	p.mu.Unlock()
	if oldest != nil {
		oldest.shut()
	}
}

func (f *packFile) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}
