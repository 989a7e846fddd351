package digstore_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
)

// A store is not removed under a writer of another process, nothing of it is left open when it is removed, and a writer
// that still has it open is refused.
func TestRemoveBesideAWriter(t *testing.T) {
	ctx := context.Background()
	disk := diskfs.NewCrashWith("/ws", &diskfs.CrashOptions{HoldOpen: true})
	w := must(digstore.Init("/ws", options(disk)))
	defer w.Close()
	s := must(w.Create(digstore.StoreID{}, &digstore.StoreOptions{Name: "site"}))
	check(t, s.StageFS(ctx, corpus.Small(1).FS()))
	must(s.Commit(ctx, nil, nil))
	verifyAll(t, s) // packs are open now
	other := must(digstore.Open("/ws", options(disk)))
	defer other.Close()
	writer := must(other.Store("site"))

	key := must(s.Signer())
	l := must(disk.TryLock("/ws/.dig/stores/site/lock"))
	if err := w.Remove("site"); !errors.Is(err, digstore.ErrLocked) {
		t.Errorf("remove beside a writer: %v, want locked", err)
	}
	check(t, l.Close())
	verifyAll(t, must(w.Store("site")))

	check(t, other.Close()) // its packs; Windows removes no open file
	check(t, w.Remove("site"))
	if _, err := disk.Stat("/ws/.dig/stores/site"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the store's directory: %v, want it gone", err)
	}
	if err := writer.Stage(ctx, "late", strings.NewReader("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stage into a removed store: %v, want not exist", err)
	}
	if _, err := writer.Commit(ctx, key, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit to a removed store: %v, want not exist", err)
	}

	// A removal that was cut short: the mark is there, and the store's files still are.
	s = must(w.Create(digstore.StoreID{}, &digstore.StoreOptions{Name: "site"}))
	check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/site/removed", nil, 0o600))
	stage(t, s, files{"late": "x"})
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit to a store that is being removed: %v, want not exist", err)
	}
}
