package capsule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Dir is a Store and Lister in a directory:
//
//	lock                          held by the one process that writes
//	capsules/<64 hex digits>      the content of each capsule under its hash
//	stores/<id>/<root>.json       the manifest of a committed generation, and its note
//	stores/<id>/head              the capsule root of the head, 64 hex digits and a line feed
//	tmp/                          content that is being put; emptied by OpenDir
//
// A generation exists when its manifest does; content is durable before the manifest is, and the
// manifest before head names it. After a crash the head is the old one or the new one, whole.
//
// The directory is not trusted. Links are not followed and only regular files are opened; names
// that are not as above are ignored; manifests are checked when they are read. Content is not:
// what Open returns is the file, a Seeker and ReaderAt, whose length is right, and the caller
// verifies it.
//
// One Dir writes; any number of others, in this or in other processes, may read at the same time.
type Dir struct {
	fs   diskfs.FS
	path string
	lock io.Closer // nil when read-only
	temp atomic.Uint64

	top fs.FileInfo // of stores, as it was opened

	commit sync.Mutex // one commit or removal at a time

	mu    sync.Mutex
	known map[manifestKey]knownManifest // what was read last
}

// manifestKey names a generation.
type manifestKey struct {
	store auth.StoreID
	root  merkle.Hash
}

// knownManifest is what a manifest file had, and the file that it was read from.
type knownManifest struct {
	info fs.FileInfo
	kept Kept
}

// knownManifests is how many manifests are kept in memory.
const knownManifests = 16

// DirOptions are those of OpenDir. The zero value is the default.
type DirOptions struct {
	ReadOnly bool // take no lock; Put and Commit fail with errors.ErrUnsupported
}

var (
	_ Store     = (*Dir)(nil)
	_ Lister    = (*Dir)(nil)
	_ io.Closer = (*Dir)(nil)
)

// OpenDir opens the store in the directory path, which is made when it is missing, unless
// read-only. A second writer is refused with an error about the lock. The caller closes the
// store.
func OpenDir(path string, o *DirOptions) (*Dir, error) {
	return OpenDirOn(diskfs.Beneath(path), path, o)
}

