package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
)

// host starts digstore serve in a folder of the desk; the test's end stops it.
func (d *desk) host(at string, args ...string) *serverProcess {
	d.t.Helper()
	s, err := startServer(filepath.Join(d.dir, at), filepath.Join(d.dir, "identity"), args...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.stop() })
	return s
}

// TestReplayAfterRestart: a captured request that changes something is refused by
// the next serve of the workspace too, also one that was dated in the future,
// and also when the first one was killed. What was not used is taken.
func TestReplayAfterRestart(t *testing.T) {
	d := newDesk(t)
	id, err := auth.ParseStoreID(d.publish("."))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(op request.Op, at time.Time, n byte) http.Header {
		r := &http.Request{Header: http.Header{}}
		if err := request.SignAt(r, op, id, auth.NewKey([32]byte{7}), at, [32]byte{n, 1}); err != nil {
			t.Fatal(err)
		}
		return r.Header
	}
	send := func(s *serverProcess, path, method string, h http.Header) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+"/stores/"+id.String()+path,
			strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h.Clone()
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	type captured struct {
		path, method string
		used, kept   http.Header
	}
	var all []captured
	for i, c := range []struct {
		op           request.Op
		path, method string
	}{
		{request.Push, "/module", "PUT"}, {request.PushInit, "/module/upload", "POST"},
		{request.PushComplete, "/module/complete", "POST"}, {request.Tombstone, "/tombstone", "POST"},
	} {
		for j, after := range []time.Duration{0, 2 * time.Minute} {
			at, n := time.Now().Add(after), byte(10*i+2*j)
			all = append(all, captured{c.path, c.method, sign(c.op, at, n), sign(c.op, at, n+1)})
		}
	}
	s := d.host(".")
	for _, c := range all {
		if code, text := send(s, c.path, c.method, c.used); code == http.StatusUnauthorized {
			t.Errorf("%s %s: %s", c.method, c.path, text)
		}
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.once.Do(func() { _ = s.cmd.Wait() })
	s = d.host(".")
	for _, c := range all {
		if code, text := send(s, c.path, c.method, c.used); code != http.StatusUnauthorized ||
			!strings.Contains(text, "replayed nonce") {
			t.Errorf("%s %s after a restart: %d %s", c.method, c.path, code, text)
		}
		if code, text := send(s, c.path, c.method, c.kept); code == http.StatusUnauthorized {
			t.Errorf("%s %s, not used before the restart: %s", c.method, c.path, text)
		}
	}
}

// TestDamagedStore: a store that is damaged is set aside and named, the others
// are served.
func TestDamagedStore(t *testing.T) {
	d := newDesk(t)
	good, bad := twoStores(t, d)
	for _, name := range []string{"recipes/*", "roots.log", "config.toml", "packs/*.pack"} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			damage(t, filepath.Join(d.dir, ".dig", "stores", "bad", name))
			checkSetAside(t, d, good, bad)
		})
	}
}

// TestMissingStore: a store whose files are missing, or are no regular ones, is damaged and not
// absent.
func TestMissingStore(t *testing.T) {
	d := newDesk(t)
	good, bad := twoStores(t, d)
	store := filepath.Join(d.dir, ".dig", "stores", "bad")
	for _, name := range []string{"", "config.toml", "packs", "tombstones"} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			kept := filepath.Join(t.TempDir(), "kept")
			if name == "tombstones" {
				check(t, os.WriteFile(filepath.Join(store, name), nil, 0o644))
				defer os.Remove(filepath.Join(store, name))
			} else {
				check(t, os.Rename(filepath.Join(store, name), kept))
				defer func() { check(t, os.Rename(kept, filepath.Join(store, name))) }()
			}
			checkSetAside(t, d, good, bad)
		})
	}
}

