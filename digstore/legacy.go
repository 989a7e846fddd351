package digstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A workspace of the reference keeps a generation as generations/<root>/manifest.json with a file
// for each chunk, and as a whole module in modules/. Both are read where they are and never
// written. See LAYOUT.md 13.

// manifest is the reference's manifest.json. See LAYOUT.md 13.1. Its chunk indices are not
// de-duplicated.
type manifest struct {
	SchemaVersion int         `json:"schema_version"`
	GenerationID  uint64      `json:"generation_id"`
	Root          merkle.Hash `json:"root"`
	Timestamp     uint64      `json:"timestamp"`
	Chunks        []struct {
		Index uint32      `json:"index"`
		Hash  merkle.Hash `json:"hash"`
		Size  uint64      `json:"size"`
	} `json:"chunks"`
	KeyTable []struct {
		ResourceKey  string      `json:"resource_key"`
		StaticKey    merkle.Hash `json:"static_key"`
		Generation   merkle.Hash `json:"generation"`
		ChunkIndices []uint32    `json:"chunk_indices"`
		TotalSize    uint64      `json:"total_size"`
	} `json:"key_table"`
}

// legacyName and manifestName are where the reference keeps the module and the manifest of a
// generation.
func (s *Store) legacyName(root merkle.Hash) string {
	return filepath.Join(s.dir, "modules", module.ID{Store: s.set.id, Root: root}.FileName())
}

func (s *Store) manifestName(root merkle.Hash) string {
	return filepath.Join(s.dir, "generations", root.String(), "manifest.json")
}

// openLegacy opens a generation that the reference has written: its module, or what its manifest
// and chunks make. digest is that of moduleReader.Digest.
func (s *Store) openLegacy(root merkle.Hash) (mod *module.Module,
	digest func() (merkle.Hash, error), names []string, ok bool, err error) {
	man, err := s.readManifest(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, false, err
	}
	if man != nil {
		for _, r := range man.KeyTable {
			names = append(names, r.ResourceKey)
		}
	}
	name := s.legacyName(root)
	if info, err := s.w.fs.Stat(name); err == nil {
		file := s.packs.File(name)
		mod, err := module.Open(file, info.Size())
		if err != nil {
			return nil, nil, nil, false, fmt.Errorf("open %s: %w", name, err)
		}
		if want := (module.ID{Store: s.set.id, Root: root}); mod.ID() != want {
			return nil, nil, nil, false, corrupt(name, "is %s", mod.ID())
		}
		digest := func() (merkle.Hash, error) { return fileDigest(file, s.w.now()) }
		return mod, digest, names, true, nil
	}
	if man == nil {
		return nil, nil, nil, false, nil
	}
	r, err := s.composeLegacy(root, man)
	if err == nil {
		mod, err = r.Module(s.packs)
	}
	if err != nil {
		return nil, nil, nil, false, err
	}
	return mod, r.Digest, names, true, nil
}

// fileDigest stands for the bytes of a file: it is made of its size and time, and zero while the
// time is too young to tell a later change.
func fileDigest(f *packdir.File, now time.Time) (merkle.Hash, error) {
	info, err := f.Stat()
	if err != nil {
		return merkle.Hash{}, err
	}
	stamp := stampOf(info)
	if !stamp.stable(now) {
		return merkle.Hash{}, nil
	}
	b := binary.BigEndian.AppendUint64([]byte("file"), uint64(stamp.size))
	b = binary.BigEndian.AppendUint64(b, uint64(stamp.mtime.Unix()))
	return merkle.Sum(binary.BigEndian.AppendUint64(b, uint64(stamp.mtime.Nanosecond()))), nil
}

func (s *Store) readManifest(root merkle.Hash) (*manifest, error) {
	name := s.manifestName(root)
	text, err := diskfs.ReadFile(s.w.fs, name, maxNames)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, corrupt(name, "%v", err)
	}
	if m.Root != root {
		return nil, corrupt(name, "is of root %s", m.Root)
	}
	return &m, nil
}

