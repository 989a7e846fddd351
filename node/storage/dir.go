package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Dir is a Storage in a directory of capsule.Dir, which documents the layout. Meta is the note of a
// manifest.
//
// One Dir writes; any number of others, in this or in other processes, may read at the same time.
// Content that was put and neither committed nor discarded survives a restart: see Orphans.
//
// The first call that needs the references of contents (Discard, Remove, Orphans, Usage) reads all
// manifests. From then on the Dir uses about 32 bytes of memory for each capsule.
type Dir struct {
	dir      *capsule.Dir
	path     string
	fs       diskfs.FS
	readOnly bool

	mu     sync.Mutex
	ledger *ledger              // nil: not read yet
	staged map[merkle.Hash]bool // put, and neither committed nor discarded
}

// DirOptions are settings of OpenDir. nil and the zero value mean the defaults.
type DirOptions struct {
	ReadOnly bool      // take no lock; methods that write fail with errors.ErrUnsupported
	FS       diskfs.FS // default: the disk; only packages of this module can name another one
}

var (
	_ Storage      = (*Dir)(nil)
	_ OrphanLister = (*Dir)(nil)
	_ Stamper      = (*Dir)(nil)
	_ io.Closer    = (*Dir)(nil)
)

// OpenDir opens the storage in the directory path. It creates a missing directory, unless
// read-only. A second writer is refused. The caller closes the Dir.
func OpenDir(path string, o *DirOptions) (*Dir, error) {
	if o == nil {
		o = new(DirOptions)
	}
	open := capsule.DirOptions{ReadOnly: o.ReadOnly}
	s := &Dir{path: path, fs: o.FS, readOnly: o.ReadOnly, staged: map[merkle.Hash]bool{}}
	var err error
	if o.FS == nil {
		s.dir, err = capsule.OpenDir(path, &open)
	} else {
		s.dir, err = capsule.OpenDirOn(o.FS, path, &open)
	}
	if err != nil {
		return nil, noSpace(err)
	}
	return s, nil
}

// Close releases the lock. The Dir must not be used afterwards; open contents may be.
func (s *Dir) Close() error { return s.dir.Close() }

// Path returns the directory.
func (s *Dir) Path() string { return s.path }

// settle converts an error of the disk for the caller: fs.ErrNotExist becomes ErrUnavailable if the
// directory is missing, and a full disk is ErrNoSpace.
func (s *Dir) settle(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if gone := s.available(); gone != nil {
			return gone
		}
	}
	return noSpace(err)
}

// available returns nil if the directory exists.
func (s *Dir) available() error { return noSpace(s.dir.Available()) }

// noSpace adds ErrNoSpace to the error of a full disk.
func noSpace(err error) error {
	if diskfs.NoSpace(err) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// Stat implements Storage.
func (s *Dir) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	d, err := s.dir.Stat(ctx, ref)
	return d, s.settle(err)
}

// Open implements Storage. The result is also an io.Seeker and an io.ReaderAt.
func (s *Dir) Open(
	ctx context.Context, d capsule.Descriptor, off, n int64,
) (io.ReadCloser, error) {
	from, length, err := part(d, off, n)
	if err != nil {
		return nil, err
	}
	rc, err := s.dir.Open(ctx, d)
	if err != nil {
		return nil, s.settle(err)
	}
	return section{io.NewSectionReader(rc.(io.ReaderAt), from, length), rc}, nil
}

// section is a part of an open file.
type section struct {
	*io.SectionReader
	io.Closer
}