// twoStores publishes two stores, of which the second is called bad.
func twoStores(t *testing.T, d *desk) (good, bad string) {
	t.Helper()
	good = d.publish(".")
	check(t, corpus.Small(3).Write(filepath.Join(d.dir, "site")))
	d.must(".", "init", "bad", "--dir", "site")
	d.must(".", "--store", "bad", "commit", "-m", "bad")
	var list struct {
		Stores []struct {
			ID string `json:"store_id"`
		}
	}
	if err := json.Unmarshal([]byte(d.must(".", "--json", "stores")), &list); err != nil ||
		len(list.Stores) != 2 {
		t.Fatal(err, list)
	}
	if bad = list.Stores[0].ID; bad == good {
		bad = list.Stores[1].ID
	}
	return good, bad
}

// TestDamagedWhileServing: chunks that are damaged while serve runs, or before it in a way that
// only reading shows, are never sent. The store is set aside when it is met, and served again
// when it is repaired.
func TestDamagedWhileServing(t *testing.T) {
	d := newDesk(t)
	good, bad := twoStores(t, d)
	packs, err := filepath.Glob(filepath.Join(d.dir, ".dig", "stores", "bad", "packs", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	whole, err := os.ReadFile(packs[0])
	check(t, err)
	broken := bytes.Clone(whole)
	broken[8+4+100] ^= 1 // inside the first chunk
	get := func(s *serverProcess, path string) (int, []byte, error) {
		res, err := http.Get(s.url + path)
		if err != nil {
			return 0, nil, err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, b, err
	}
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprintf("before the start %v", before), func(t *testing.T) {
			d.t = t
			check(t, os.WriteFile(packs[0], whole, 0o644))
			var want []byte
			if before {
				check(t, os.WriteFile(packs[0], broken, 0o644))
			}
			s := d.host(".", "--anonymous")
			if len(s.banner.Stores) != 2 {
				t.Fatalf("served: %+v", s.banner.Stores)
			}
			if _, text, err := get(s, "/readyz"); err != nil ||
				!strings.Contains(string(text), `"stores":2,"damaged":0`) {
				t.Errorf("/readyz before it is met: %s, %v", text, err)
			}
			path := "/stores/" + bad + "/module"
			if !before {
				var status int
				if status, want, err = get(s, path); status != 200 || err != nil {
					t.Fatalf("before it is damaged: %d, %v", status, err)
				}
				check(t, os.WriteFile(packs[0], broken, 0o644))
			}
			if status, _, err := get(s, path); status == 200 && err == nil {
				t.Error("a damaged module looks whole")
			}
			for _, path := range []string{path, "/stores/" + bad, "/stores/" + bad + "/roots",
				"/stores/" + bad + "/content/" + strings.Repeat("ab", 32)} {
				if status, text, err := get(s, path); status != 503 || err != nil {
					t.Errorf("%s: %d %.100s %v, want 503", path, status, text, err)
				}
			}
			if _, text, err := get(s, "/readyz"); err != nil ||
				!strings.Contains(string(text), `"stores":1,"damaged":1,"damaged_stores":["`+bad+`"]`) {
				t.Errorf("/readyz: %s, %v", text, err)
			}
			d.must(".", "clone", s.url+"/stores/"+good, filepath.Join(t.TempDir(), "copy"))

			check(t, os.WriteFile(packs[0], whole, 0o644))
			status, got := 0, []byte(nil)
			for began := time.Now(); status != 200 &&
				time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
				status, got, err = get(s, path)
			}
			if status != 200 || err != nil || want != nil && !bytes.Equal(got, want) {
				t.Errorf("repaired: %d, %d bytes, %v", status, len(got), err)
			}
			s.stop()
			if log := s.stderr.String(); strings.Count(log, "store is damaged and not served") != 1 ||
				!strings.Contains(log, bad) {
				t.Errorf("the log names it other than once: %s", log)
			}
		})
	}
}

