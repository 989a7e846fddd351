package digstore_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// freshWorkspace is a workspace on the disk that is opened again for every call, as by separate
// commands. After a call that changes something, another instance verifies every held generation.
type freshWorkspace struct {
	t   *testing.T
	dir string
}

func newFresh(t *testing.T) freshWorkspace {
	t.Helper()
	f := freshWorkspace{t, t.TempDir()}
	check(t, must(digstore.Init(f.dir, nil)).Close())
	return f
}

// read calls do with the workspace.
func (f freshWorkspace) read(do func(w *digstore.Workspace) error) error {
	w, err := digstore.Open(f.dir, nil)
	if err != nil {
		return err
	}
	return errors.Join(do(w), w.Close())
}

// change is read for calls that may change something.
func (f freshWorkspace) change(do func(w *digstore.Workspace) error) error {
	err := f.read(do)
	if verr := f.read(f.verify); verr != nil {
		f.t.Errorf("after a call that returned %v, another process finds: %v", err, verr)
	}
	return err
}

func (f freshWorkspace) verify(w *digstore.Workspace) error {
	for s, err := range w.All() {
		if err != nil {
			return err
		}
		lines, err := s.Generations(ctx)
		if err != nil {
			return err
		}
		for _, g := range lines {
			_, err := s.Verify(ctx, g.Root, &digstore.VerifyOptions{Deep: true})
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // not held
				return err
			}
		}
	}
	return nil
}

// got returns the result of a call on a workspace.
func got[T any](f freshWorkspace, do func(w *digstore.Workspace) (T, error)) (v T, err error) {
	err = f.read(func(w *digstore.Workspace) error {
		v, err = do(w)
		return err
	})
	return v, err
}

// opened is got for a module, which keeps its workspace open.
func (f freshWorkspace) opened(do func(w *digstore.Workspace) (io.ReadSeekCloser,
	error)) (io.ReadSeekCloser, error) {
	w, err := digstore.Open(f.dir, nil)
	if err != nil {
		return nil, err
	}
	r, err := do(w)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return freshModule{r, w}, nil
}

type freshModule struct {
	io.ReadSeekCloser
	w *digstore.Workspace
}

func (m freshModule) Close() error { return errors.Join(m.ReadSeekCloser.Close(), m.w.Close()) }

func (f freshWorkspace) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	return got(f, func(w *digstore.Workspace) (auth.SignedRoot, error) { return w.Head(ctx, s) })
}

func (f freshWorkspace) Generations(ctx context.Context,
	s auth.StoreID) ([]module.Generation, error) {
	return got(f, func(w *digstore.Workspace) ([]module.Generation, error) {
		return w.Generations(ctx, s)
	})
}

func (f freshWorkspace) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	return f.opened(func(w *digstore.Workspace) (io.ReadSeekCloser, error) {
		return w.Module(ctx, s, root)
	})
}

func (f freshWorkspace) Recipe(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (*module.Recipe, error) {
	return got(f, func(w *digstore.Workspace) (*module.Recipe, error) {
		return w.Recipe(ctx, s, root)
	})
}

func (f freshWorkspace) Receive(ctx context.Context, p module.Push, r io.Reader,
	check func(*module.Module) error) error {
	return f.change(func(w *digstore.Workspace) error {
		return w.Receive(ctx, p, r, check)
	})
}

func (f freshWorkspace) ReceiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	return f.change(func(w *digstore.Workspace) error {
		return w.ReceiveRecipe(ctx, p, a, check)
	})
}

func (f freshWorkspace) Pending(ctx context.Context, s auth.StoreID) ([]module.Generation, error) {
	return got(f, func(w *digstore.Workspace) ([]module.Generation, error) {
		return w.Pending(ctx, s)
	})
}

func (f freshWorkspace) Promote(ctx context.Context, s auth.StoreID, root merkle.Hash) error {
	return f.change(func(w *digstore.Workspace) error { return w.Promote(ctx, s, root) })
}

