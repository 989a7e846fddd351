package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/diskfs"
)

// TestLockWaitEnds: a writer that waits for the lock of the store or of the workspace stops waiting
// when its context ends, and nothing is changed.
func TestLockWaitEnds(t *testing.T) {
	disk := diskfs.NewCrash("/ws")
	o := options(disk)
	o.LockWait = time.Hour
	w := must(digstore.Init("/ws", o))
	defer w.Close()
	s := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "site"}))
	key := auth.NewKey([auth.SeedSize]byte{9})
	for _, name := range []string{"lock", "stores/site/lock"} {
		defer must(disk.TryLock(filepath.Join("/ws/.dig", name))).Close()
	}
	for name, do := range map[string]func(ctx context.Context) error{
		"stage":   func(ctx context.Context) error { return s.Stage(ctx, "a", bytes.NewReader(nil)) },
		"unstage": func(ctx context.Context) error { _, err := s.Unstage(ctx); return err },
		"create": func(ctx context.Context) error {
			_, err := w.Create(ctx, digstore.StoreID{}, nil)
			return err
		},
		"use":              func(ctx context.Context) error { return w.Use(ctx, "site") },
		"remove":           func(ctx context.Context) error { return w.Remove(ctx, "site") },
		"import key":       func(ctx context.Context) error { return s.ImportKey(ctx, key) },
		"adopt key":        func(ctx context.Context) error { return s.AdoptKey(ctx, key) },
		"add remote":       func(ctx context.Context) error { return s.AddRemote(ctx, "origin", "dig://host/x") },
		"remove remote":    func(ctx context.Context) error { return s.RemoveRemote(ctx, "origin") },
		"set content root": func(ctx context.Context) error { return s.SetContentRoot(ctx, "site") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := do(ctx); !errors.Is(err, context.DeadlineExceeded) ||
				!errors.Is(err, digstore.ErrLocked) {
				t.Errorf("%v, want a lock that is held and a context that has ended", err)
			}
		})
	}
}
