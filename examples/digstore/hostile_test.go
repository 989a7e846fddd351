//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
)

// plants put something in the place of a file or folder of .dig.
var plants = []struct {
	kind string
	do   func(at, outside string) error
}{
	{"link to a file", func(at, outside string) error { return os.Symlink(filepath.Join(outside, "file"), at) }},
	{"link to a folder", func(at, outside string) error { return os.Symlink(filepath.Join(outside, "dir"), at) }},
	{"link to nothing", func(at, outside string) error { return os.Symlink(filepath.Join(outside, "new"), at) }},
	{"hard link", func(at, outside string) error { return os.Link(filepath.Join(outside, "file"), at) }},
	{"fifo", func(at, _ string) error { return syscall.Mkfifo(at, 0o644) }},
	{"folder", func(at, _ string) error { return os.MkdirAll(filepath.Join(at, "lock"), 0o755) }},
}

// commandsOnHostile is what is run in the workspace. OUT is a new folder, URL and ID a live
// host and its store.
var commandsOnHostile = [][]string{
	{"status"}, {"log"}, {"show"}, {"diff", "0", "1"}, {"cat", "index.html"}, {"checkout", "OUT/out"}, {"export", "OUT/x.dig"},
	{"urn", "--all"}, {"verify", "--all", "--deep"}, {"gc", "--keep", "1"}, {"stores"}, {"use", "site"},
	{"remote", "add", "other", "URL/stores/ID"}, {"commit", "-m", "x"}, {"add", "--all"}, {"add", "site/index.html"},
	{"unstage", "--all"}, {"revoke", "--yes", "--root", "0"}, {"key", "show"}, {"key", "export", "OUT/key"},
	{"init", "another"}, {"push", "URL/stores/ID"}, {"pull", "URL/stores/ID"}, {"clone", "URL/stores/OTHER"},
	{"import", "MODULE"}, {"migrate"}, {"__complete", "--store", ""}, {"__complete", "checkout", ""}, {"__complete", "cat", ""},
	{"__complete", "unstage", ""}, {"__complete", "push", ""},
	{"serve", "--bind", "127.0.0.1:0", "--allow-any"},
}

// extraNames are files and folders that .dig may have besides those that the template has.
var extraNames = []string{
	"workspace.toml.tmp", "config.toml", "decoy_secret.bin", "decoy_secret.bin.new", "incoming", "locks",
	"stores/other", "stores/another", "stores/site/config.toml.tmp", "stores/site/publishing", "stores/site/publishing.tmp",
	"stores/site/pins.json", "stores/site/pins.json.tmp", "stores/site/remotes.toml.tmp", "stores/site/incoming",
	"stores/site/evidence", "stores/site/pending", "stores/site/modules", "stores/site/generations", "stores/site/removed",
	"stores/site/statindex.tmp", "stores/site/packs/commit.tmp", "stores/site/packs/gc.tmp", "stores/site/writer_key.bin",
	"nonces.bin", "stores/site/pushed_by",
	"stores/site/secret_salt.hex", "stores/site/history", "stores/site/history/index.tmp",
}