func (f freshWorkspace) Drop(ctx context.Context, s auth.StoreID, root merkle.Hash) error {
	return f.change(func(w *digstore.Workspace) error { return w.Drop(ctx, s, root) })
}

func (f freshWorkspace) Revert(ctx context.Context, head auth.SignedRoot,
	parent merkle.Hash) error {
	return f.change(func(w *digstore.Workspace) error { return w.Revert(ctx, head, parent) })
}

func (f freshWorkspace) Line(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (module.Generation, error) {
	return got(f, func(w *digstore.Workspace) (module.Generation, error) {
		return w.Line(ctx, s, root)
	})
}

func (f freshWorkspace) CheckStore(ctx context.Context, s auth.StoreID) error {
	return f.read(func(w *digstore.Workspace) error { return w.CheckStore(ctx, s) })
}

func (f freshWorkspace) SetOwner(ctx context.Context, s auth.StoreID, owner auth.PublicKey) error {
	return f.change(func(w *digstore.Workspace) error { return w.SetOwner(ctx, s, owner) })
}

func (f freshWorkspace) Owned(ctx context.Context) iter.Seq2[module.Owned, error] {
	return yielded(f, func(w *digstore.Workspace) iter.Seq2[module.Owned, error] {
		return w.Owned(ctx)
	})
}

func (f freshWorkspace) Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error) {
	return got(f, func(w *digstore.Workspace) ([]auth.Tombstone, error) {
		return w.Tombstones(ctx, s)
	})
}

func (f freshWorkspace) Revoke(ctx context.Context, t auth.Tombstone) error {
	return f.change(func(w *digstore.Workspace) error { return w.Revoke(ctx, t) })
}

func (f freshWorkspace) Stores(ctx context.Context) iter.Seq2[auth.StoreID, error] {
	return yielded(f, func(w *digstore.Workspace) iter.Seq2[auth.StoreID, error] {
		return w.Stores(ctx)
	})
}

// yielded is got for a list.
func yielded[T any](f freshWorkspace,
	list func(w *digstore.Workspace) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := f.read(func(w *digstore.Workspace) error {
			for v, err := range list(w) {
				if !yield(v, err) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			f.t.Error(err)
		}
	}
}

// freshStore is a store of a freshWorkspace.
type freshStore struct {
	f  freshWorkspace
	id auth.StoreID
}

func (f freshWorkspace) store(id auth.StoreID) freshStore {
	check(f.t, f.change(func(w *digstore.Workspace) error {
		_, err := w.Create(ctx, id, nil)
		return err
	}))
	return freshStore{f, id}
}

// of is got for the store.
func of[T any](f freshStore, do func(s *digstore.Store) (T, error)) (T, error) {
	return got(f.f, func(w *digstore.Workspace) (v T, err error) {
		s, err := w.Store(f.id.String())
		if err != nil {
			return v, err
		}
		return do(s)
	})
}

func (f freshStore) change(do func(s *digstore.Store) error) error {
	return f.f.change(func(w *digstore.Workspace) error {
		s, err := w.Store(f.id.String())
		if err != nil {
			return err
		}
		return do(s)
	})
}

func (f freshStore) ID() auth.StoreID { return f.id }

func (f freshStore) Head(ctx context.Context) (auth.SignedRoot, error) {
	return of(f, func(s *digstore.Store) (auth.SignedRoot, error) { return s.Head(ctx) })
}

func (f freshStore) Generations(ctx context.Context) ([]module.Generation, error) {
	return of(f, func(s *digstore.Store) ([]module.Generation, error) { return s.Generations(ctx) })
}

func (f freshStore) Has(ctx context.Context, root merkle.Hash) (bool, error) {
	return of(f, func(s *digstore.Store) (bool, error) { return s.Has(ctx, root) })
}

func (f freshStore) Module(ctx context.Context, root merkle.Hash) (io.ReadSeekCloser, error) {
	return f.f.opened(func(w *digstore.Workspace) (io.ReadSeekCloser, error) {
		return w.Module(ctx, f.id, root)
	})
}

func (f freshStore) Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	r io.Reader, check func(*module.Module) error) error {
	return f.change(func(s *digstore.Store) error { return s.Install(ctx, lines, head, r, check) })
}

