package server

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/readerat"
	"github.com/dig-network/digstore/merkle"
)

// checkAgain is the shortest time between two checks of a damaged store.
const checkAgain = 5 * time.Second

// damageTracker keeps the set of damaged stores. They are not served until a check succeeds. Safe
// for concurrent use.
type damageTracker struct {
	back    Backend
	catalog Catalog // may be nil
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	stores  map[auth.StoreID]*damagedStore
	checked map[auth.StoreID]bool // by the catalog
	changes int                   // number of changes of stores
}

// A damagedStore is the state of a store that is not served.
type damagedStore struct {
	root     merkle.Hash // generation that could not be read; zero: unknown
	err      error
	next     time.Time // of the next check
	checking bool
}

func newDamageTracker(b Backend, c Catalog, log *slog.Logger, now func() time.Time) *damageTracker {
	return &damageTracker{back: b, catalog: c, log: log, now: now,
		stores:  map[auth.StoreID]*damagedStore{},
		checked: map[auth.StoreID]bool{}}
}

// note marks a store as damaged if err is module.ErrDamaged. The next request checks it again.
func (a *damageTracker) note(ctx context.Context, id module.ID, err error) {
	if !errors.Is(err, module.ErrDamaged) || errors.Is(err, module.ErrRemoved) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stores[id.Store] == nil {
		a.stores[id.Store] = &damagedStore{root: id.Root, err: err}
		a.changes++
		a.log.ErrorContext(ctx, "store is damaged and not served", "store", id.Store, "err", err)
	}
}

// changed returns how often a store became damaged or was repaired.
func (a *damageTracker) changed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changes
}

// refuse returns a refusal if a store is damaged. One caller at a time checks the store again, at
// most every 5 seconds and for at most a tenth of the time.
func (a *damageTracker) refuse(ctx context.Context, id auth.StoreID) error {
	a.mu.Lock()
	d := a.stores[id]
	if d == nil {
		a.mu.Unlock()
		return nil
	}
	begin := a.now()
	if d.checking || begin.Before(d.next) {
		defer a.mu.Unlock()
		return damagedRefusal(d.err)
	}
	d.checking = true
	a.mu.Unlock()

	err := a.check(ctx, module.ID{Store: id, Root: d.root})

	a.mu.Lock()
	defer a.mu.Unlock()
	d.checking = false
	if err == nil {
		delete(a.stores, id)
		a.changes++
		a.log.InfoContext(ctx, "store is repaired and served again", "store", id)
		return nil
	}
	end := a.now()
	d.next = end.Add(max(checkAgain, 10*end.Sub(begin)))
	return damagedRefusal(d.err)
}

func damagedRefusal(err error) error {
	return &refusal{status: http.StatusServiceUnavailable,
		text: "store is damaged and not served", cause: err}
}

// checkOnce checks a store with the catalog, the first time it is listed.
func (a *damageTracker) checkOnce(ctx context.Context, id auth.StoreID) {
	a.mu.Lock()
	known := a.checked[id]
	a.mu.Unlock()
	if a.catalog == nil || known {
		return
	}
	err := a.catalog.CheckStore(ctx, id)
	if ctx.Err() != nil {
		return
	}
	a.note(ctx, module.ID{Store: id}, err)
	a.mu.Lock()
	a.checked[id] = true
	a.mu.Unlock()
}

// check runs the catalog's check of a store and reads its head, its history and one whole
// generation.
func (a *damageTracker) check(ctx context.Context, id module.ID) error {
	if a.catalog != nil {
		if err := a.catalog.CheckStore(ctx, id.Store); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	head, err := a.back.Head(ctx, id.Store)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := a.back.Generations(ctx, id.Store); err != nil {
		return err
	}
	if id.Root.IsZero() {
		id.Root = head.Root
	}
	if id.Root.IsZero() {
		return nil
	}
	m, err := a.back.Module(ctx, id.Store, id.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = io.Copy(stoppedWriter{ctx}, m)
	return err
}

// stoppedWriter discards what is written, and fails once its context is done.
type stoppedWriter struct{ ctx context.Context }

func (w stoppedWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// A watchedModule passes read errors of a module to damageTracker.note.
type watchedModule struct {
	io.ReadSeekCloser
	at   io.ReaderAt
	note func(error)
}

func (a *damageTracker) watchModule(ctx context.Context, id module.ID,
	m io.ReadSeekCloser) *watchedModule {
	ctx = context.WithoutCancel(ctx) // the module may be read after the request ends
	return &watchedModule{m, readerat.New(m), func(err error) { a.note(ctx, id, err) }}
}

// Read implements io.Reader.
func (m *watchedModule) Read(p []byte) (int, error) {
	n, err := m.ReadSeekCloser.Read(p)
	m.note(err)
	return n, err
}

// ReadAt implements io.ReaderAt.
func (m *watchedModule) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.at.ReadAt(p, off)
	m.note(err)
	return n, err
}

// WriteTo implements io.WriterTo.
func (m *watchedModule) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, m.ReadSeekCloser)
	m.note(err)
	return n, err
}

// Digest implements [Digested]. It returns zero if the underlying reader is no Digested.
func (m *watchedModule) Digest() (merkle.Hash, error) {
	d, ok := m.ReadSeekCloser.(Digested)
	if !ok {
		return merkle.Hash{}, nil
	}
	return d.Digest()
}