// TestHostileWorkspace puts links, hard links, FIFOs and folders in the place of each file of
// .dig, as an archive or a git clone can, and runs the commands there: nothing outside of .dig
// changes, and none waits for ever.
func TestHostileWorkspace(t *testing.T) {
	step := 41 // all of them would take ten minutes
	if vectors.Long(t) {
		step = 5
	}
	d := newDesk(t)
	t.Setenv("DIG_IDENTITY_DIR", filepath.Join(d.dir, "identity"))
	base := d.dir
	host := filepath.Join(base, "host")
	check(t, corpus.Small(1).Write(filepath.Join(host, "site")))
	d.must("host", "init", "host", "--dir", "site")
	d.must("host", "commit", "-m", "host")
	other := onlyStore(t, d.must("host", "--json", "stores"))
	module := filepath.Join(base, "module.dig")
	d.must("host", "export", module)
	srv, err := startServer(host, filepath.Join(base, "identity"), "--allow-any")
	check(t, err)
	defer srv.stop()

	template := filepath.Join(base, "template")
	check(t, os.MkdirAll(filepath.Join(template, "site"), 0o755))
	check(t, os.WriteFile(filepath.Join(template, "site", "index.html"), []byte("one"), 0o644))
	d.must("template", "init", "site", "--dir", "site")
	d.must("template", "commit", "-m", "one")
	id := onlyStore(t, d.must("template", "--json", "stores"))
	check(t, os.WriteFile(filepath.Join(template, "site", "index.html"), []byte("two"), 0o644))
	d.must("template", "commit", "-m", "two")
	d.must("template", "remote", "add", "origin", srv.url+"/stores/"+id)
	d.must("template", "push")
	d.must("template", "--yes", "revoke", "--root", "0")
	d.must("template", "add", "site/index.html")

	var targets []string
	check(t, filepath.WalkDir(filepath.Join(template, ".dig"),
		func(path string, _ fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(template, path)
			targets = append(targets, rel)
			return err
		}))
	for _, name := range extraNames {
		if rel := filepath.Join(".dig", filepath.FromSlash(name)); !slices.Contains(targets, rel) {
			targets = append(targets, rel)
		}
	}
	byPush := filepath.Join(".dig", "stores", other, "pushed_by") // where a push puts it
	targets = append(targets, byPush)
	replace := strings.NewReplacer("URL", srv.url, "ID", id, "OTHER", other, "MODULE", module)
	runs := 0
	for i, target := range targets {
		for j, plant := range plants {
			for k, command := range commandsOnHostile {
				onlyServed := command[0] == "serve" &&
					(target == byPush || filepath.Base(target) == "nonces.bin")
				if (i+3*j+k)%step != 0 && !onlyServed {
					continue
				}
				runs++
				h := hostile{d: d, template: template, target: target, outside: filepath.Join(base, "outside"),
					pushed: other}
				what := fmt.Sprintf("%s in place of %s: %v", plant.kind, target, command)
				h.try(t, what, plant.do, command, replace)
			}
		}
	}
	t.Logf("%d runs on %d files", runs, len(targets))
}

type hostile struct {
	d                         *desk
	template, target, outside string
	pushed                    string // store of the folder host, which is pushed to serve
}

func (h *hostile) try(t *testing.T, what string, plant func(at, outside string) error,
	command []string, replace *strings.Replacer) {
	t.Helper()
	ws, out := filepath.Join(h.d.dir, "ws"), filepath.Join(h.d.dir, "OUT")
	for _, dir := range []string{ws, out, h.outside} {
		check(t, os.RemoveAll(dir))
	}
	check(t, os.CopyFS(ws, os.DirFS(h.template)))
	check(t, os.Chmod(filepath.Join(ws, ".dig", "stores", "site", "signing_key.bin"), 0o600))
	check(t, os.MkdirAll(filepath.Join(h.outside, "dir", "lock"), 0o755))
	check(t, os.Mkdir(out, 0o755))
	for _, name := range []string{"file", "dir/file", "dir/workspace.toml", "dir/pack.tmp",
		"dir/roots.log"} {
		check(t, os.WriteFile(filepath.Join(h.outside, filepath.FromSlash(name)), []byte("keep"), 0o644))
	}
	at := filepath.Join(ws, h.target)
	check(t, os.RemoveAll(at))
	check(t, os.MkdirAll(filepath.Dir(at), 0o755))
	check(t, plant(at, h.outside))
	before := snapshot(t, h.outside) + snapshot(t, filepath.Join(ws, "site"))

	args := []string{"-C", ws}
	for _, arg := range command {
		args = append(args, strings.Replace(replace.Replace(arg), "OUT/", out+"/", 1))
	}
	home, err := os.Getwd()
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if command[0] == "serve" {
			h.serve(ws, command[1:])
			return
		}
		newApp(bytes.NewReader(nil), io.Discard, io.Discard).run(args)
	}()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatalf("%s: it waits", what)
	}
	check(t, os.Chdir(home))
	if after := snapshot(t, h.outside) + snapshot(t, filepath.Join(ws, "site")); after != before {
		t.Errorf("%s changed what lies outside of .dig:\n%swas:\n%s", what, after, before)
	}
}

// serve runs serve in the workspace, if it starts, and pushes a store to it.
func (h *hostile) serve(ws string, args []string) {
	s, err := startServer(ws, filepath.Join(h.d.dir, "identity"), args...)
	if err != nil {
		return
	}
	defer s.stop()
	to := s.url + "/stores/" + h.pushed
	newApp(bytes.NewReader(nil), io.Discard,
		io.Discard).run([]string{"-C", filepath.Join(h.d.dir, "host"), "push", to})
}

// snapshot is every name below dir with mode and content.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s %v", path, info.Mode())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, " %q", b)
		}
		text.WriteByte('\n')
		return nil
	}))
	return text.String()
}
