// Package legacy reads generations that the reference implementation has written: a manifest with a
// file for each chunk in generations/<root>, and a whole module in modules (LAYOUT.md 13). It never
// writes them.
package legacy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/filestamp"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

const (
	// SubDir is the directory of the generations, below that of the store. Each has a directory in
	// it.
	SubDir = "generations"
	// KeysFile is the file of the trusted keys, below the directory of the store.
	KeysFile = "trusted_keys.json"
	// maxManifest is the limit of a manifest in bytes.
	maxManifest = 256 << 20
)

// A TrustedKey is one entry of KeysFile.
type TrustedKey struct {
	PublicKey auth.PublicKey `json:"public_key"`
	Label     string         `json:"label"`
}

// A Dir reads the generations of a store. Several goroutines may call Open.
type Dir struct {
	fs     diskfs.FS
	path   string // of the store
	store  auth.StoreID
	now    func() time.Time
	chunks map[merkle.Hash]string // paths of chunk files; nil: not listed yet
}

// New returns the generations of a store, whose directory is dir.
func New(fsys diskfs.FS, dir string, store auth.StoreID, now func() time.Time) *Dir {
	return &Dir{fs: fsys, path: dir, store: store, now: now}
}

// manifest is manifest.json. The same chunk may be in Chunks several times.
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

func (d *Dir) modulePath(root merkle.Hash) string {
	return filepath.Join(d.path, "modules", module.ID{Store: d.store, Root: root}.FileName())
}

func (d *Dir) manifestPath(root merkle.Hash) string {
	return filepath.Join(d.path, SubDir, root.String(), "manifest.json")
}

// Paths returns paths of which at least one exists if the generation does.
func (d *Dir) Paths(root merkle.Hash) []string {
	return []string{d.manifestPath(root), d.modulePath(root)}
}

// A Generation is what Open returns.
type Generation struct {
	Module *module.Module
	Names  []string // of the resources, in the order of the manifest; nil if there is no manifest
	// Digest identifies the bytes of the module. It is zero while a change of the file might go
	// unnoticed.
	Digest func() (merkle.Hash, error)
}

// Open opens a generation from its module, or else from its manifest and chunks. It returns nil if
// neither exists.
func (d *Dir) Open(root merkle.Hash, packs *packdir.Dir) (*Generation, error) {
	man, err := d.readManifest(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	g := &Generation{}
	if man != nil {
		for _, r := range man.KeyTable {
			g.Names = append(g.Names, r.ResourceKey)
		}
	}
	name := d.modulePath(root)
	if info, err := d.fs.Stat(name); err == nil {
		file := packs.File(name)
		if g.Module, err = module.Open(file, info.Size()); err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		if want := (module.ID{Store: d.store, Root: root}); g.Module.ID() != want {
			return nil, damage.In(name, "expected module %s, found %s", want, g.Module.ID())
		}
		g.Digest = func() (merkle.Hash, error) { return fileDigest(file, d.now()) }
		return g, nil
	}
	if man == nil {
		return nil, nil
	}
	r, err := d.compose(root, man, packs)
	if err == nil {
		g.Module, err = r.Module(packs)
	}
	if err != nil {
		return nil, err
	}
	g.Digest = r.Digest
	return g, nil
}

// fileDigest hashes the size and the time of a file. It is zero for a file so new that a later
// change may keep both.
func fileDigest(f *packdir.File, now time.Time) (merkle.Hash, error) {
	info, err := f.Stat()
	if err != nil {
		return merkle.Hash{}, err
	}
	stamp := filestamp.Of(info)
	if !stamp.Stable(now) {
		return merkle.Hash{}, nil
	}
	b := binary.BigEndian.AppendUint64([]byte("file"), uint64(stamp.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(stamp.Mtime.Unix()))
	return merkle.Sum(binary.BigEndian.AppendUint64(b, uint64(stamp.Mtime.Nanosecond()))), nil
}

func (d *Dir) readManifest(root merkle.Hash) (*manifest, error) {
	name := d.manifestPath(root)
	text, err := diskfs.ReadFile(d.fs, name, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, damage.In(name, "%v", err)
	}
	if m.Root != root {
		return nil, damage.In(name, "expected root %s, found %s", root, m.Root)
	}
	return &m, nil
}

// compose makes a recipe from a manifest and the first key in trusted_keys.json.
func (d *Dir) compose(root merkle.Hash, man *manifest, packs *packdir.Dir) (*module.Recipe, error) {
	name := d.manifestPath(root)
	entries := make([]module.Entry, len(man.KeyTable))
	for i, row := range man.KeyTable {
		e := module.Entry{Key: row.StaticKey}
		leaf := sha256.New()
		for _, n := range row.ChunkIndices {
			if int64(n) >= int64(len(man.Chunks)) {
				return nil, damage.In(name, "resource %q: chunk %d of %d", row.ResourceKey,
					n, len(man.Chunks))
			}
			c := module.Chunk{ID: man.Chunks[n].Hash, Len: uint32(man.Chunks[n].Size)}
			if uint64(c.Len) != man.Chunks[n].Size {
				return nil, damage.In(name, "chunk %d has %d bytes", n, man.Chunks[n].Size)
			}
			e.Chunks = append(e.Chunks, c)
			if len(row.ChunkIndices) > 1 {
				if err := hashChunk(leaf, c, packs); err != nil {
					return nil, err
				}
			}
		}
		if len(e.Chunks) == 1 {
			e.Leaf = e.Chunks[0].ID
		} else {
			leaf.Sum(e.Leaf[:0])
		}
		entries[i] = e
	}
	r, err := module.Compose(d.store, d.trustedKey(), entries, nil)
	if err != nil {
		return nil, fmt.Errorf("open generation %s: %w", root, err)
	}
	if r.Root() != root {
		return nil, damage.In(name, "expected root %s, found %s", root, r.Root())
	}
	return r, nil
}

// trustedKey returns the first trusted key; zero if there is none.
func (d *Dir) trustedKey() auth.PublicKey {
	text, err := smallfile.Read(d.fs, filepath.Join(d.path, KeysFile))
	if err != nil {
		return auth.PublicKey{}
	}
	var keys []TrustedKey
	if json.Unmarshal(text, &keys) != nil || len(keys) == 0 {
		return auth.PublicKey{}
	}
	return keys[0].PublicKey
}

// hashChunk adds a chunk to the hash of its resource.
func hashChunk(h hash.Hash, c module.Chunk, packs *packdir.Dir) error {
	r, off, err := packs.Chunk(c)
	if err != nil {
		return err
	}
	n, err := io.Copy(h, io.NewSectionReader(r, off+4, int64(c.Len)))
	if err == nil && n != int64(c.Len) {
		err = damage.In(c.ID.String(), "chunk: expected %d bytes, found %d", c.Len, n)
	}
	return err
}
