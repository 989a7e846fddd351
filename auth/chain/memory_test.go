package chain_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
)

// TestDirIsShared: several programs save a store concurrently while others load it. The loaded
// data is what one of them saved, and temporary files of a killed program are removed.
func TestDirIsShared(t *testing.T) {
	dir, store := filepath.Join(t.TempDir(), "made", "when needed"), auth.StoreID{1}
	if err := chain.NewDir(dir).Save(t.Context(), store, []byte("first")); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, store.String()+".chain.0123456789abcdef.tmp")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	reader, err := os.Open(filepath.Join(dir, store.String()+".chain"))
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { reader.Close() })
	for i := range 4 {
		wg.Go(func() {
			d := chain.NewDir(dir)
			for range 3 {
				if err := d.Save(t.Context(), store, bytes.Repeat([]byte{byte(i)}, 50_000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := chain.NewDir(dir).Load(t.Context(), store)
	if err != nil || len(got) != 50_000 || bytes.Count(got, got[:1]) != len(got) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Errorf("%d files, %v: want one", len(list), err)
	}
}