func (s *Dir) open(readOnly bool) error {
	if readOnly {
		return s.checkDirs("capsules", "stores")
	}
	if err := diskfs.MkdirAll(s.fs, s.path, 0o755); err != nil {
		return err
	}
	var err error
	if s.lock, err = s.fs.TryLock(s.name("lock")); err != nil {
		return err
	}
	for _, dir := range []string{"capsules", "stores", "tmp"} {
		if err := s.fs.Mkdir(s.name(dir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := s.fs.SyncDir(s.path); err != nil {
		return err
	}
	if err := s.checkDirs("capsules", "stores", "tmp"); err != nil {
		return err
	}
	left, err := s.fs.ReadDir(s.name("tmp"))
	if err != nil {
		return err
	}
	for _, e := range left {
		if e.IsDir() {
			continue // none of ours
		}
		if err := s.fs.Remove(s.name("tmp", e.Name())); err != nil && !errors.Is(err,
			fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// checkDirs returns nil when the names are directories and not links.
func (s *Dir) checkDirs(names ...string) error {
	for _, name := range names {
		info, err := s.fs.Lstat(s.name(name))
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return &fs.PathError{Op: "open", Path: s.name(name), Err: errors.New("not a directory")}
		}
	}
	return nil
}

func (s *Dir) name(parts ...string) string {
	return filepath.Join(append([]string{s.path}, parts...)...)
}

// Close releases the lock. The store must not be used afterwards; what was opened may be.
func (s *Dir) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// Put implements Store. The content is durable when Commit has returned.
func (s *Dir) Put(ctx context.Context, d Descriptor, r io.Reader) error {
	if err := s.put(ctx, d, r); err != nil {
		return fmt.Errorf("put capsule %v: %w", d.Hash, err)
	}
	return nil
}

func (s *Dir) put(ctx context.Context, d Descriptor, r io.Reader) (err error) {
	if err := s.writable(); err != nil {
		return err
	}
	tmp := s.name("tmp", fmt.Sprintf("%v-%d", d.Hash, s.temp.Add(1)))
	f, err := s.fs.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = s.fs.Remove(tmp) // OpenDir removes what stays
		}
	}()
	h := NewHasher()
	err = copyContent(ctx, io.MultiWriter(f, h), r, d)
	if err == nil {
		err = d.Matches(h.Descriptor(d.Index))
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return s.fs.Rename(tmp, s.content(d.Hash)) // replaces a file that may be damaged
}

func (s *Dir) content(hash merkle.Hash) string { return s.name("capsules", hash.String()) }

// Commit implements Store.
func (s *Dir) Commit(ctx context.Context, m *Manifest) error {
	return s.CommitWith(ctx, m, nil)
}

const (
	manifestSuffix = ".json"
	headName       = "head"
)

// Open implements Source.
func (s *Dir) Open(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, size, err := diskfs.OpenRegular(s.fs, s.content(d.Hash), os.O_RDONLY)
	if err == nil && size != int64(d.Size) {
		f.Close()
		err = fmt.Errorf("%w: found %d bytes, expected %d", ErrContentMismatch, size, d.Size)
	}
	if err != nil {
		return nil, fmt.Errorf("open capsule %v: %w", d.Hash, err)
	}
	return readOnlyFile{f}, nil
}

// readOnlyFile is a file without its methods that write.
type readOnlyFile struct{ f diskfs.File }

func (r readOnlyFile) Read(p []byte) (int, error)                { return r.f.Read(p) }
func (r readOnlyFile) ReadAt(p []byte, off int64) (int, error)   { return r.f.ReadAt(p, off) }
func (r readOnlyFile) Seek(off int64, whence int) (int64, error) { return r.f.Seek(off, whence) }
func (r readOnlyFile) Close() error                              { return r.f.Close() }

// Stat implements Source.
func (s *Dir) Stat(ctx context.Context, ref Ref) (Descriptor, error) {
	m, err := s.Manifest(ctx, ref.Store, ref.Root)
	if err != nil {
		return Descriptor{}, err
	}
	return m.at(ref)
}

// Stores implements Lister. A store directory without a head is passed over.
func (s *Dir) Stores(ctx context.Context) iter.Seq2[auth.StoreID, error] {
	return func(yield func(auth.StoreID, error) bool) {
		for id, err := range s.StoreDirs(ctx) {
			if err == nil {
				_, err := s.fs.Lstat(s.name("stores", id.String(), headName))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
			}
			if !yield(id, err) {
				return
			}
		}
	}
}

// Manifest implements Lister.
func (s *Dir) Manifest(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*Manifest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k, err := s.manifest(store, root)
	if err != nil {
		return nil, fmt.Errorf("manifest of store %v: %w", store, err)
	}
	return k.Manifest, nil
}

func (s *Dir) manifest(store auth.StoreID, root merkle.Hash) (Kept, error) {
	dir := filepath.Join("stores", store.String())
	if err := s.checkDirs(dir); err != nil {
		return Kept{}, err
	}
	named := !root.IsZero()
	if !named {
		var err error
		if root, err = s.head(dir); err != nil {
			return Kept{}, err
		}
	}
	name := s.name(dir, root.String()+manifestSuffix)
	info, err := s.fs.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		// damage, not absence
		return Kept{}, &ManifestError{"", fmt.Errorf("head %v has no manifest", root)}
	}
	if err != nil {
		return Kept{}, err
	}
	key := manifestKey{store, root}
	s.mu.Lock()
	known := s.known[key]
	s.mu.Unlock()
	if known.info != nil && sameVersion(known.info, info) {
		return known.kept, nil
	}
	text, err := diskfs.ReadRegular(s.fs, name, MaxManifest)
	if err != nil {
		return Kept{}, err
	}
	kept, err := readKept(text)
	if err != nil {
		return Kept{}, err
	}
	if m := kept.Manifest; m.Store != store || m.Root != root {
		return Kept{}, &ManifestError{"", fmt.Errorf("found root %v of store %v, expected root %v",
			m.Root, m.Store, root)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= knownManifests {
		clear(s.known)
	}
	s.known[key] = knownManifest{info, kept}
	return kept, nil
}

// sameVersion reports whether two descriptions of a name are of one file that did not change.
func sameVersion(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && diskfs.SameFile(a, b)
}

// head returns the root that the file head of a store directory names.
func (s *Dir) head(dir string) (root merkle.Hash, err error) {
	text, err := diskfs.ReadRegular(s.fs, s.name(dir, headName), 128)
	if err != nil {
		return root, err
	}
	root, err = merkle.ParseHash(strings.TrimSuffix(string(text), "\n"))
	if err != nil || root.IsZero() {
		return merkle.Hash{}, &ManifestError{"", fmt.Errorf("head of %q, expected a root", text)}
	}
	return root, nil
}