// damage overwrites the files of a pattern, until the end of the test.
func damage(t *testing.T, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte{'!'}, len(b)), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkSetAside checks that serve serves the good store of two.
func checkSetAside(t *testing.T, d *desk, good, bad string) {
	t.Helper()
	s := d.host(".")
	if len(s.banner.Stores) != 1 || s.banner.Stores[0].StoreID != good {
		t.Errorf("served: %+v, want %s", s.banner.Stores, good)
	}
	res, err := http.Get(s.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 200 ||
		!strings.Contains(string(text), `"stores":1,"damaged":1,"damaged_stores":["`+bad+`"]`) {
		t.Errorf("/readyz: %s %s", res.Status, text)
	}
	d.must(".", "clone", s.url+"/stores/"+good, filepath.Join(t.TempDir(), "copy"))
	if s.stop(); !strings.Contains(s.stderr.String(), "store is damaged and not served") ||
		!strings.Contains(s.stderr.String(), bad) {
		t.Errorf("the log does not name it: %s", s.stderr.String())
	}
}

// TestPanicsAreLogged: what breaks in a handler is seen.
func TestPanicsAreLogged(t *testing.T) {
	var stderr bytes.Buffer
	a := newApp(nil, io.Discard, &stderr)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- a.listen(ctx, l, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic("a handler broke")
		}))
	}()
	if res, err := http.Get("http://" + l.Addr().String()); err == nil {
		res.Body.Close()
		t.Error("answered")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(stderr.String(), "a handler broke") {
		t.Errorf("logged: %q", stderr.String())
	}
}

// TestHostOnLoopback: a name that a web page lets point here is refused, unless
// the operator has named it.
func TestHostOnLoopback(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	for _, c := range []struct {
		args   []string
		host   string
		status int
	}{
		{nil, "evil.example", 421}, {nil, "localhost", 200}, {[]string{"--allow-host", "dig.example"}, "dig.example", 200},
	} {
		s := d.host(".", c.args...)
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/",
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"dig.health"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != c.status {
			t.Errorf("Host %s with %v: %s, want %d", c.host, c.args, res.Status, c.status)
		}
		s.stop()
	}
}

// TestRevert: a root of the history becomes the head again when an identity that
// the operator has named for this store pushes it; an old signature that anybody
// else sends does not roll the store back.
func TestRevert(t *testing.T) {
	d := newDesk(t)
	check(t, corpus.Small(1).Write(filepath.Join(d.dir, "site")))
	d.must(".", "init", "site", "--dir", "site")
	d.must(".", "commit", "-m", "first")
	check(t, corpus.Small(2).Write(filepath.Join(d.dir, "site")))
	d.must(".", "commit", "-m", "second")
	id, err := auth.ParseStoreID(onlyStore(t, d.must(".", "--json", "stores")))
	check(t, err)
	ws, err := digstore.Open(d.dir, nil)
	check(t, err)
	store, err := ws.Store("site")
	check(t, err)
	lines, err := store.Generations(t.Context())
	check(t, err)
	first, second := lines[0].Root, lines[1].Root
	old, err := store.SignedRoot(t.Context(), first) // it is public: descriptors had it
	check(t, err)
	check(t, ws.Close())

	writer, other := auth.NewKey([32]byte{7}), auth.NewKey([32]byte{8})
	s := d.host(".", "--writer-identity", id.String()+"="+writer.PublicKey().String(),
		"--writer-identity", auth.StoreID{1}.String()+"="+other.PublicKey().String())
	n := byte(0)
	put := func(by *auth.Key, parent merkle.Hash, mode string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "PUT", s.url+"/stores/"+id.String()+
			"/module?root="+first.String(), strings.NewReader("a module"))
		check(t, err)
		n++
		check(t, request.SignAt(r, request.Push, id, by, time.Now(), [32]byte{n}))
		r.Header.Set("X-Dig-Root", first.String())
		r.Header.Set("X-Dig-Parent", parent.String())
		r.Header.Set("X-Dig-Signature", old.Tagged.String())
		r.Header.Set("X-Dig-Push-Mode", mode)
		res, err := http.DefaultClient.Do(r)
		check(t, err)
		check(t, res.Body.Close())
		return res.StatusCode
	}
	for _, c := range []struct {
		name   string
		by     *auth.Key
		parent merkle.Hash
		mode   string
		status int
	}{
		{"somebody", auth.NewKey([32]byte{9}), second, "advance", 409},
		{"a writer of another store", other, second, "advance", 409},
		{"the writer, behind another root", writer, first, "advance", 409},
		{"the writer, pending", writer, second, "pending", 409},
		{"the writer", writer, second, "advance", 201},
		{"the writer again", writer, second, "advance", 200},
	} {
		if got := put(c.by, c.parent, c.mode); got != c.status {
			t.Errorf("%s: %d, want %d", c.name, got, c.status)
		}
	}
	check(t, s.stop())
	if log := d.must(".", "log"); strings.Count(log, first.String()) != 2 {
		t.Errorf("the history does not name the root twice:\n%s", log)
	}
	d.must(".", "verify", "--all", "--deep")
	d.must(".", "checkout", "out")
	got, err := corpus.Read(filepath.Join(d.dir, "out"))
	check(t, err)
	if diff := corpus.Diff(corpus.Small(1), got); diff != "" {
		t.Error(diff)
	}
}

