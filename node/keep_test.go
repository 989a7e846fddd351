package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// What a node follows and knows is there after a restart, and no second node uses its directory.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	openStorage := func() *storage.Dir {
		st, err := storage.OpenDir(filepath.Join(dir, "storage"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := openStorage()
	config := node.Config{Key: nodeKey, Storage: st, DataDir: filepath.Join(dir, "data"),
		Limits: unlimited, Credential: credentials}
	n := start(t, config, "")
	g := capsuletest.Split(t, 1, 60_000, content(t, 6))
	post(t, n.url, pushOf(g, true), "owner", nil).result(t)
	pinned := auth.StoreID{9}
	if err := errors.Join(n.Pin(t.Context(), pinned), n.Track(t.Context(), g.Store, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := node.New(t.Context(), config); !errors.Is(err, node.ErrLocked) {
		t.Errorf("a second node on the directory: %v", err)
	}
	for range 3 {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "data", "index.snapshot")); err != nil {
			t.Fatal(err)
		}
		st = openStorage()
		config.Storage = st
		n = start(t, config, "")
		for i := range g.Capsules {
			got := do(t, "GET", fmt.Sprintf("%s/capsule/%v/%d", n.url, g.Store, i), nil)
			if !bytes.Equal(got.body, g.Content[i]) {
				t.Fatalf("capsule %d: status %d", i, got.StatusCode)
			}
		}
		// The store is tracked still: a push without a statement is refused.
		if code := post(t, n.url, pushOf(g, true), "owner", nil).code(t); code != "not_a_writer" {
			t.Errorf("push to a tracked datastore: %q", code)
		}
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	// A damaged snapshot is ignored; a damaged list of followed datastores is an error.
	snapshot := filepath.Join(dir, "data", "index.snapshot")
	if err := os.WriteFile(snapshot, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	n = start(t, config, "")
	if m, err := n.Manifest(t.Context(), g.Store, merkle.Hash{}); err != nil || m.Root != g.Root {
		t.Errorf("after the snapshot was damaged: %v", err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	follow := filepath.Join(dir, "data", "follow.json")
	if err := os.WriteFile(follow, []byte(`{"tracked":{"x":""}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.New(t.Context(), config); err == nil {
		t.Error("a damaged list of what is followed was taken for an empty one")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestVolumeAway: content on a missing volume is not reported as absent.
func TestVolumeAway(t *testing.T) {
	dir := t.TempDir()
	volume := filepath.Join(dir, "volume")
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	st := storage.NewMemory(nil)
	g := capsuletest.Of(t, 1, []byte("on the volume"))
	fill(t, st, g, storage.Meta{})
	n := start(t, node.Config{Storage: st, Limits: unlimited, Admin: open,
		Cache:   cache.Options{L1: -1, L2: -1},
		Tiers:   tier.Settings{Difficulty: -1, PlotInterval: -1, WatchInterval: 1e6},
		Volumes: []tier.Volume{{Path: volume, Class: economy.HDD}}}, "")
	do(t, "POST", n.url+"/plot/create", body{"datastore_id": g.Store.String()}.text(t))
	if err := st.Release(t.Context(), []merkle.Hash{g.Capsules[0].Hash}); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Capsule(t.Context(), capsule.Ref{Store: g.Store}, ""); err != nil {
		t.Fatal(err)
	} else {
		got.Close()
	}
	if err := os.Rename(volume, volume+".away"); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("%s/capsule/%v/0", n.url, g.Store)
	wait(t, "/ready says that the volume is away", func() bool {
		return do(t, "GET", n.url+"/ready", nil).StatusCode == 503
	})
	got := do(t, "GET", url, nil)
	if got.code(t) != "not_ready" || got.Header.Get("Retry-After") == "" {
		t.Errorf("capsule of a volume that is away: status %d: %s", got.StatusCode, got.body)
	}
	if got := do(t, "GET", n.url+"/health", nil); got.StatusCode != 200 {
		t.Errorf("/health: status %d", got.StatusCode)
	}
	if err := os.Rename(volume+".away", volume); err != nil {
		t.Fatal(err)
	}
	wait(t, "the capsule is back", func() bool {
		return do(t, "GET", url, nil).StatusCode == 200
	})
}

// A node that is not run answers that it is not ready, and is closed.
func TestNotRun(t *testing.T) {
	n, err := node.New(t.Context(), node.Config{Key: nodeKey, Storage: storage.NewMemory(nil),
		Limits: unlimited})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(n)
	defer srv.Close()
	path := fmt.Sprintf("/capsule/%v/0", auth.StoreID{1})
	if code := do(t, "GET", srv.URL+path, nil).code(t); code != "not_ready" {
		t.Errorf("before Run: %q", code)
	}
	if got := do(t, "GET", srv.URL+"/ready", nil); got.StatusCode != 503 {
		t.Errorf("/ready before Run: status %d", got.StatusCode)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if code := do(t, "GET", srv.URL+path, nil).code(t); code != "draining" {
		t.Errorf("after Close: %q", code)
	}
	if err := n.Run(t.Context()); !errors.Is(err, node.ErrRunning) {
		t.Errorf("Run after Close: %v", err)
	}
	if _, err := n.ResolveHandle(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("handle without a source: %v", err)
	}
}
