package digstore_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// TestDescriptorCost: a descriptor takes as many file operations at 200 tombstones as at one, and
// shows at once what another process adds, replaces or damages.
func TestDescriptorCost(t *testing.T) {
	dir, _, gens := commitTrees(t, []corpus.Tree{corpus.Small(3)})
	disk := diskfs.Fail(diskfs.Beneath(dir), 0, nil, nil)
	now := time.Now()
	w := must(digstore.Open(dir, &digstore.Options{FS: disk, Now: func() time.Time { return now }}))
	defer w.Close()
	srv := server.New(w, &server.Options{Anonymous: true})

	other := must(digstore.Open(dir, nil)) // another process
	defer other.Close()
	s := must(other.Store("site"))
	key := must(s.Signer())
	revoke := func(n uint64, by auth.Signer) auth.Tombstone {
		t.Helper()
		var root merkle.Hash
		binary.BigEndian.PutUint64(root[:], n+1)
		tomb := must(auth.SignTombstone(ctx,
			auth.Tombstone{Store: s.ID(), Root: root, NotAfter: 1_700_000_000}, by))
		check(t, s.Revoke(ctx, tomb))
		return tomb
	}
	get := func(want int) int {
		t.Helper()
		before := disk.Calls()
		w := httptest.NewRecorder()
		srv.ServeHTTP(w,
			httptest.NewRequest(http.MethodGet, "http://localhost/stores/"+s.ID().String(), nil))
		var d remote.Descriptor
		check(t, json.Unmarshal(must(io.ReadAll(w.Result().Body)), &d))
		if len(d.Tombstones) != want || d.Root != gens[0].Root {
			t.Fatalf("%d tombstones, want %d; head %s, want %s", len(d.Tombstones), want,
				d.Root, gens[0].Root)
		}
		return disk.Calls() - before
	}
	// so that later changes have other times
	old := func() { now = time.Now().Add(10 * time.Second) }

	revoke(0, key)
	get(1)
	old()
	get(1)
	one := get(1)
	var last auth.Tombstone
	for n := uint64(1); n < 200; n++ {
		last = revoke(n, key)
		if n < 4 {
			get(int(n) + 1)
		}
	}
	get(200)
	old()
	get(200)
	if many := get(200); many != one {
		t.Errorf("a descriptor takes %d file operations at 1 tombstone, %d at 200", one, many)
	}
	revoke(200, key)
	if many := get(201); many > one+10 {
		t.Errorf("a descriptor takes %d file operations at 1 tombstone, %d just after the 201st", one,
			many)
	}

	name := filepath.Join(dir, ".dig/stores/site/tombstones/root-"+last.Root.String()+".tomb")
	good := must(os.ReadFile(name))
	bad := append([]byte(nil), good...)
	bad[100] ^= 1
	check(t, diskfs.WriteFile(diskfs.OS(), name, bad, 0o644))
	get(201)
	now = now.Add(time.Minute)
	get(200)
	check(t, diskfs.WriteFile(diskfs.OS(), name, good, 0o644))
	get(201)
	old()
	get(201)
	check(t, os.WriteFile(name, bad, 0o644)) // in place: the folder does not change
	now = now.Add(time.Minute)
	get(200)
	check(t, os.Remove(name))
	get(200)
}
