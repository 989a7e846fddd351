package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/storage"
)

// A file that is damaged on the disk gives no wrong byte: not as a whole, not as a range, and not
// where the cache does not admit it.
func TestDamagedFile(t *testing.T) {
	for name, options := range map[string]cache.Options{"cached": {}, "streamed": {L1: -1, L2: -1}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st, err := storage.OpenDir(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			g := capsuletest.Split(t, 1, 200_000, content(t, 7))
			fill(t, st, g, storage.Meta{})
			n := start(t, node.Config{Storage: st, Limits: unlimited, Cache: options,
				Credential: credentials}, "")
			file := filepath.Join(dir, "capsules", g.Capsules[0].Hash.String())
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text[100_000] ^= 1
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			url := fmt.Sprintf("%s/capsule/%v/0", n.url, g.Store)
			// A streamed answer is broken off, and its damage is known from then on.
			if res, err := http.Get(url); err == nil {
				text, err := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode == 200 && err == nil {
					t.Errorf("%d bytes of a damaged file as a whole answer", len(text))
				}
			}
			for _, headers := range [][]string{nil, {"Range", "bytes=100000-100000"},
				{"Range", "bytes=0-9"}} {
				got := do(t, "GET", url, nil, headers...)
				if code := got.code(t); code != "corrupt_capsule" {
					t.Errorf("%v: code %q", headers, code)
				}
			}
			// Pushing the generation again brings the content back.
			post(t, n.url, pushOf(g, true), "owner", nil).result(t)
			got := do(t, "GET", url, nil)
			if !bytes.Equal(got.body, g.Content[0]) {
				t.Errorf("after it was pushed again: status %d", got.StatusCode)
			}
			got = do(t, "GET", fmt.Sprintf("%s/capsule/%v/1", n.url, g.Store), nil)
			if !bytes.Equal(got.body, g.Content[1]) {
				t.Errorf("another capsule: status %d", got.StatusCode)
			}
		})
	}
}

// A process that ends while content is staged leaves nothing of it behind at the next start.
func TestStagedIsDiscarded(t *testing.T) {
	dir := t.TempDir()
	st, err := storage.OpenDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := capsuletest.Split(t, 1, 100_000, content(t, 8))
	fill(t, st, g, storage.Meta{})
	lost := capsuletest.Split(t, 2, 100_000, content(t, 9))
	for i, d := range lost.Capsules {
		if err := st.Put(t.Context(), d, bytes.NewReader(lost.Content[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil { // nothing was committed
		t.Fatal(err)
	}
	if st, err = storage.OpenDir(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	n := start(t, node.Config{Storage: st, Limits: unlimited}, "")
	u, err := st.Usage(t.Context())
	if err != nil || u.Staged != 0 || u.Capsules != len(g.Capsules) {
		t.Errorf("%d capsules, %d staged, %v", u.Capsules, u.Staged, err)
	}
	got := do(t, "GET", fmt.Sprintf("%s/capsule/%v/0", n.url, g.Store), nil)
	if !bytes.Equal(got.body, g.Content[0]) {
		t.Errorf("what was committed: status %d", got.StatusCode)
	}
}
