package capsule

import (
	"bytes"
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
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Dir is a Store and Lister in a directory:
//
//	lock                          held by the one process that writes
//	capsules/<64 hex digits>      the content of each capsule under its hash
//	stores/<id>/<root>.json       the manifest of a committed generation
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

	commit sync.Mutex // one commit at a time

	mu    sync.Mutex
	known map[manifestKey]*Manifest // what was read last
}

// manifestKey names a manifest and the file that it was read from.
type manifestKey struct {
	store    auth.StoreID
	root     merkle.Hash
	size     int64
	modified time.Time
}

// knownManifests is how many manifests are kept in memory.
const knownManifests = 16

// DirOptions are those of OpenDir. The zero value is the default.
type DirOptions struct {
	ReadOnly bool // take no lock; Put and Commit fail with errors.ErrUnsupported

	fs diskfs.FS // nil: this machine's; tests set others
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
	if o == nil {
		o = new(DirOptions)
	}
	d := &Dir{fs: o.fs, path: path, known: make(map[manifestKey]*Manifest)}
	if d.fs == nil {
		d.fs = diskfs.Beneath(path)
	}
	if err := d.open(o.ReadOnly); err != nil {
		return nil, fmt.Errorf("open capsule directory %s: %w", path, errors.Join(err, d.Close()))
	}
	return d, nil
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
	if s.lock == nil {
		return fmt.Errorf("directory is open read-only: %w", errors.ErrUnsupported)
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
	text, err := m.AppendJSON(nil) // checks m
	if err != nil {
		return err
	}
	if s.lock == nil {
		return fmt.Errorf("commit root %v of store %v: directory is open read-only: %w", m.Root,
			m.Store, errors.ErrUnsupported)
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	for _, d := range m.Capsules {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		info, err := s.fs.Lstat(s.content(d.Hash))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return notPut(m, d)
		case err != nil:
			return fmt.Errorf("commit root %v of store %v: %w", m.Root, m.Store, err)
		case !info.Mode().IsRegular() || info.Size() != int64(d.Size):
			return sizeDiffers(m, d, info.Size())
		}
	}
	if err := s.publish(m, text); err != nil {
		return fmt.Errorf("commit root %v of store %v: %w", m.Root, m.Store, err)
	}
	return nil
}

// publish makes the names of the content durable, then the manifest, then the head.
func (s *Dir) publish(m *Manifest, text []byte) error {
	if err := s.fs.SyncDir(s.name("capsules")); err != nil {
		return err
	}
	dir := filepath.Join("stores", m.Store.String())
	if err := s.fs.Mkdir(s.name(dir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// also when an earlier commit failed here
	if err := s.fs.SyncDir(s.name("stores")); err != nil {
		return err
	}
	if err := s.checkDirs(dir); err != nil {
		return err
	}
	if err := diskfs.WriteFile(s.fs, s.name(dir, m.Root.String()+manifestSuffix), text,
		0o644); err != nil {
		return err
	}
	return diskfs.WriteFile(s.fs, s.name(dir, "head"), []byte(m.Root.String()+"\n"), 0o644)
}

const manifestSuffix = ".json"

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
		list, err := s.fs.ReadDir(s.name("stores"))
		if err != nil {
			yield(auth.StoreID{}, fmt.Errorf("list stores: %w", err))
			return
		}
		for _, e := range list { // sorted by name
			id, err := auth.ParseStoreID(e.Name())
			if err != nil || id.String() != e.Name() || !e.IsDir() {
				continue
			}
			if _, err := s.fs.Lstat(s.name("stores", e.Name(), "head")); errors.Is(err,
				fs.ErrNotExist) {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(auth.StoreID{}, err)
				return
			}
			if !yield(id, nil) {
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
	m, err := s.manifest(store, root)
	if err != nil {
		return nil, fmt.Errorf("manifest of store %v: %w", store, err)
	}
	return m, nil
}

func (s *Dir) manifest(store auth.StoreID, root merkle.Hash) (*Manifest, error) {
	dir := filepath.Join("stores", store.String())
	if err := s.checkDirs(dir); err != nil {
		return nil, err
	}
	named := !root.IsZero()
	if !named {
		text, err := diskfs.ReadRegular(s.fs, s.name(dir, "head"), 128)
		if err != nil {
			return nil, err
		}
		if root, err = merkle.ParseHash(strings.TrimSuffix(string(text),
			"\n")); err != nil || root.IsZero() {
			return nil, &ManifestError{"", fmt.Errorf("head of %q, expected a root", text)}
		}
	}
	name := s.name(dir, root.String()+manifestSuffix)
	info, err := s.fs.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		// damage, not absence
		return nil, &ManifestError{"", fmt.Errorf("head %v has no manifest", root)}
	}
	if err != nil {
		return nil, err
	}
	key := manifestKey{store, root, info.Size(), info.ModTime()}
	s.mu.Lock()
	m := s.known[key]
	s.mu.Unlock()
	if m != nil {
		return m, nil
	}
	text, err := diskfs.ReadRegular(s.fs, name, MaxManifest)
	if err != nil {
		return nil, err
	}
	if m, err = ReadManifest(bytes.NewReader(text), 0); err != nil {
		return nil, err
	}
	if m.Store != store || m.Root != root {
		return nil, &ManifestError{"", fmt.Errorf("found root %v of store %v, expected root %v",
			m.Root, m.Store, root)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= knownManifests {
		clear(s.known)
	}
	s.known[key] = m
	return m, nil
}
