//go:build unix

package digstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
)

// TestAccess: every operation that writes, or reads a key, refuses a key or folder that other users
// can change. The error has the path and the remedy. If the options name the workspace as safe, its
// folders and owners are accepted, but not a key that others can read.
func TestAccess(t *testing.T) {
	const other = 12345
	const store, key = ".dig/stores/s", ".dig/stores/s/signing_key.bin"
	for _, c := range []struct {
		name   string
		path   string
		mode   os.FileMode // 0: unchanged
		owner  int         // 0: unchanged
		accept bool
		unsafe bool // refused even if the options name the workspace as safe
	}{
		{name: "as made", path: store, mode: 0o755, accept: true},
		{name: "others read", path: ".dig", mode: 0o711, accept: true},
		{name: "dig, all write", path: ".dig", mode: 0o777},
		{name: "dig, sticky", path: ".dig", mode: 0o777 | os.ModeSticky},
		{name: "dig, root's group writes", path: ".dig", mode: 0o775},
		{name: "stores, all write", path: ".dig/stores", mode: 0o777},
		{name: "store, others write", path: store, mode: 0o757},
		{name: "another's dig", path: ".dig", owner: other},
		{name: "another's stores", path: ".dig/stores", owner: other},
		{name: "another's store", path: store, owner: other},
		{name: "another's key", path: key, owner: other},
		{name: "all read the key", path: key, mode: 0o644, unsafe: true},
		{name: "group reads the salt", path: store + "/secret_salt.hex", mode: 0o640, unsafe: true},
		{name: "another's salt", path: store + "/secret_salt.hex", owner: other},
		{name: "all read the settings", path: store + "/config.toml", mode: 0o644, unsafe: true},
		{name: "all read the writer's key", path: store + "/writer_key.bin", mode: 0o644, unsafe: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Geteuid() != 0 && (c.owner != 0 || c.mode == 0o775) {
				t.Skip("only root can give files to others")
			}
			dir := t.TempDir()
			site := filepath.Join(dir, "site")
			check(t, corpus.Small(1).Write(site))
			w := must(digstore.Init(dir, nil))
			s := must(w.Create(ctx, digstore.StoreID{},
				&digstore.StoreOptions{Name: "s", ContentRoot: "site", Private: true}))
			if strings.HasSuffix(c.path, "writer_key.bin") {
				check(t, s.AdoptKey(ctx, must(s.Signer())))
			}
			check(t, w.Close())
			path := filepath.Join(dir, c.path)
			if c.mode != 0 {
				check(t, os.Chmod(path, c.mode))
			}
			if c.owner != 0 {
				check(t, os.Lchown(path, c.owner, 0))
			}
			commit := func(o *digstore.Options) error {
				w, err := digstore.Open(dir, o)
				if err != nil {
					return err
				}
				defer w.Close()
				s, err := w.Active()
				if err != nil {
					return err
				}
				_, err = s.Commit(t.Context(), nil, &digstore.CommitOptions{Again: true})
				return err
			}
			var refused *digstore.AccessError
			err := commit(nil)
			if c.accept {
				check(t, err)
				return
			}
			if !errors.As(err, &refused) || refused.Path != path || !strings.Contains(refused.Fix, path) {
				t.Errorf("commit: %v (%+v)", err, refused)
			}
			err = commit(&digstore.Options{SafeDirs: []string{dir}})
			if c.unsafe != (err != nil) || err != nil && !errors.As(err, &refused) {
				t.Errorf("commit in a workspace that is named safe: %v", err)
			}
		})
	}
}

// TestAccessOperations: every operation that writes, or reads a secret, checks the folders.
func TestAccessOperations(t *testing.T) {
	dir := t.TempDir()
	w := must(digstore.Init(dir, nil))
	defer w.Close()
	s := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s"}))
	must(w.DecoySecret())
	key := must(s.Signer())
	stores := filepath.Join(dir, ".dig", "stores")
	check(t, os.Chmod(stores, 0o777))
	for name, do := range map[string]func() error{
		"create": func() error {
			_, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "t"})
			return err
		},
		"remove": func() error { return w.Remove(ctx, "s") },
		"use":    func() error { return w.Use(ctx, "s") },
		"stage":  func() error { return s.Stage(t.Context(), "x", strings.NewReader("x")) },
		"import": func() error { return s.ImportKey(ctx, key) },
		"signer": func() error { _, err := s.Signer(); return err },
		"gc":     func() error { _, err := s.GC(t.Context(), nil); return err },
	} {
		var refused *digstore.AccessError
		if err := do(); !errors.As(err, &refused) || refused.Path != stores {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Latest(); err == nil || errors.As(err, new(*digstore.AccessError)) {
		t.Errorf("reading: %v", err)
	}
	check(t, os.Chmod(stores, 0o755))
	check(t, os.Chmod(filepath.Join(dir, ".dig", "decoy_secret.bin"), 0o640))
	if _, err := w.DecoySecret(); !errors.As(err, new(*digstore.AccessError)) {
		t.Errorf("decoy secret: %v", err)
	}
	check(t, w.Remove(ctx, "s"))
}