// TestQuota: what one identity, and all of them, may bring to a host that takes
// any store is bounded, in stores and in bytes, and counted again after a restart.
func TestQuota(t *testing.T) {
	d := newDesk(t)
	mine, yours := filepath.Join(d.dir, "identity"), filepath.Join(d.dir, "another")
	push := func(s *serverProcess, identity string, size int) bool {
		t.Helper()
		at, err := os.MkdirTemp(d.dir, "p")
		check(t, err)
		check(t, os.MkdirAll(filepath.Join(at, "site"), 0o755))
		check(t, os.WriteFile(filepath.Join(at, "site", "a"), pattern(at, size), 0o644))
		d.must(filepath.Base(at), "init", "a", "--dir", "site")
		d.must(filepath.Base(at), "commit", "-m", "a")
		id := onlyStore(t, d.must(filepath.Base(at), "--json", "stores"))
		cmd := d.command(filepath.Base(at), "push", s.url+"/stores/"+id)
		cmd.Env = append(os.Environ(), "DIG_IDENTITY_DIR="+identity)
		text, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(text), "quota exceeded") {
			t.Errorf("refused for another reason: %s", text)
		}
		return err == nil
	}
	for _, c := range []struct {
		name   string
		args   []string
		pushes []bool // alternately mine and yours: taken?
		size   int
	}{
		{"stores of one", []string{"--max-stores", "1"}, []bool{true, true, false, false}, 1000},
		{"stores of all", []string{"--total-max-stores", "3"}, []bool{true, true, true, false}, 1000},
		{"bytes of one", []string{"--quota", "700k"}, []bool{true, true, false, false}, 500_000},
		{"bytes of all", []string{"--total-quota", "1200k"}, []bool{true, true, false, false}, 500_000},
		{"the defaults", nil, []bool{true, true, true, true}, 1000},
	} {
		host := strings.ReplaceAll(c.name, " ", "-")
		check(t, os.Mkdir(filepath.Join(d.dir, host), 0o755))
		var s *serverProcess
		for i, taken := range c.pushes {
			if i%2 == 0 {
				s = d.host(host, append([]string{"--allow-any"}, c.args...)...)
			}
			identity := mine
			if i%2 == 1 {
				identity = yours
			}
			if got := push(s, identity, c.size); got != taken {
				t.Errorf("%s: push %d: taken %v, want %v", c.name, i, got, taken)
			}
			if i%2 == 1 {
				check(t, s.stop())
			}
		}
	}
}
