package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// A store that is pushed to /stores is served as capsules too, and stored once.
func TestStores(t *testing.T) {
	ctx := t.Context()
	publisher := auth.NewKey([32]byte{1})
	id := auth.StoreIDFromKey(publisher.PublicKey())
	ws, err := digstore.Init(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	dir, st := t.TempDir(), storage.NewMemory(nil)
	config := node.Config{Storage: st, Limits: unlimited, DataDir: dir, Stores: ws,
		Credential: credentials, StoresOptions: server.Options{Policy: server.TrustOnFirstUse{},
			Anonymous: true, AnonymousWrites: true}}
	n := start(t, config, "")
	local := remotetest.NewMemory(id, nil)
	u, err := remote.ParseURL(fmt.Sprintf("%s/stores/%v", n.url, id))
	if err != nil {
		t.Fatal(err)
	}
	client, err := remote.NewClient(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for seed := range uint64(2) {
		head, err := local.Publish(ctx, publisher, corpus.Small(seed+1).FS())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Push(ctx, client, local); err != nil {
			t.Fatal(err)
		}
		checkModule(t, n.url, ws, id, head.Root)
	}
	if u, err := st.Usage(ctx); err != nil || u.Bytes != 0 {
		t.Errorf("modules take %d bytes of the storage: %v", u.Bytes, err)
	}
	g := capsuletest.Of(t, 9, []byte("capsule"))
	g.Store = id
	if code := post(t, n.url, pushOf(g, true), "owner", nil).code(t); code != "root_conflict" {
		t.Errorf("push of capsules to a store of modules: %q", code)
	}

	// After a restart, and with a generation that came while the node did not run.
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewServer(server.New(ws, &server.Options{Anonymous: true,
		AnonymousWrites: true}))
	defer origin.Close()
	u, err = remote.ParseURL(fmt.Sprintf("%s/stores/%v", origin.URL, id))
	if err != nil {
		t.Fatal(err)
	}
	other, err := remote.NewClient(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	head, err := local.Publish(ctx, publisher, corpus.Small(9).FS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Push(ctx, other, local); err != nil {
		t.Fatal(err)
	}
	n = start(t, config, "")
	n.Reconcile(ctx)
	checkModule(t, n.url, ws, id, head.Root)

	// A store of capsules accepts no modules.
	second := auth.NewKey([32]byte{2})
	g.Store = auth.StoreIDFromKey(second.PublicKey())
	post(t, n.url, pushOf(g, true), "owner", nil).result(t)
	u, err = remote.ParseURL(fmt.Sprintf("%s/stores/%v", n.url, g.Store))
	if err != nil {
		t.Fatal(err)
	}
	refused, err := remote.NewClient(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	mem := remotetest.NewMemory(g.Store, nil)
	if _, err := mem.Publish(ctx, second, corpus.Small(3).FS()); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Push(ctx, refused, mem); err == nil {
		t.Error("a module was taken for a datastore that was pushed as capsules")
	}
}

// checkModule reads the head of a datastore as capsules, and compares it with the module.
func checkModule(t *testing.T, url string, ws *digstore.Workspace, id auth.StoreID,
	root merkle.Hash) {
	t.Helper()
	rc, err := ws.Module(t.Context(), id, root)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	want, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	text := do(t, "GET", fmt.Sprintf("%s/datastore/%v/manifest", url, id), nil)
	m, err := capsule.ReadManifest(bytes.NewReader(text.body), 0)
	if err != nil {
		t.Fatalf("status %d: %s", text.StatusCode, text.body)
	}
	var got bytes.Buffer
	for i := range m.Capsules {
		got.Write(do(t, "GET", fmt.Sprintf("%s/capsule/%v/%d", url, id, i), nil).body)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("capsules have %d bytes, the module %d", got.Len(), len(want))
	}
}
