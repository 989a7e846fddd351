package digstore_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// readOnly is a disk that refuses changes.
type readOnly struct {
	diskfs.FS
	t testing.TB
}

func (d readOnly) refuse(op, name string) error {
	d.t.Errorf("a reader does %s of %s", op, name)
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
}

func (d readOnly) OpenFile(name string, flag int, perm fs.FileMode) (diskfs.File, error) {
	if flag != os.O_RDONLY {
		return nil, d.refuse("write", name)
	}
	return d.FS.OpenFile(name, flag, perm)
}

func (d readOnly) Rename(from, _ string) error            { return d.refuse("rename", from) }
func (d readOnly) Remove(name string) error               { return d.refuse("remove", name) }
func (d readOnly) Mkdir(name string, _ fs.FileMode) error { return d.refuse("mkdir", name) }
func (d readOnly) SyncDir(name string) error              { return d.refuse("sync", name) }
func (d readOnly) TryLock(name string) (io.Closer, error) { return nil, d.refuse("lock", name) }

// readEverything calls every reading operation.
func readEverything(dir string, disk diskfs.FS, out string) error {
	w, err := digstore.Open(dir, &digstore.Options{FS: disk, LockWait: -1})
	if err != nil {
		return err
	}
	defer w.Close()
	for s, err := range w.All() {
		if err != nil {
			return err
		}
		id := s.ID()
		head, err := w.Head(ctx, id)
		if err != nil {
			return fmt.Errorf("head: %w", err)
		}
		if err := head.Check(); err != nil {
			return fmt.Errorf("head: %w", err)
		}
		lines, err := s.Generations(ctx)
		if err != nil {
			return fmt.Errorf("generations: %w", err)
		}
		reads := map[string]func() error{
			"pending":     func() error { _, err := w.Pending(ctx, id); return err },
			"tombstones":  func() error { _, err := w.Tombstones(ctx, id); return err },
			"pins":        func() error { _, err := s.Pins(ctx); return err },
			"proven":      func() error { _, err := s.Proven(ctx); return err },
			"evidence":    func() error { _, err := s.Evidence(ctx); return err },
			"remotes":     func() error { _, err := s.Remotes(); return err },
			"staged":      func() error { _, err := s.Staged(); return err },
			"status":      func() error { _, err := s.Status(ctx); return err },
			"history":     func() error { _, err := s.History(ctx); return err },
			"held":        func() error { _, err := s.Held(ctx, head.Root); return err },
			"diff":        func() error { _, err := s.Diff(ctx, lines[0].Root, head.Root); return err },
			"contentroot": func() error { s.ContentRoot(); return nil },
		}
		for _, g := range lines {
			reads["generation "+g.Root.String()] = func() error { return readGeneration(w, id, g.Root, out) }
		}
		for name, read := range reads {
			if err := read(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func readGeneration(w *digstore.Workspace, id digstore.StoreID, root merkle.Hash,
	out string) error {
	s, err := w.Store(id.String())
	if err != nil {
		return err
	}
	g, err := s.At(root)
	if err != nil {
		return err
	}
	signed, err := s.SignedRoot(ctx, root)
	if err == nil {
		err = signed.Check()
	}
	if err != nil {
		return fmt.Errorf("signatures: %w", err)
	}
	if _, err := w.Recipe(ctx, id, root); err != nil {
		return err
	}
	r, err := w.Module(ctx, id, root)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := module.Decompose(ctx, r, func(module.Chunk, []byte) error {
		return nil
	}); err != nil {
		return err
	}
	if _, err := s.Verify(ctx, root, &digstore.VerifyOptions{Deep: true}); err != nil {
		return err
	}
	if _, err := s.Export(ctx, root, io.Discard, nil); err != nil {
		return err
	}
	if _, err := g.URNs(); err != nil {
		return err
	}
	_, err = g.Checkout(ctx, filepath.Join(out, root.String()), nil)
	return err
}

// TestReadersDoNotWrite: every reading operation works on a read-only disk, and while a writer
// holds the lock, even if signatures are missing.
func TestReadersDoNotWrite(t *testing.T) {
	dir, s, gens := commitTrees(t, edited(t, corpus.Small(6), "all at once", "swap"))
	for _, g := range gens { // as the reference implementation or an earlier version leaves them
		for _, ext := range []string{".sig", ".untagged.sig"} {
			if err := os.Remove(filepath.Join(dir, ".dig/stores/site/sigs",
				g.Root.String()+ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"roots.proof", "pins.json"} {
		check(t, os.Remove(filepath.Join(dir, ".dig/stores/site", name)))
	}
	check(t, must(digstore.Open(dir, nil)).Close())
	if err := readEverything(dir, readOnly{diskfs.OS(), t}, t.TempDir()); err != nil {
		t.Errorf("on a disk that cannot be written: %v", err)
	}
	check(t,
		s.Stage(ctx, "a", &beside{t: t, do: func() error {
			return readEverything(dir, diskfs.OS(), t.TempDir())
		}}))
	must(s.Adopt(ctx, nil))
	if err := readEverything(dir, readOnly{diskfs.OS(), t}, t.TempDir()); err != nil {
		t.Errorf("proven, on a disk that cannot be written: %v", err)
	}
}

// beside is content that calls a function when it is read, while the writer has the lock.
type beside struct {
	t  *testing.T
	do func() error
}

func (b *beside) Read([]byte) (int, error) {
	if err := b.do(); err != nil {
		b.t.Errorf("beside a writer: %v", err)
	}
	return 0, io.EOF
}