// composeLegacy makes the recipe of a module of a manifest and the publisher key that
// trusted_keys.json names first.
func (s *Store) composeLegacy(root merkle.Hash, man *manifest) (*module.Recipe, error) {
	name := s.manifestName(root)
	entries := make([]module.Entry, len(man.KeyTable))
	for i, row := range man.KeyTable {
		e := module.Entry{Key: row.StaticKey}
		leaf := newLeafHash()
		for _, n := range row.ChunkIndices {
			if int64(n) >= int64(len(man.Chunks)) {
				return nil, corrupt(name, "resource %q names chunk %d of %d", row.ResourceKey,
					n, len(man.Chunks))
			}
			c := module.Chunk{ID: man.Chunks[n].Hash, Len: uint32(man.Chunks[n].Size)}
			if uint64(c.Len) != man.Chunks[n].Size {
				return nil, corrupt(name, "chunk %d has %d bytes", n, man.Chunks[n].Size)
			}
			e.Chunks = append(e.Chunks, c)
			if len(row.ChunkIndices) > 1 {
				if err := s.hashChunk(leaf, c); err != nil {
					return nil, err
				}
			}
		}
		if len(e.Chunks) == 1 {
			e.Leaf = e.Chunks[0].ID
		} else {
			e.Leaf = leaf.sum()
		}
		entries[i] = e
	}
	var key auth.PublicKey
	if text, err := diskfs.ReadFile(s.w.fs, filepath.Join(s.dir, "trusted_keys.json"),
		maxConfig); err == nil {
		var keys []trustedKey
		if json.Unmarshal(text, &keys) == nil && len(keys) > 0 {
			key = keys[0].PublicKey
		}
	}
	r, err := module.Compose(s.set.id, key, entries, nil)
	if err != nil {
		return nil, fmt.Errorf("open generation %s: %w", root, err)
	}
	if r.Root() != root {
		return nil, corrupt(name, "its resources make root %s", r.Root())
	}
	return r, nil
}

func (s *Store) hashChunk(h *leafHash, c module.Chunk) error {
	r, off, err := s.packs.Chunk(c)
	if err != nil {
		return err
	}
	n, err := io.Copy(h.h, io.NewSectionReader(r, off+4, int64(c.Len)))
	if err == nil && n != int64(c.Len) {
		err = corrupt(c.ID.String(), "chunk of %d bytes, want %d", n, c.Len)
	}
	return err
}

// oldChunks finds the chunk files of the reference, in whatever generation they are. It is used by
// one goroutine at a time.
type oldChunks struct {
	fs  diskfs.FS
	dir string                 // generations/
	at  map[merkle.Hash]string // nil: not looked at
}

// chunk returns a chunk whose frame begins at 0.
func (o *oldChunks) chunk(c module.Chunk) (io.ReaderAt, bool) {
	if o.at == nil {
		o.at = map[merkle.Hash]string{}
		gens, err := o.fs.ReadDir(o.dir)
		if err != nil {
			return nil, false
		}
		for _, g := range gens {
			dir := filepath.Join(o.dir, g.Name(), "chunks")
			list, err := o.fs.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range list {
				if id, err := merkle.ParseHash(e.Name()); err == nil {
					o.at[id] = filepath.Join(dir, e.Name())
				}
			}
		}
	}
	name, ok := o.at[c.ID]
	if !ok {
		return nil, false
	}
	return &chunkFile{fs: o.fs, name: name, n: c.Len}, true
}

// forget makes the next call look at the folders again.
func (o *oldChunks) forget() { o.at = nil }

// chunkFile is a chunk of the reference, a file of its own, with the length in front that a pool
// has.
type chunkFile struct {
	fs   diskfs.FS
	name string
	n    uint32
}

// ReadAt implements io.ReaderAt.
func (f *chunkFile) ReadAt(b []byte, off int64) (int, error) {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], f.n)
	n := 0
	if off < 4 {
		n = copy(b, head[off:])
	}
	if n == len(b) {
		return n, nil
	}
	file, err := f.fs.OpenFile(f.name, openRead, 0)
	if err != nil {
		return n, fmt.Errorf("read chunk: %w", err)
	}
	defer file.Close()
	m, err := file.ReadAt(b[n:], off+int64(n)-4)
	return n + m, err
}
