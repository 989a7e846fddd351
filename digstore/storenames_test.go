package digstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/diskfs"
)

// TestStoreNamesDifferInMoreThanCase: on a disk where Site and site are one directory, a second
// store does not replace the key of the first. Other systems refuse it too, so that the workspace
// can be moved.
func TestStoreNamesDifferInMoreThanCase(t *testing.T) {
	for _, fold := range []bool{false, true} {
		disk := diskfs.NewCrashWith("/ws", &diskfs.CrashOptions{FoldCase: fold})
		w := must(digstore.Init("/ws", options(disk)))
		first := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "Site"}))
		commit(t, first, files{"a": "1"}, nil)
		key := must(first.Signer()).PublicKey()
		for _, name := range []string{"site", "SITE", "Site"} {
			if _, err := w.Create(ctx, digstore.StoreID{9},
				&digstore.StoreOptions{Name: name}); !errors.Is(err, fs.ErrExist) {
				t.Errorf("fold %v: create %s: %v, want exist", fold, name, err)
			}
		}
		check(t, w.Close())
		w = must(digstore.Open("/ws", options(disk)))
		s := must(w.Store("Site"))
		if must(s.Signer()).PublicKey() != key {
			t.Errorf("fold %v: the key has changed", fold)
		}
		verifyAll(t, s)
		check(t, w.Close())
	}
}

func TestStoreNamesOfDevices(t *testing.T) {
	w := must(digstore.Init("/ws", options(diskfs.NewCrash("/ws"))))
	defer w.Close()
	for name, ok := range map[string]bool{
		"con": false, "CON": false, "nul.txt": false, "Com1": false, "com1.a.b": false, "LPT9": false, "aux": false, "prn": false,
		"site.": false, ".git": false, "git~1": false, "console": true, "com": true, "com10": true, "a.con": true, ".site": true,
	} {
		_, err := w.Create(ctx, digstore.StoreID([]byte(fmt.Sprintf("%-32s", name))),
			&digstore.StoreOptions{Name: name})
		if ok && err != nil || !ok && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v, want it made: %v", name, err, ok)
		}
	}
}

// TestKeyOfAnUnlistedStore: a key in the directory of a store that the workspace does not list is
// not replaced.
func TestKeyOfAnUnlistedStore(t *testing.T) {
	disk := diskfs.NewCrash("/ws")
	w := must(digstore.Init("/ws", options(disk)))
	s := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "site"}))
	signer := must(s.Signer())
	key := signer.Seed()
	check(t, w.Close())
	check(t, disk.Remove("/ws/.dig/workspace.toml")) // lost
	for n := range 3 {
		w = must(digstore.Open("/ws", options(disk)))
		_, err := w.Create(ctx, digstore.StoreID{byte(n)},
			&digstore.StoreOptions{Name: "site", Key: signer})
		check(t, err)
		check(t, w.Close())
		got := must(diskfs.ReadFile(disk, "/ws/.dig/stores/site.old-1/signing_key.bin", 100))
		if string(got) != string(key[:]) {
			t.Fatalf("attempt %d: another key is set aside", n)
		}
		check(t, disk.Remove("/ws/.dig/workspace.toml"))
	}
	for _, name := range []string{"site.old-2", "site.old-3", "site"} {
		if _, err := disk.Stat("/ws/.dig/stores/" + name + "/signing_key.bin"); err != nil {
			t.Error(err)
		}
	}
}
