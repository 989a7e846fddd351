package capsule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// OpenDirOn is OpenDir on another file system, which only packages of this module can name.
func OpenDirOn(fsys diskfs.FS, path string, o *DirOptions) (*Dir, error) {
	if o == nil {
		o = new(DirOptions)
	}
	d := &Dir{fs: fsys, path: path, known: make(map[manifestKey]knownManifest)}
	err := d.open(o.ReadOnly)
	if err == nil {
		d.top, err = d.fs.Lstat(d.name("stores"))
	}
	if err != nil {
		return nil, fmt.Errorf("open capsule directory %s: %w", path, errors.Join(err, d.Close()))
	}
	return d, nil
}

// MaxNote is the length of the longest note in bytes: 64 KiB.
const MaxNote = 64 << 10

// CommitOptions are settings of Dir.CommitWith. nil and the zero value are those of Commit.
type CommitOptions struct {
	// Late leaves the head as it is, for an older generation.
	Late bool
	// Note is kept with the manifest, in the same file. It has at most MaxNote bytes.
	Note []byte
}

// Kept is a committed generation as a Dir keeps it. The caller must not change it.
type Kept struct {
	Manifest *Manifest
	Note     []byte // empty: none
	Head     bool   // it is the head of its datastore
}

// Content is a file of capsule content. Its bytes are not verified.
type Content struct {
	Hash     merkle.Hash // by its name
	Size     int64       // bytes
	Modified time.Time
}

// CommitWith is Commit with settings. The manifest and its note appear at once.
func (s *Dir) CommitWith(ctx context.Context, m *Manifest, o *CommitOptions) error {
	if o == nil {
		o = new(CommitOptions)
	}
	text, err := appendKept(m, o.Note) // checks m
	if err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return fmt.Errorf("commit root %v of store %v: %w", m.Root, m.Store, err)
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
	if err := s.publish(m, text, !o.Late); err != nil {
		return fmt.Errorf("commit root %v of store %v: %w", m.Root, m.Store, err)
	}
	return nil
}

// publish makes the names of the content durable, then the manifest, then the head.
func (s *Dir) publish(m *Manifest, text []byte, head bool) error {
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
		0o644); err != nil || !head {
		return err
	}
	return diskfs.WriteFile(s.fs, s.name(dir, headName), []byte(m.Root.String()+"\n"), 0o644)
}

// A note is the first member of the manifest file: base64 of the note and the first noteSum bytes
// of its SHA-256.
const (
	noteMember = `{"note":"`
	noteSum    = 4
)

// appendKept returns the text of a manifest file.
func appendKept(m *Manifest, note []byte) ([]byte, error) {
	if len(note) > MaxNote {
		return nil, fmt.Errorf("commit root %v of store %v: note of %d bytes, expected at most %d",
			m.Root, m.Store, len(note), MaxNote)
	}
	if len(note) == 0 {
		return m.AppendJSON(nil)
	}
	sum := sha256.Sum256(note)
	text := base64.StdEncoding.AppendEncode([]byte(noteMember),
		append(bytes.Clone(note), sum[:noteSum]...))
	text = append(text, '"')
	at := len(text)
	text, err := m.AppendJSON(text)
	if err != nil {
		return nil, err
	}
	text[at] = ',' // in place of the brace
	return text, nil
}

// readKept reads the text of a manifest file.
func readKept(text []byte) (k Kept, err error) {
	if k.Manifest, err = ReadManifest(bytes.NewReader(text), MaxManifest); err != nil {
		return Kept{}, err
	}
	rest, ok := bytes.CutPrefix(text, []byte(noteMember))
	if !ok {
		return k, nil
	}
	encoded, _, _ := bytes.Cut(rest, []byte{'"'}) // ReadManifest has found the quote
	note, err := base64.StdEncoding.Strict().AppendDecode(nil, encoded)
	if err != nil {
		return Kept{}, &ManifestError{"note", err}
	}
	n := len(note) - noteSum
	if n < 0 {
		return Kept{}, &ManifestError{"note", fmt.Errorf("found %d bytes, expected at least %d",
			len(note), noteSum)}
	}
	if sum := sha256.Sum256(note[:n]); !bytes.Equal(sum[:noteSum], note[n:]) {
		return Kept{}, &ManifestError{"note", fmt.Errorf("found checksum %x, expected %x", note[n:],
			sum[:noteSum])}
	}
	k.Note = note[:n:n]
	return k, nil
}

// Kept returns a committed generation; a zero root means the head. Absence is fs.ErrNotExist.
func (s *Dir) Kept(ctx context.Context, store auth.StoreID, root merkle.Hash) (Kept, error) {
	if err := ctx.Err(); err != nil {
		return Kept{}, err
	}
	k, err := s.manifest(store, root)
	if err != nil {
		return Kept{}, fmt.Errorf("generation of store %v: %w", store, err)
	}
	head, err := s.Head(store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Kept{}, err
	}
	k.Head = head == k.Manifest.Root
	return k, nil
}

// Head returns the root of the head of a datastore. Absence is fs.ErrNotExist.
func (s *Dir) Head(store auth.StoreID) (merkle.Hash, error) {
	root, err := s.head(filepath.Join("stores", store.String()))
	if err != nil {
		return root, fmt.Errorf("head of store %v: %w", store, err)
	}
	return root, nil
}

// A ManifestFile describes the file of a committed generation, which was not read.
type ManifestFile struct {
	Root     merkle.Hash
	Size     int64 // bytes
	Modified time.Time
}

