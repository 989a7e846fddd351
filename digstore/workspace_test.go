package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

func TestWorkspace(t *testing.T) {
	dir := t.TempDir()
	if _, err := digstore.Open(dir, nil); !errors.Is(err, digstore.ErrNoWorkspace) {
		t.Fatalf("open an empty folder: %v", err)
	}
	w, err := digstore.Init(dir, nil)
	check(t, err)
	defer w.Close()
	if _, err := digstore.Init(dir, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("init again: %v", err)
	}
	if _, err := w.Active(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the active store of none: %v", err)
	}
	a, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "a", ContentRoot: "site",
		MaxSize: 5, Label: "A", Description: "the first"})
	check(t, err)
	b, err := w.Create(ctx, digstore.StoreID{1}, nil)
	check(t, err)
	key, err := a.Signer()
	check(t, err)
	if a.ID() != auth.StoreIDFromKey(key.PublicKey()) {
		t.Errorf("id %s is not the hash of the key", a.ID())
	}
	if _, err := b.Signer(); !errors.Is(err, digstore.ErrNoKey) {
		t.Errorf("key of a store with a given id: %v", err)
	}
	for _, bad := range []*digstore.StoreOptions{{Name: "a"}, {Name: "x/y"}, {Name: ".."},
		{Private: true, Listed: true, Name: "c"}} {
		if _, err := w.Create(ctx, digstore.StoreID{2}, bad); err == nil {
			t.Errorf("created %+v", bad)
		}
	}
	if _, err := w.Create(ctx, a.ID(),
		&digstore.StoreOptions{Name: "again"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an id twice: %v", err)
	}
	below := filepath.Join(dir, "x", "y")
	check(t, os.MkdirAll(below, 0o755))
	found, err := digstore.Find(below, nil)
	check(t, err)
	defer found.Close()
	s, err := found.Active()
	check(t, err)
	label, about := s.Label()
	if s.Name() != "a" || s.MaxSize() != 5 || label != "A" || about != "the first" ||
		s.ContentRoot() != filepath.Join(found.Dir(), "site") {
		t.Errorf("found %s, %d, %s, %s, %s", s.Name(), s.MaxSize(), label, about, s.ContentRoot())
	}
	check(t, found.Use(ctx, b.ID().String()))
	if s, err := w.Active(); err != nil || s.ID() != b.ID() {
		t.Errorf("active: %v, %v", s, err)
	}
	check(t, a.SetContentRoot(ctx, ""))
	if must(found.Store("a")).ContentRoot() != "" {
		t.Error("the content root is still there")
	}
	n := 0
	for s, err := range w.All() {
		check(t, err)
		if s != nil {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d stores, want 2", n)
	}
	check(t, w.Remove(ctx, "a"))
	if _, err := found.Store("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed store: %v", err)
	}
	_, err = w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "a"})
	check(t, err)
}

func TestGitIgnoresDig(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
	write(t, dir, files{".gitignore": "x"})
	w, err := digstore.Init(dir, nil)
	check(t, err)
	check(t, w.Close())
	got, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	check(t, err)
	if string(got) != "x\n.dig/\n" {
		t.Errorf(".gitignore is %q", got)
	}
}

func TestSecretsOnDisk(t *testing.T) {
	dir := t.TempDir()
	w, err := digstore.Init(dir, nil)
	check(t, err)
	defer w.Close()
	s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s", Private: true})
	check(t, err)
	for _, name := range []string{"signing_key.bin", "config.toml", "secret_salt.hex"} {
		name = filepath.Join(dir, ".dig/stores/s", name)
		info, err := os.Stat(name)
		check(t, err)
		if info.Mode().Perm() != 0o600 && os.PathSeparator == '/' {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if os.PathSeparator != '/' {
		return
	}
	check(t, os.Chmod(filepath.Join(dir, ".dig/stores/s/signing_key.bin"), 0o644))
	if _, err := s.Signer(); !errors.As(err, new(*digstore.AccessError)) ||
		strings.Contains(err.Error(), "seed") {
		t.Errorf("a key that others can read: %v", err)
	}
}

// TestWriterWaits: the second of two writers waits, or gets an error that names the holder of the
// lock.
func TestWriterWaits(t *testing.T) {
	dir := t.TempDir()
	w, err := digstore.Init(dir, &digstore.Options{LockWait: -1})
	check(t, err)
	defer w.Close()
	s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s"})
	check(t, err)
	name := filepath.Join(dir, ".dig/stores/s/lock")
	l, err := diskfs.OS().TryLock(name)
	check(t, err)
	var locked *digstore.LockedError
	if err := s.Stage(context.Background(), "a",
		strings.NewReader("x")); !errors.Is(err, digstore.ErrLocked) || !errors.As(err,
		&locked) || locked.PID != os.Getpid() {
		t.Errorf("a second writer: %v", err)
	}
	patient, err := digstore.Open(dir, &digstore.Options{LockWait: time.Minute})
	check(t, err)
	defer patient.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- must(patient.Store("s")).Stage(ctx, "a", strings.NewReader("x")) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a writer that gave up: %v", err)
	}
	go func() {
		done <- must(patient.Store("s")).Stage(context.Background(), "a", strings.NewReader("x"))
	}()
	check(t, l.Close())
	check(t, <-done)
}

func TestRemotes(t *testing.T) {
	_, s := inMemory(t, nil)
	if url, err := s.Remote("origin"); err != nil || url != digstore.DefaultOrigin {
		t.Errorf("origin is %q, %v", url, err)
	}
	check(t, s.AddRemote(ctx, "origin", "dig://host/x"))
	check(t, s.AddRemote(ctx, "origin", "dig://host/x"))
	if err := s.AddRemote(ctx, "origin", "dig://other/x"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("add again: %v", err)
	}
	if url, err := s.Remote("origin"); err != nil || url != "dig://host/x" {
		t.Errorf("origin is %q, %v", url, err)
	}
	check(t, s.RemoveRemote(ctx, "origin"))
	for _, err := range []error{s.RemoveRemote(ctx, "origin"), second(s.Remote("other"))} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an unknown remote: %v", err)
		}
	}
}

