package digstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// TestOtherModuleOfRoot: a dropped generation is installed again as a module with another layout
// and metadata. A server does not use what it cached of the first one.
func TestOtherModuleOfRoot(t *testing.T) {
	trees := edited(t, corpus.Small(7), "one byte in every large file")
	_, from, gens := commitTrees(t, trees)
	dir := t.TempDir()
	w := must(digstore.Init(dir, nil))
	defer w.Close()
	for i, g := range gens {
		check(t, w.Receive(ctx, module.Push{Head: signedAs(t, from, g.Root), Parent: parentOf(gens, i)},
			bytes.NewReader(moduleOf(t, from, g.Root)), deep))
	}
	c := server.NewResourceIndex(w, nil)
	id := module.ID{Store: from.ID(), Root: gens[0].Root}
	read := func() (sealed map[string]string, message string) {
		sealed = map[string]string{}
		for _, name := range trees[0].Names() {
			r := must(c.Open(ctx, id, urn.RetrievalKey(id.Store, name)))
			sealed[name] = string(must(io.ReadAll(io.NewSectionReader(r, 0, r.Size()))))
			check(t, r.Close())
		}
		if m := must(c.Metadata(ctx, id)); m != nil {
			message, _ = m.Message()
		}
		return sealed, message
	}
	want, message := read()
	if message != "" {
		t.Fatalf("the first module has the message %q", message)
	}

	other := must(digstore.Open(dir, nil))
	defer other.Close()
	s := must(other.Store(""))
	must(s.GC(ctx, &digstore.GCOptions{Keep: 1}))
	r := must(from.Recipe(ctx, id.Root))
	entries := slices.Collect(r.Entries())
	slices.Reverse(entries)
	o := &module.Options{Padding: module.None(), Metadata: &module.Metadata{SchemaVersion: 1}}
	o.Metadata.SetMessage("another one")
	again := must(module.Compose(id.Store, r.PublicKey(), entries, o))
	_, chunks := takenApart(moduleOf(t, from, id.Root))
	check(t, s.Assemble(ctx, gens[:1], signedAs(t, from, id.Root),
		module.Assembly{Recipe: again, Fetch: putting(again, chunks, must(s.MissingChunks(ctx, again)))},
		deep))

	got, message := read()
	if message != "another one" {
		t.Errorf("the metadata is that of the module that was dropped: message %q", message)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: other sealed bytes", name)
		}
	}
	a, b := must(r.Digest()), must(again.Digest())
	if a == b || a != must(must(from.Recipe(ctx, id.Root)).Digest()) {
		t.Errorf("digests %s and %s of two modules", a, b)
	}
}

// either is a backend that shows one of two workspaces, with or without digests of its modules.
type either struct {
	*digstore.Workspace
	blind bool
}

func (e *either) Module(ctx context.Context, id digstore.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := e.Workspace.Module(ctx, id, root)
	if err == nil && e.blind {
		m = struct{ io.ReadSeekCloser }{m}
	}
	return m, err
}

// modulesOf returns workspaces that hold one root each as a module with another message.
func modulesOf(t *testing.T, messages ...string) (id module.ID, all []*digstore.Workspace) {
	_, from, gens := commitTrees(t, []corpus.Tree{corpus.Small(7)})
	root := gens[0].Root
	r, chunks := takenApart(moduleOf(t, from, root))
	entries := slices.Collect(r.Entries())
	for _, message := range messages {
		o := &module.Options{Padding: module.None(), Metadata: &module.Metadata{SchemaVersion: 1}}
		o.Metadata.SetMessage(message)
		again := must(module.Compose(from.ID(), r.PublicKey(), entries, o))
		w := must(digstore.Init(t.TempDir(), nil))
		t.Cleanup(func() { w.Close() })
		fetch := putting(again, chunks, everything(again))
		check(t, w.ReceiveRecipe(ctx, module.Push{Head: signedAs(t, from, root)},
			module.Assembly{Recipe: again, Fetch: fetch}, deep))
		all = append(all, w)
	}
	return module.ID{Store: from.ID(), Root: root}, all
}

// TestDigestOfReferenceModule: the module of the reference lies in a file that may be replaced by
// one of the same length.
func TestDigestOfReferenceModule(t *testing.T) {
	id, all := modulesOf(t, "one", "two")
	dir := t.TempDir()
	w := must(digstore.Init(dir, nil))
	defer w.Close()
	must(w.Create(ctx, id.Store, &digstore.StoreOptions{Name: "s"}))
	store := filepath.Join(dir, ".dig/stores/s")
	check(t,
		os.WriteFile(filepath.Join(store, "roots.log"), fmt.Appendf(nil, "0\t%s\t1\n", id.Root), 0o600))
	check(t, os.Mkdir(filepath.Join(store, "modules"), 0o755))
	name := filepath.Join(store, "modules", id.FileName())
	seen := map[merkle.Hash]bool{}
	for i, from := range all {
		b := moduleOf(t, must(from.Store("")), id.Root)
		check(t, os.WriteFile(name, b, 0o600))
		for _, age := range []time.Duration{0, time.Hour} {
			at := time.Now().Add(-age - time.Duration(i)*time.Minute)
			check(t, os.Chtimes(name, at, at))
			m := must(w.Module(ctx, id.Store, id.Root))
			digest := must(m.(server.Digested).Digest())
			if age == 0 && i == 0 && !digest.IsZero() {
				t.Error("a file that may still change within its time has a digest")
			}
			if age > 0 && (digest.IsZero() || seen[digest]) {
				t.Errorf("digest %s of module %d", digest, i)
			}
			seen[digest] = true
			check(t, m.Close())
		}
	}
}

// TestModulesOfOneRoot: what a server remembers of a module is used for no other one of its root,
// neither where both are equally long nor where the backend knows no digests.
func TestModulesOfOneRoot(t *testing.T) {
	messages := []string{"one", "two", "a longer message"}
	id, all := modulesOf(t, messages...)
	for _, blind := range []bool{false, true} {
		back := &either{blind: blind, Workspace: all[0]}
		srv := server.New(back, &server.Options{Anonymous: true})
		for range 2 {
			for i, m := range messages {
				back.Workspace = all[i]
				got := must(srv.Resources().Metadata(ctx, id))
				if text, _ := got.Message(); text != m {
					t.Errorf("blind %v: message %q, want %q", blind, text, m)
				}
				w := httptest.NewRecorder()
				srv.ServeHTTP(w,
					httptest.NewRequest(http.MethodGet, "http://localhost/stores/"+id.Store.String(), nil))
				var d remote.Descriptor
				check(t, json.Unmarshal(w.Body.Bytes(), &d))
				if want := int64(len(moduleOf(t, must(all[i].Store("")), id.Root))); d.Size != want {
					t.Errorf("blind %v: the descriptor says %d bytes, the module has %d", blind, d.Size, want)
				}
			}
		}
	}
}