func (f freshStore) SignedRoot(ctx context.Context, root merkle.Hash) (auth.SignedRoot, error) {
	return of(f, func(s *digstore.Store) (auth.SignedRoot, error) { return s.SignedRoot(ctx, root) })
}

func (f freshStore) Held(ctx context.Context, root merkle.Hash) (int64, error) {
	return of(f, func(s *digstore.Store) (int64, error) { return s.Held(ctx, root) })
}

func (f freshStore) Discard(ctx context.Context, root merkle.Hash) error {
	return f.change(func(s *digstore.Store) error { return s.Discard(ctx, root) })
}

func (f freshStore) Recipe(ctx context.Context, root merkle.Hash) (*module.Recipe, error) {
	return of(f, func(s *digstore.Store) (*module.Recipe, error) { return s.Recipe(ctx, root) })
}

func (f freshStore) MissingChunks(ctx context.Context, r *module.Recipe) ([]int, error) {
	return of(f, func(s *digstore.Store) ([]int, error) { return s.MissingChunks(ctx, r) })
}

func (f freshStore) Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	a module.Assembly, check func(*module.Module) error) error {
	return f.change(func(s *digstore.Store) error { return s.Assemble(ctx, lines, head, a, check) })
}

func (f freshStore) Line(ctx context.Context, root merkle.Hash) (module.Generation, error) {
	return of(f, func(s *digstore.Store) (module.Generation, error) { return s.Line(ctx, root) })
}

func (f freshStore) Tail(ctx context.Context, n int) ([]module.Generation, error) {
	return of(f, func(s *digstore.Store) ([]module.Generation, error) { return s.Tail(ctx, n) })
}

func (f freshStore) KeepSigned(ctx context.Context, r auth.SignedRoot) error {
	return f.change(func(s *digstore.Store) error { return s.KeepSigned(ctx, r) })
}

func (f freshStore) PutEvidence(ctx context.Context, doc []byte) (name string, err error) {
	err = f.change(func(s *digstore.Store) error {
		name, err = s.PutEvidence(ctx, doc)
		return err
	})
	return name, err
}

func (f freshStore) Evidence(ctx context.Context) ([][]byte, error) {
	return of(f, func(s *digstore.Store) ([][]byte, error) { return s.Evidence(ctx) })
}

func (f freshStore) Pins(ctx context.Context) (module.Pins, error) {
	return of(f, func(s *digstore.Store) (module.Pins, error) { return s.Pins(ctx) })
}

func (f freshStore) Pin(ctx context.Context, p module.Pins) error {
	return f.change(func(s *digstore.Store) error { return s.Pin(ctx, p) })
}

func (f freshStore) Tombstones(ctx context.Context, id auth.StoreID) ([]auth.Tombstone, error) {
	return of(f, func(s *digstore.Store) ([]auth.Tombstone, error) { return s.Tombstones(ctx, id) })
}

func (f freshStore) Revoke(ctx context.Context, t auth.Tombstone) error {
	return f.change(func(s *digstore.Store) error { return s.Revoke(ctx, t) })
}

// The contracts hold for separate commands as for one process: no instance depends on the memory of
// another.
var (
	_ remote.Resumer       = freshStore{}
	_ remote.Assembler     = freshStore{}
	_ remote.TrustStore    = freshStore{}
	_ remote.History       = freshStore{}
	_ server.Receiver      = freshWorkspace{}
	_ server.Revoker       = freshWorkspace{}
	_ server.Catalog       = freshWorkspace{}
	_ server.Promoter      = freshWorkspace{}
	_ server.RecipeBackend = freshWorkspace{}
)