// Put implements Storage. The content is durable when Commit has returned.
func (s *Dir) Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error {
	err := s.writable(ctx, "put capsule")
	if err == nil {
		err = s.dir.Put(ctx, d, r)
	}
	if err != nil {
		return s.settle(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged[d.Hash] = true
	if s.ledger != nil {
		s.ledger.add(d.Hash, int64(d.Size))
	}
	return nil
}

// Commit implements Storage.
func (s *Dir) Commit(ctx context.Context, g *Generation) error {
	if err := g.check(); err != nil {
		return err
	}
	if err := s.writable(ctx, "commit"); err != nil {
		return err
	}
	m := g.Manifest
	s.mu.Lock()
	defer s.mu.Unlock()
	var old *capsule.Manifest // whose references the new one replaces
	if s.ledger != nil {
		k, err := s.dir.Kept(ctx, m.Store, m.Root)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			s.ledger = nil // it was damaged, so its references are unknown
		default:
			old = k.Manifest
		}
	}
	err := s.dir.CommitWith(ctx, m, &capsule.CommitOptions{Late: !g.Head, Note: g.Meta})
	if err != nil {
		s.recheck(ctx, m, old)
		return s.settle(err)
	}
	for _, d := range m.Capsules {
		delete(s.staged, d.Hash)
	}
	if s.ledger != nil {
		s.ledger.commit(m, old)
	}
	return nil
}

// recheck drops the ledger if a failed commit may have changed the disk. The caller holds mu.
func (s *Dir) recheck(ctx context.Context, m, old *capsule.Manifest) {
	now, err := s.dir.Kept(context.WithoutCancel(ctx), m.Store, m.Root)
	absent := errors.Is(err, fs.ErrNotExist) && old == nil
	same := err == nil && now.Manifest == old
	if !absent && !same {
		s.ledger = nil
	}
}

// Stores implements Storage. To skip a datastore whose generations are all removed, it lists the
// directory of each datastore without a head.
func (s *Dir) Stores(ctx context.Context) iter.Seq2[auth.StoreID, error] {
	return func(yield func(auth.StoreID, error) bool) {
		for id, err := range s.dir.StoreDirs(ctx) {
			if err != nil {
				yield(id, s.settle(err))
				return
			}
			ok, err := s.hasGeneration(id)
			if err == nil && !ok {
				continue
			}
			if !yield(id, s.settle(err)) {
				return
			}
		}
	}
}

func (s *Dir) hasGeneration(id auth.StoreID) (bool, error) {
	_, err := s.dir.Head(id)
	if !errors.Is(err, fs.ErrNotExist) {
		return true, nil // an unreadable head is still a head
	}
	files, err := s.dir.Manifests(id)
	return len(files) > 0, err
}

// Generations implements Storage.
func (s *Dir) Generations(
	ctx context.Context, store auth.StoreID,
) iter.Seq2[*Generation, error] {
	return func(yield func(*Generation, error) bool) {
		files, err := s.manifests(store)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, f := range files {
			g, err := s.Generation(ctx, store, f.Root)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if !yield(g, err) || ctx.Err() != nil {
				return
			}
		}
	}
}

// manifests lists the generations of a datastore; none only if the directory exists.
func (s *Dir) manifests(store auth.StoreID) ([]capsule.ManifestFile, error) {
	files, err := s.dir.Manifests(store)
	if err == nil && len(files) == 0 {
		err = s.available()
	}
	return files, s.settle(err)
}

// Generation implements Storage.
func (s *Dir) Generation(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*Generation, error) {
	k, err := s.dir.Kept(ctx, store, root)
	if err != nil {
		return nil, s.settle(err)
	}
	return &Generation{Manifest: k.Manifest, Meta: k.Note, Head: k.Head}, nil
}

// Held implements Storage. It checks that each file exists, and does not read it.
func (s *Dir) Held(
	ctx context.Context, store auth.StoreID,
) iter.Seq2[capsule.Descriptor, error] {
	return func(yield func(capsule.Descriptor, error) bool) {
		absent, stopped := false, false
		there := func(d capsule.Descriptor) (bool, error) {
			c, err := s.dir.StatContent(d.Hash)
			if errors.Is(err, fs.ErrNotExist) {
				absent = true // if the directory exists, which is checked once
				return false, nil
			}
			return c.Size == int64(d.Size), s.settle(err)
		}
		held(ctx, s.Generations(ctx, store), there)(func(d capsule.Descriptor, err error) bool {
			stopped = !yield(d, err)
			return !stopped
		})
		if !absent || stopped {
			return
		}
		if err := s.available(); err != nil {
			yield(capsule.Descriptor{}, err)
		}
	}
}

// Stamps implements Stamper.
func (s *Dir) Stamps(ctx context.Context) iter.Seq2[Stamp, error] {
	return func(yield func(Stamp, error) bool) {
		for id, err := range s.dir.StoreDirs(ctx) {
			if err != nil {
				yield(Stamp{}, s.settle(err))
				return
			}
			files, err := s.manifests(id)
			if err != nil {
				yield(Stamp{}, err)
				return
			}
			head, err := s.dir.Head(id)
			absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, capsule.ErrManifest)
			if err != nil && !absent {
				yield(Stamp{}, s.settle(err))
				return
			}
			for _, f := range files {
				stamp := Stamp{id, f.Root, f.Root == head, f.Size, f.Modified}
				if !yield(stamp, nil) {
					return
				}
			}
		}
	}
}