// Manifests returns the files of the committed generations of a datastore, ascending by root. A
// datastore that is not there has none.
func (s *Dir) Manifests(store auth.StoreID) ([]ManifestFile, error) {
	list, err := s.fs.ReadDir(s.name("stores", store.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list generations of store %v: %w", store, err)
	}
	var files []ManifestFile
	for _, e := range list { // sorted by name
		text, ok := strings.CutSuffix(e.Name(), manifestSuffix)
		root, err := merkle.ParseHash(text)
		if !ok || err != nil || root.String() != text {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list generations of store %v: %w", store, err)
		}
		files = append(files, ManifestFile{root, info.Size(), info.ModTime()})
	}
	return files, nil
}

// StoreDirs yields all datastores that have a directory, with or without a head, in ascending
// order.
func (s *Dir) StoreDirs(ctx context.Context) iter.Seq2[auth.StoreID, error] {
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

// Contents yields the files of capsule content, committed or not, ascending by hash.
func (s *Dir) Contents(ctx context.Context) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		list, err := s.fs.ReadDir(s.name("capsules"))
		if err != nil {
			yield(Content{}, fmt.Errorf("list capsules: %w", err))
			return
		}
		for _, e := range list {
			hash, err := merkle.ParseHash(e.Name())
			if err != nil || hash.String() != e.Name() || !e.Type().IsRegular() {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(Content{}, err)
				return
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				yield(Content{}, fmt.Errorf("list capsules: %w", err))
				return
			}
			if !yield(Content{hash, info.Size(), info.ModTime()}, nil) {
				return
			}
		}
	}
}

// StatContent describes the content of a hash without reading it. Absence is fs.ErrNotExist.
func (s *Dir) StatContent(hash merkle.Hash) (Content, error) {
	info, err := s.fs.Lstat(s.content(hash))
	if err == nil && !info.Mode().IsRegular() {
		err = regular.ErrNotRegular
	}
	if err != nil {
		return Content{}, fmt.Errorf("stat capsule %v: %w", hash, err)
	}
	return Content{hash, info.Size(), info.ModTime()}, nil
}

// RemoveContent removes the content of a hash, whether or not a committed generation names it.
// After a crash it may be there again. Absence is fs.ErrNotExist.
func (s *Dir) RemoveContent(hash merkle.Hash) error {
	err := s.writable()
	if err == nil {
		err = s.fs.Remove(s.content(hash))
	}
	if err != nil {
		return fmt.Errorf("remove capsule %v: %w", hash, err)
	}
	return nil
}

// RemoveGeneration removes the manifest of a generation and, when it is the head, the head, so
// that the datastore has none until the next commit. The content of its capsules stays. The
// removal is durable on return. Absence is fs.ErrNotExist.
func (s *Dir) RemoveGeneration(store auth.StoreID, root merkle.Hash) error {
	if err := s.removeGeneration(store, root); err != nil {
		return fmt.Errorf("remove root %v of store %v: %w", root, store, err)
	}
	return nil
}

func (s *Dir) removeGeneration(store auth.StoreID, root merkle.Hash) error {
	if err := s.writable(); err != nil {
		return err
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	dir := filepath.Join("stores", store.String())
	if err := s.checkDirs(dir); err != nil {
		return err
	}
	manifest := s.name(dir, root.String()+manifestSuffix)
	if _, err := s.fs.Lstat(manifest); err != nil {
		return err
	}
	head, err := s.head(dir)
	damaged := errors.Is(err, ErrManifest)
	if err != nil && !damaged && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if damaged || head == root { // a head that cannot be read names nothing
		if err := s.fs.Remove(s.name(dir, headName)); err != nil {
			return err
		}
		if err := s.fs.SyncDir(s.name(dir)); err != nil {
			return err
		}
	}
	if err := s.fs.Remove(manifest); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.name(dir)); err != nil {
		return err
	}
	return s.removeEmpty(dir)
}

// removeEmpty removes a store directory that holds nothing, or nothing but what an interrupted
// commit has left.
func (s *Dir) removeEmpty(dir string) error {
	list, err := s.fs.ReadDir(s.name(dir))
	if err != nil {
		return err
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".tmp") {
			return nil
		}
	}
	for _, e := range list {
		if err := s.fs.Remove(s.name(dir, e.Name())); err != nil {
			return err
		}
	}
	if err := s.fs.Remove(s.name(dir)); err != nil {
		return err
	}
	return s.fs.SyncDir(s.name("stores"))
}

// writable returns nil when the directory was opened for writing.
func (s *Dir) writable() error {
	if s.lock == nil {
		return fmt.Errorf("directory is open read-only: %w", errors.ErrUnsupported)
	}
	return nil
}

// ErrUnavailable reports that the directory of a store is not where it was opened: its volume is
// gone, or another one is in its place. Nothing can be said about what it holds.
var ErrUnavailable = errors.New("directory of the store is not available")

// Available returns nil when the directory that was opened is in its place, and else an error that
// matches ErrUnavailable. While it is not, other methods may report fs.ErrNotExist for what is
// there.
func (s *Dir) Available() error {
	info, err := s.fs.Lstat(s.name("stores"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: found no directory", ErrUnavailable, s.path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !diskfs.SameFile(s.top, info) {
		return fmt.Errorf("%w: %s: found another directory", ErrUnavailable, s.path)
	}
	return nil
}