func second(_ string, err error) error { return err }

// TestPushForms: push forms and remotes are in one file, and writing one keeps the other.
func TestPushForms(t *testing.T) {
	ctx := t.Context()
	w, s := inMemory(t, &digstore.StoreOptions{Name: "s"})
	check(t, s.AddRemote(ctx, "origin", "dig://host/x"))
	want := map[string]auth.PushForm{"https://host:8443": auth.FormTagged,
		"http://127.0.0.1:8444": auth.FormUntagged}
	for origin, form := range want {
		check(t, s.KeepPushForm(ctx, origin, form))
	}
	check(t, s.AddRemote(ctx, "backup", "dig://other/x"))
	check(t, w.Close())
	s = must(w.Store("s"))
	for origin, form := range want {
		if got, err := s.PushForm(ctx, origin); err != nil || got != form {
			t.Errorf("form at %s is %q, %v: want %q", origin, got, err, form)
		}
	}
	if got, err := s.PushForm(ctx, "https://elsewhere"); err != nil || got != "" {
		t.Errorf("form at an unknown origin is %q, %v", got, err)
	}
	if all, err := s.Remotes(); err != nil || len(all) != 2 {
		t.Errorf("remotes %v, %v", all, err)
	}
	for n := range 100 {
		check(t, s.KeepPushForm(ctx, fmt.Sprintf("https://host-%d", n), auth.FormTagged))
	}
	known := 0
	for n := range 100 {
		if form, err := s.PushForm(ctx, fmt.Sprintf("https://host-%d", n)); err == nil &&
			form == auth.FormTagged {
			known++
		}
	}
	if known == 0 || known > 64 {
		t.Errorf("%d origins are remembered, want at most 64", known)
	}
}

func TestPinsAndKnownStores(t *testing.T) {
	ctx := context.Background()
	w, s := inMemory(t, &digstore.StoreOptions{Name: "s"})
	p, err := s.Pins(ctx)
	check(t, err)
	if p != (module.Pins{}) {
		t.Errorf("pins of a new store: %+v", p)
	}
	want := module.Pins{Publisher: auth.NewKey([32]byte{1}).PublicKey(),
		Root: merkle.Hash{2}, Generation: 3}
	check(t, s.Pin(ctx, want))
	check(t, w.Close())
	if p, err = must(w.Store("s")).Pins(ctx); err != nil || p != want {
		t.Errorf("pins %+v, %v", p, err)
	}

	path := filepath.Join(t.TempDir(), "deep", "known_stores.json")
	k := digstore.OpenKnownStores(path)
	if _, ok, err := k.Known(ctx, s.ID()); ok || err != nil {
		t.Errorf("known before: %v, %v", ok, err)
	}
	check(t, k.Remember(ctx, s.ID(), want.Publisher))
	check(t, k.Remember(ctx, auth.StoreID{7}, want.Publisher))
	got, ok, err := digstore.OpenKnownStores(path).Known(ctx, s.ID())
	if err != nil || !ok || got != want.Publisher {
		t.Errorf("known: %v, %v, %v", got, ok, err)
	}
	check(t, os.WriteFile(path, []byte("{"), 0o600))
	if _, _, err := k.Known(ctx, s.ID()); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("a damaged memory: %v", err)
	}
}

func TestStagingOrder(t *testing.T) {
	_, s := inMemory(t, nil)
	ctx := context.Background()
	for _, f := range [][2]string{{"b", "1"}, {"a", "2"}, {"b", "33"}} {
		check(t, s.Stage(ctx, f[0], bytes.NewReader([]byte(f[1]))))
	}
	list, err := s.Staged()
	check(t, err)
	want := []digstore.Staged{{Name: "b", Size: 2}, {Name: "a", Size: 1}}
	if len(list) != 2 || list[0] != want[0] || list[1] != want[1] {
		t.Errorf("staged %v, want %v", list, want)
	}
	for _, bad := range []string{"", "\xff", strings.Repeat("x", 70_000)} {
		if err := s.Stage(ctx, bad, strings.NewReader("x")); err == nil {
			t.Errorf("staged under %.10q", bad)
		}
	}
}
